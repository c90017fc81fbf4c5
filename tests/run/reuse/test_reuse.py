"""Results of an earlier run are taken where nothing that goes into them differs (spec 93, 2)."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.cli import plan, wf, wf_json
from tests.support.engines import note, noted
from tests.support.faults import kill_at
from tests.support.invariants import check_ledger
from tests.support.repos import files_at, git
from tests.support.workspaces import add_task, open_workspace
from wfledger.core.documents import Landed, Result
from wfledger.core.statuses import Status
from wfledger.run.reuse.keying import Keyer
from wfledger.run.workspace import Workspace

#: A role that notes which task it was asked for.
ROLE = '[role.%s]\nargv = ["/bin/sh", "-c", "echo \\"$1\\" | head -n 1 >> %s/noted", "sh", "{prompt}"]\n'


def writer(folder: Path, name: str, text: str = "", **fields: Any) -> dict[str, Any]:
    command = f"{note(folder, name)}; echo {name}{text} > {name}.txt"
    return {"command": command, "write": [f"{name}.txt"], **fields}


def reader(folder: Path, name: str, **fields: Any) -> dict[str, Any]:
    return {"command": note(folder, name), **fields}


def clear(folder: Path) -> None:
    (folder / "noted").unlink(missing_ok=True)


def run(repo: Path, path: Path, *args: str, status: int = 0) -> dict[str, Any]:
    clear(path.parent)
    return wf_json(repo, "run", path, "--yes", *args, status=status)


def actions(repo: Path, path: Path, of: str) -> dict[str, str]:
    found = wf_json(repo, "plan", path, "--diff", of)
    return {line["task"]: line["action"] for line in found["diff"]["tasks"]}


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-001")
@pytest.mark.requirement("WFL-REUSE-010")
@pytest.mark.requirement("WFL-REUSE-011")
@pytest.mark.requirement("WFL-REUSE-015")
def test_run_again_takes_every_result_and_works_for_what_changed(
    repo: Path, tmp_path: Path
) -> None:
    wf(repo, "init")
    tasks = {"a": writer(tmp_path, "a"), "r": reader(tmp_path, "r", after=["a"])}
    first = run(repo, plan(tmp_path, tasks))
    again = run(repo, plan(tmp_path, tasks), "--reuse", "last")
    assert noted(tmp_path) == []
    assert files_at(repo, again["branch"]) == files_at(repo, first["branch"])
    for name in ("a", "r"):
        found = wf_json(repo, "show", f"{again['run']}.{name}")
        assert found["result"]["reused"] == {"task": f"{first['run']}.{name}", "attempt": 1}
        assert found["task"]["attempts"][0]["worker"] == "reuse"
    assert (first["reused"], again["reused"]) == (0, 2)
    assert f"reused from {first['run']}.r" in wf(repo, "why", f"{again['run']}.r").out
    assert wf_json(repo, "status", again["run"])["runs"][0]["reuses"] == [first["run"]]
    tasks["r"] = reader(tmp_path, "r2", after=["a"])
    assert actions(repo, plan(tmp_path, tasks), again["run"]) == {"a": "reuse", "r": "run"}
    third = run(repo, plan(tmp_path, tasks), "--reuse", again["run"][:5])
    assert noted(tmp_path) == ["r2"]
    result = wf_json(repo, "show", f"{third['run']}.a")["result"]
    assert result["reused"]["task"] == f"{first['run']}.a"
    check_ledger(open_workspace(repo).ledger)
    assert wf(repo, "doctor").status == 0


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-010")
def test_one_prompt_of_100_that_changed_is_done_again_with_what_depends_on_it(
    repo: Path, tmp_path: Path
) -> None:
    wf(repo, "init")
    (repo / ".wfledger/fleet.toml").write_text(ROLE % ("agent", tmp_path))
    tasks: dict[str, dict[str, Any]] = {
        f"t{n}": {"prompt": f"look at {n}"} for n in range(97)
    }
    tasks |= {
        "u": {"prompt": "after 5", "after": ["t5"]}, "v": {"prompt": "after u", "after": ["u"]},
        "w": {"prompt": "after 5 and 7", "after": ["t7", "t5"]},
    }  # fmt: skip
    first = wf_json(repo, "run", plan(tmp_path, tasks), "--yes", "--detach")
    _finish(open_workspace(repo), first["tasks"])
    tasks["t5"]["prompt"] = "look at 5 again"
    path = plan(tmp_path, tasks)
    told = actions(repo, path, first["run"])
    assert sorted(name for name, action in told.items() if action == "run") == ["t5", "u", "v", "w"]
    done = run(repo, path, "--reuse", first["run"])
    assert sorted(noted(tmp_path)) == ["after 5", "after 5 and 7", "after u", "look at 5 again"]
    assert (done["done"], done["verdict"]) == (100, "succeeded")


def _finish(workspace: Workspace, tasks: list[str]) -> None:
    """Leave readers as their attempts would, without the time that those take."""
    with workspace.ledger.transaction("test") as changes:
        for task_id in tasks:
            task = changes.get(task_id).task
            base = workspace.ledger.run(task.run).base
            changes.put_result(Result(
                task=task_id, attempt=1, status="succeeded", base=base, head=base,
                key=Keyer(workspace).key(task),
            ))  # fmt: skip
            landed = Landed(how="nothing", at=task.created)
            done = task.next(landed=landed, attempt=1)
            changes.restore(done, Status.DONE, source=Status.WAITING, why="rebuilt for a test")


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-010")
def test_what_failed_is_done_again_and_what_had_waited_for_it_too(
    repo: Path, tmp_path: Path
) -> None:
    wf(repo, "init")
    flag = tmp_path / "flag"
    tasks = {
        "a": {"command": f"{note(tmp_path, 'a')}; test -e {flag}", "on_failure": "skip_continue"},
        "b": reader(tmp_path, "b"),
        "c": reader(tmp_path, "c", after=["a", "b"]),
    }
    first = run(repo, plan(tmp_path, tasks), status=9)
    found = wf_json(repo, "plan", plan(tmp_path, tasks), "--diff", first["run"])["diff"]
    kinds = {line["task"]: [why["kind"] for why in line["reasons"]] for line in found["tasks"]}
    assert kinds == {"a": ["not_done"], "b": [], "c": ["dependency"]}
    flag.touch()
    done = run(repo, plan(tmp_path, tasks), "--reuse", "last")
    assert (sorted(noted(tmp_path)), done["verdict"]) == (["a", "c"], "succeeded")
    # What a worker has added would be missing from a run that takes the worker's result alone.
    for one in (first["run"], done["run"]):
        add_task(open_workspace(repo), "b.more", run_id=one, parent=f"{one}.b")
    found = wf_json(repo, "plan", plan(tmp_path, tasks), "--diff", done["run"])["diff"]
    kinds = {line["task"]: [why["kind"] for why in line["reasons"]] for line in found["tasks"]}
    assert kinds == {"a": [], "b": ["added"], "c": ["dependency"]}


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-011")
@pytest.mark.requirement("WFL-REUSE-013")
def test_reused_work_is_checked_again_and_is_done_again_where_it_may_not_land(
    repo: Path, tmp_path: Path
) -> None:
    wf(repo, "init")
    check = f"test ! -e {tmp_path}/closed || grep -q new a.txt"
    tasks = {"a": writer(tmp_path, "a", verify=[{"kind": "command", "command": check}])}
    tasks["a"]["command"] += f"; test ! -e {tmp_path}/closed || echo new > a.txt"
    run(repo, plan(tmp_path, tasks))
    (tmp_path / "closed").touch()
    for path in (open_workspace(repo).ledger.layout.local / "index").glob("verify-*"):
        path.unlink()  # which checks have passed on which tree, as on another machine
    done = run(repo, plan(tmp_path, tasks), "--reuse", "last")
    assert (noted(tmp_path), done["verdict"]) == (["a"], "succeeded")
    assert files_at(repo, done["branch"])["a.txt"] == "new"
    attempts = wf_json(repo, "show", f"{done['run']}.a")["task"]["attempts"]
    assert [(one["worker"] == "reuse", one["outcome"]) for one in attempts] == [
        (True, "verification"), (False, "succeeded"),
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-002")
@pytest.mark.requirement("WFL-REUSE-014")
def test_reused_results_cost_nothing_and_follow_their_role(repo: Path, tmp_path: Path) -> None:
    wf(repo, "init")
    fleet = repo / ".wfledger/fleet.toml"
    script = tmp_path / "agent.sh"
    envelope = json.dumps({"usage": {"cost_usd": 2.5, "output": 7}})
    script.write_text(f"echo \"$1\" >> {tmp_path}/noted; echo '{envelope}' > $WFLEDGER_RESULT_FILE\n")
    argv = f'argv = ["/bin/sh", "{script}", "{{prompt}}"]\n'
    fleet.write_text(f"[role.agent]\n{argv}")
    tasks = {"a": {"prompt": "look", "worker": "agent"}}
    first = run(repo, plan(tmp_path, tasks))
    fleet.write_text(f"[role.other]\nslots = 3\n{argv}")
    tasks["a"]["worker"] = "other"
    again = run(repo, plan(tmp_path, tasks), "--reuse", "last")
    assert noted(tmp_path) == []
    used = {line["id"]: line["usage"] for line in wf_json(repo, "status")["runs"]}
    assert (used[first["run"]]["usd"], used[first["run"]]["attempts"]) == (2.5, 1)
    assert used[again["run"]] is None
    fleet.write_text(f'[role.other]\npreamble = "be brief"\n{argv}')
    found = wf_json(repo, "plan", plan(tmp_path, tasks), "--diff", "last")["diff"]["tasks"]
    assert [why["kind"] for why in found[0]["reasons"]] == ["role"]


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-011")
def test_run_killed_while_it_takes_a_result_goes_on_and_works_for_nothing(
    repo: Path, tmp_path: Path
) -> None:
    wf(repo, "init")
    tasks = {"a": writer(tmp_path, "a"), "b": writer(tmp_path, "b", after=["a"])}
    path = plan(tmp_path, tasks)
    run(repo, path)
    made = run(repo, path, "--reuse", "last", "--detach")["run"]
    died = processes.run_cli("run", made, cwd=repo, env=kill_at("reuse.result-written"))
    assert died.status == -signal.SIGKILL
    again = processes.run_cli("run", made, cwd=repo, env=kill_at("reuse.kept", 2))
    assert again.status == -signal.SIGKILL
    done = wf_json(repo, "run", made)
    assert (noted(tmp_path), done["verdict"]) == ([], "succeeded")
    workspace = open_workspace(repo)
    assert set(workspace.ledger.names(Status.DONE, run=made)) == {f"{made}.a", f"{made}.b"}
    assert files_at(repo, f"wf/{made}").keys() >= {"a.txt", "b.txt"}
    check_ledger(workspace.ledger)
    assert wf(repo, "doctor").status == 0


@pytest.mark.long
@pytest.mark.requirement("WFL-REUSE-015")
@pytest.mark.requirement("WFL-REUSE-016")
def test_run_starts_where_the_earlier_one_did_and_says_what_another_base_costs(
    repo: Path, tmp_path: Path
) -> None:
    wf(repo, "init")
    path = plan(tmp_path, {"a": reader(tmp_path, "a")})
    first = run(repo, path)
    hinted = wf(repo, "run", path, "--yes", "--detach")
    assert f"1 of 1 result of run {first['run']} could be taken" in hinted.err
    assert "--diff" not in hinted.err
    (repo / "src/app.py").write_text("VALUE = 2\n")
    git(repo, "commit", "-qam", "two")
    start_ = git(repo, "rev-parse", "main~1")
    done = run(repo, path, "--reuse", first["run"])
    assert (noted(tmp_path), open_workspace(repo).ledger.run(done["run"]).base) == ([], start_)
    moved = wf(repo, "run", path, "--yes", "--reuse", first["run"], "--base", "main")
    assert "every task runs again" in moved.err
    assert (moved.status, noted(tmp_path)) == (0, ["a"])
    found = wf_json(repo, "plan", path, "--diff", first["run"], "--base", "main")["diff"]["tasks"]
    assert [why["kind"] for why in found[0]["reasons"]] == ["base"]
    missing = wf(repo, "run", path, "--yes", "--reuse", "nobody")
    assert (missing.status, "there is no run nobody" in missing.err) == (2, True)
