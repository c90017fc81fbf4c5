"""`status`, `list`, `show` and `why`: what stands where."""

import os
from pathlib import Path

import pytest

from tests.support.cli import contents, plan, wf, wf_json
from tests.support.repos import git, make_repo
from tests.support.workspaces import add_run, add_task, make_workspace, start
from wfledger.core.statuses import Status

MIXED = {
    "good": {"command": "echo 1 > good", "write": ["good"]},
    "bad": {"command": "printf '\\033[31mred'; exit 3"},
    "stray": {"command": "echo 1 > elsewhere", "write": ["here"]},
    "later": {"command": "true", "after": ["bad"]},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Where the first test that needs it puts what all of them read."""
    return {"new": (tmp_path_factory.mktemp("mixed") / "repo", "")}


@pytest.fixture
def mixed(shared: dict[str, tuple[Path, str]], seal: Path) -> tuple[Path, str]:
    """A repository whose only run has tasks that are done, blocked and waiting; to be read only."""
    if "made" not in shared:
        repo = make_repo(shared["new"][0], {"README.md": "# sample\n", "src/app.py": "VALUE = 1\n"})
        wf(repo, "init")
        shared["made"] = repo, wf_json(repo, "run", "--yes", plan(repo, MIXED), status=10)["run"]
    return shared["made"]


@pytest.mark.requirement("WFL-CLI-010")
def test_counts_are_disjoint_and_sum_to_the_total(mixed: tuple[Path, str]) -> None:
    repo, run_id = mixed
    found = wf_json(repo, "status")
    assert found["counts"] == {
        "waiting": 1, "pending": 0, "in-progress": 0, "merging": 0, "done": 1, "blocked": 2,
        "cancelled": 0,
    }  # fmt: skip
    assert found["total"] == sum(found["counts"].values()) == 4
    assert [(run["id"], run["verdict"], run["total"]) for run in found["runs"]] == [(run_id, "waits", 4)]


def test_failures_are_counted_by_where_they_came_from(mixed: tuple[Path, str]) -> None:
    assert wf_json(mixed[0], "status")["failures"] == {
        "transport": 0, "runtime": 0, "task": 1, "scope": 1, "verification": 0, "merge": 0,
    }  # fmt: skip


def test_status_says_what_waits_for_a_person(mixed: tuple[Path, str]) -> None:
    repo, run_id = mixed
    out = wf(repo, "status").out
    assert f"wfledger retry {run_id}.bad" in out
    assert f"wfledger widen {run_id}.stray elsewhere" in out


def test_status_of_one_run_counts_that_run(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_run(workspace, "r2")
    for run_id, count in (("r1", 1), ("r2", 2)):
        for number in range(count):
            add_task(workspace, f"t{number}", run_id=run_id)
    assert wf_json(workspace.main, "status")["total"] == 3
    found = wf_json(workspace.main, "status", "r2")
    assert (found["total"], [run["id"] for run in found["runs"]]) == (2, ["r2"])
    assert wf(workspace.main, "status", "absent").status == 2


@pytest.mark.requirement("WFL-STATUS-044")
def test_status_says_when_nobody_works_and_shortens_goals(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a")
    with workspace.ledger.transaction("test") as changes:
        run = workspace.ledger.run("r1")
        changes.put_run(run.but(seq=run.seq + 1, goal="on and " * 100), why="test")
    out = wf(workspace.main, "status").out
    assert "nobody works on it: wfledger run r1" in out
    assert max(map(len, out.splitlines())) < 150


def test_status_names_who_works(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    task = start(workspace, add_task(workspace, "a").id)
    (working,) = wf_json(workspace.main, "status")["working"]
    assert (working["task"], working["worker"]) == (task.id, "worker")
    assert working["since"].endswith("Z")


def test_list_goes_on_where_it_ended(mixed: tuple[Path, str]) -> None:
    repo, run_id = mixed
    first = wf_json(repo, "list", "--limit", "3")
    assert first["next"] == first["tasks"][-1]["id"]
    second = wf_json(repo, "list", "--limit", "3", "--after", first["next"])
    assert second["next"] is None
    names = [task["id"] for task in first["tasks"] + second["tasks"]]
    assert names == [f"{run_id}.{name}" for name in sorted(MIXED)]


def test_list_of_some_statuses(mixed: tuple[Path, str]) -> None:
    repo, run_id = mixed
    found = wf_json(repo, "list", "--status", "done", "--status", "waiting", "--run", run_id)
    assert {task["status"] for task in found["tasks"]} == {"done", "waiting"}
    assert wf(repo, "list", "--status", "no-status").status == 2


def test_list_leaves_out_what_is_no_task(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a")
    workspace.ledger.layout.task(Status.BLOCKED, "r1.garbage").write_text("{")
    assert [task["id"] for task in wf_json(workspace.main, "list")["tasks"]] == ["r1.a"]


def test_show_has_the_document_and_the_last_result(mixed: tuple[Path, str]) -> None:
    repo, run_id = mixed
    found = wf_json(repo, "show", "bad")
    assert (found["task"]["id"], found["task"]["status"]) == (f"{run_id}.bad", "blocked")
    assert found["result"]["failure"]["class"] == "task"
    assert wf_json(repo, "show", "later")["result"] is None
    assert wf(repo, "show", "absent").status == 2


@pytest.mark.requirement("WFL-CLI-008")
def test_show_prints_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    add_task(workspace, "a", command="echo \x1b[2J\u202eevil", title="\x1b]0;t\x07plain")
    for verb in (["show", "a"], ["list"], ["why", "a"], ["show", "a", "--json"]):
        out = wf(workspace.main, *verb).out
        assert "\x1b" not in out
        assert "\u202e" not in out


@pytest.mark.requirement("WFL-CLI-009")
def test_why_follows_a_dependency_to_the_command_that_ends_the_wait(mixed: tuple[Path, str]) -> None:
    repo, run_id = mixed
    found = wf_json(repo, "why", "later")
    assert (found["code"], found["status"]) == ("dependency", "waiting")
    assert [wait["task"] for wait in found["waits_for"]] == [f"{run_id}.bad"]
    assert found["root"]["task"] == f"{run_id}.bad"
    assert found["command"] == f"wfledger retry {run_id}.bad"
    assert found["command"] in wf(repo, "why", "later").out


READING = (
    "status", "status --json", "list", "show bad", "why later", "why good", "diff stray",
    "logs bad", "history", "history bad", "plan plan.json", "check plan.json",
)  # fmt: skip


@pytest.mark.requirement("WFL-CLI-004")
def test_reading_verbs_change_nothing(
    mixed: tuple[Path, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, _ = mixed
    monkeypatch.chdir(repo)
    before = contents(repo, home), git(repo, "for-each-ref")
    for verb in READING:
        assert wf(repo, *verb.split()).status == 0
        assert (contents(repo, home), git(repo, "for-each-ref")) == before, verb


def test_reading_verbs_need_no_right_to_write(mixed: tuple[Path, str]) -> None:
    repo, _ = mixed
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    local = repo / ".git/wfledger"
    local.chmod(0o500)
    try:
        assert wf(repo, "status").status == 0
    finally:
        local.chmod(0o700)
