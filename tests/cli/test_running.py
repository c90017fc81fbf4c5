"""`run`: from a plan to a verdict."""

import json
from pathlib import Path

import pytest

from tests.support.cli import contents, plan, wf, wf_json
from tests.support.repos import commit, files_at, git, make_repo
from tests.support.workspaces import open_workspace
from wfledger.core.statuses import Status


def ready(repo: Path, fleet: str = "") -> Path:
    """Make a ledger in *repo*."""
    assert wf(repo, "init").status == 0
    if fleet:
        (repo / ".wfledger/fleet.toml").write_text(fleet)
    return repo


@pytest.mark.requirement("WFL-CLI-002")
@pytest.mark.requirement("WFL-CLI-006")
def test_run_lands_each_task_on_the_branch_of_the_run(repo: Path) -> None:
    path = plan(ready(repo), {
        "a": {"command": "echo 1 > a", "write": ["a"]},
        "b": {"command": "cat a a > b", "write": ["b"], "after": ["a"]},
    })  # fmt: skip
    found = wf_json(repo, "run", "--yes", path)
    branch = f"wf/{found['run']}"
    assert (found["verdict"], found["done"], found["total"], found["unlanded"]) == ("succeeded", 2, 2, 2)
    assert found["tasks"] == [f"{found['run']}.a", f"{found['run']}.b"]
    assert files_at(repo, branch)["b"] == "1\n1"
    assert found["next"] == [f"git log main..{branch}", f"wfledger land {found['run']}"]


def test_run_warns_of_a_policy_that_it_does_not_know(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "true"}})
    settings = repo / ".wfledger/ledger.json"
    config = json.loads(settings.read_bytes())
    settings.write_text(json.dumps({**config, "policy": {"gates": {"command": "false"}}}))
    done = wf(repo, "run", "--yes", path)
    assert done.status == 0
    assert "warning: ledger.json: /policy/gates is not known" in done.err


def test_run_leaves_the_checkout_alone(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "echo 1 > src/app.py", "write": ["src"]}})
    head = git(repo, "rev-parse", "main")
    commit(repo, {".gitignore": "plan.json\n"})
    (repo / "src/app.py").write_text("uncommitted\n")
    before = contents(repo / "src"), git(repo, "rev-parse", "main")
    assert wf(repo, "run", "--yes", path).status == 0
    assert (contents(repo / "src"), git(repo, "rev-parse", "main")) == before
    assert git(repo, "rev-parse", "main^") == head


def test_history_is_committed_and_the_ledger_clean_when_run_returns(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "echo 1 > a", "write": ["a"]}})
    run_id = wf_json(repo, "run", "--yes", path)["run"]
    ledger = repo / ".wfledger"
    assert git(ledger, "status", "--porcelain") == ""
    assert f"Wfledger-Task: {run_id}.a" in git(ledger, "log", "--format=%B")
    assert open_workspace(repo).ledger.journal.is_empty()


@pytest.mark.requirement("WFL-CLI-006")
@pytest.mark.requirement("WFL-CLI-007")
def test_failed_task_waits_for_a_person_with_its_command(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "exit 3"}, "b": {"command": "true", "after": ["a"]}})
    found = wf_json(repo, "run", "--yes", path, status=10)
    need = found["needs"][0]
    assert (found["verdict"], need["code"]) == ("waits", "task")
    assert need["command"] == f"wfledger retry {found['run']}.a"
    done = wf(repo, "run", found["run"])
    assert done.status == 10
    assert need["command"] in done.out


@pytest.mark.requirement("WFL-CLI-006")
def test_missing_result_that_the_plan_allows_is_degraded(repo: Path) -> None:
    tasks = {
        "a": {"command": "false", "on_failure": "skip_continue"},
        "b": {"command": "true", "after": ["a"]},
    }
    found = wf_json(repo, "run", "--yes", plan(ready(repo), tasks), status=9)
    assert (found["verdict"], found["done"]) == ("degraded", 1)
    assert [need["task"] for need in found["needs"]] == [f"{found['run']}.a"]


@pytest.mark.requirement("WFL-CLI-006")
def test_run_that_aborts_has_failed(repo: Path) -> None:
    tasks = {
        "a": {"command": "false", "on_failure": "abort"},
        "b": {"command": "true", "after": ["a"]},
    }
    found = wf_json(repo, "run", "--yes", plan(ready(repo), tasks), status=1)
    assert found["verdict"] == "failed"
    assert found["cancelled"] == [f"{found['run']}.b"]


def test_detached_run_starts_nothing(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "echo 1 > a", "write": ["a"]}})
    found = wf_json(repo, "run", "--yes", path, "--detach", "--name", "later")
    assert found == {"run": found["run"], "tasks": [f"{found['run']}.a"], "verdict": None}
    assert open_workspace(repo).ledger.names(Status.WAITING) == found["tasks"]
    assert wf_json(repo, "run", "later")["verdict"] == "succeeded"


def test_finished_run_is_not_run_again(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "echo 1 > a", "write": ["a"]}})
    run_id = wf_json(repo, "run", "--yes", path)["run"]
    assert wf_json(repo, "run", run_id)["verdict"] == "succeeded"
    assert open_workspace(repo).ledger.get(f"{run_id}.a").task.attempt == 1


def test_prompt_is_run_by_its_role(repo: Path) -> None:
    fleet = '[role.echo]\nargv = ["/bin/sh", "-c", "echo {task} > said"]\n'
    path = plan(ready(repo, fleet), {"a": {"prompt": "Say it.", "write": ["said"]}})
    found = wf_json(repo, "run", "--yes", path, "--worker", "echo")
    assert files_at(repo, f"wf/{found['run']}")["said"] == f"{found['run']}.a"


def test_prompt_without_a_role_is_refused_before_anything_starts(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"prompt": "Who?"}})
    before = contents(repo)
    found = wf_json(repo, "run", "--yes", path, status=7)
    assert "a has a prompt and no worker" in found["message"]
    assert "fleet.toml" in found["hint"]
    assert contents(repo) == before


def test_task_for_people_ends_the_run_with_its_claim(repo: Path) -> None:
    tasks = {"a": {"manual": True, "title": "Look"}, "b": {"command": "true", "after": ["a"]}}
    found = wf_json(repo, "run", "--yes", plan(ready(repo), tasks), status=10)
    assert [need["command"] for need in found["needs"]] == [f"wfledger claim {found['run']}.a"]


def test_need_that_no_worker_meets_is_told(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "true", "needs": ["gpu"]}})
    found = wf_json(repo, "run", "--yes", path, status=10)
    assert [(need["code"], need["command"]) for need in found["needs"]] == [
        ("needs", f"wfledger why {found['run']}.a")
    ]
    why = wf_json(repo, "why", "a")
    assert (why["code"], why["reason"].startswith("no worker offers gpu")) == ("needs", True)


def test_offers_of_a_run_that_nobody_drives_stop_no_other_run(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "echo 1 > a", "write": ["a"]}})
    first = wf_json(repo, "run", "--yes", path, "--detach")["run"]
    second = wf_json(repo, "run", "--yes", path)
    assert second["verdict"] == "succeeded"
    assert open_workspace(repo).ledger.names(Status.WAITING) == [f"{first}.a"]


def test_results_are_for_the_target_that_was_named(repo: Path) -> None:
    git(repo, "branch", "release")
    path = plan(ready(repo), {"a": {"command": "echo 1 > a", "write": ["a"]}})
    assert wf_json(repo, "run", "--yes", path, "--target", "release")["target"] == "release"
    assert wf(repo, "run", "--yes", path, "--target", "absent").status == 2


def test_options_of_new_runs_are_refused_for_one_that_is_there(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "true"}})
    run_id = wf_json(repo, "run", "--yes", path, "--detach")["run"]
    assert wf(repo, "run", run_id, "--worker", "x").status == 2


def test_neither_file_nor_run_is_a_usage_error(repo: Path) -> None:
    assert wf(ready(repo), "run", "absent.yaml").status == 2


def test_plain_output_says_what_happens_and_what_to_do_next(repo: Path) -> None:
    path = plan(ready(repo), {"a": {"command": "echo 1 > a", "write": ["a"]}})
    done = wf(repo, "run", "--yes", path)
    assert "a: runs" in done.err
    assert "a: done" in done.err
    assert "succeeded: 1 of 1 task done" in done.out
    assert "  wfledger land " in done.out


@pytest.mark.long
def test_several_workers_share_the_slots(tmp_path: Path) -> None:
    repo = ready(make_repo(tmp_path / "many", {"x": "1"}))
    tasks = {f"t{n}": {"command": f"echo 1 > f{n}", "write": [f"f{n}"]} for n in range(6)}
    found = wf_json(repo, "run", "--yes", plan(repo, tasks), "--workers", "3")
    assert (found["verdict"], found["unlanded"]) == ("succeeded", 6)
