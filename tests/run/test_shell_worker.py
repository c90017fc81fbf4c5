"""The shell worker of the examples, on real tasks."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.byhand import SCRIPT, shell_worker, start_shell_worker
from tests.support.engines import NOTHING_LEFT, leftovers, outcomes, statuses
from tests.support.repos import git
from tests.support.waiting import until
from tests.support.workspaces import BRANCH, add_task, make_workspace
from wfledger.core.documents import Limits
from wfledger.core.policy import Policy
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.keeping import kept_head
from wfledger.run.ticking import tick_once
from wfledger.run.workspace import Workspace


def tick(workspace: Workspace) -> None:
    tick_once(workspace, owner="tick", report=lambda *_: None)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


@pytest.mark.requirement("WFL-CLAIM-052", "WFL-CLAIM-053", "WFL-CLAIM-054")
def test_shell_worker_takes_a_task_from_its_offer_to_the_run(workspace: Workspace) -> None:
    line = r"""mkdir src; printf '%s\t"%s"\\' "$WFLEDGER_TASK" 'it'"'"'s' > src/a"""
    add_task(workspace, "a", command=line, write=("src",))
    tick(workspace)
    done = shell_worker(workspace.main, "-n", "ana")
    assert done.status == 0, done.err
    tick(workspace)
    assert statuses(workspace) == {"r1.a": "done"}
    assert git(workspace.main, "show", f"{BRANCH}:src/a") == 'r1.a\t"it\'s"\\'
    task = workspace.ledger.get("r1.a").task
    assert [(one.worker, one.outcome) for one in task.attempts] == [("ana", "succeeded")]
    tick(workspace)
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.long
def test_shell_worker_gives_arguments_inputs_and_an_environment_of_its_own(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "leaks")
    monkeypatch.setenv("WANTED", "it's 'wanted'")
    add_task(workspace, "a", command="true")
    script = 'mkdir docs; ls "$WFLEDGER_INPUTS" > docs/in; env > docs/env; printf "%s" "$1" > docs/x'
    add_task(
        workspace, "b", command=("sh", "-c", script, "sh", 'a "b" \\ c\nd'), write=("docs",),
        after=("r1.a",), inputs=("r1.a",), env=("WANTED",),
    )  # fmt: skip
    for _ in range(2):
        tick(workspace)
        shell_worker(workspace.main)
        tick(workspace)
    assert statuses(workspace)["r1.b"] == "done"
    assert git(workspace.main, "show", f"{BRANCH}:docs/x") == 'a "b" \\ c\nd'
    assert git(workspace.main, "show", f"{BRANCH}:docs/in").split() == ["missing.json", "r1.a.json"]
    environment = git(workspace.main, "show", f"{BRANCH}:docs/env")
    assert "WANTED=it's 'wanted'" in environment
    assert "GIT_AUTHOR_NAME" not in environment


@pytest.mark.long
@pytest.mark.parametrize(
    ("spec", "outcome", "status"),
    [
        ({"command": "exit 3"}, "task", "blocked"),
        ({"command": "exit 75"}, "transport", "waiting"),
        ({"command": "true", "write": ("src",)}, "no_change", "blocked"),
        ({"command": "touch out", "write": ("src",)}, "out_of_scope", "blocked"),
        ({"command": "sleep 60", "limits": Limits(wall_s=0.2)}, "task", "blocked"),
    ],
)
def test_failure_of_a_command_is_judged_as_that_of_any_worker(
    workspace: Workspace, spec: dict[str, object], outcome: str, status: str
) -> None:
    add_task(workspace, "a", **spec)
    tick(workspace)
    shell_worker(workspace.main)
    tick(workspace)
    tick(workspace)
    assert outcomes(workspace, "r1.a")[0] == outcome
    assert statuses(workspace)["r1.a"] == status


@pytest.mark.long
def test_shell_worker_leaves_what_it_cannot_do(workspace: Workspace) -> None:
    add_task(workspace, "prompt", command=None, prompt="do it", role="x")
    add_task(workspace, "people", command=None, manual=True)
    add_task(workspace, "bell", command="printf \a")
    tick(workspace)
    assert shell_worker(workspace.main).status == 3
    assert set(statuses(workspace).values()) == {"pending"}


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-033", "WFL-CLAIM-034", "WFL-CLAIM-058", "WFL-CLAIM-059")
def test_shell_worker_lives_past_its_lease_and_loses_its_task_when_it_is_killed(
    tmp_path: Path,
) -> None:
    workspace = make_workspace(tmp_path, policy=Policy(lease_s=3.0))
    add_task(workspace, "a", command="echo 1 > half; exec sleep 600", write=("half",))
    tick(workspace)
    worker = start_shell_worker(workspace.main, "-1")
    beat = workspace.ledger.layout.beats
    until(lambda: any(path.read_text() >= "3" for path in beat.glob("r1.*")))
    tick(workspace)
    assert statuses(workspace) == {"r1.a": "in-progress"}
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    until(lambda: _ticked(workspace) == ["lost"], every_s=0.2)
    kept = kept_head(workspace, "r1.a", 1)
    assert git(workspace.main, "show", f"{kept}:half") == "1"


def _ticked(workspace: Workspace) -> list[str]:
    tick(workspace)
    return outcomes(workspace, "r1.a")


@pytest.mark.long
def test_shell_worker_that_is_interrupted_gives_its_task_back(workspace: Workspace) -> None:
    add_task(workspace, "a", command="exec sleep 600")
    tick(workspace)
    worker = start_shell_worker(workspace.main)
    until(lambda: (workspace.ledger.layout.log("r1.a", 1)).exists())
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait()
    until(lambda: _session(worker.pid) == [], within_s=30)
    tick(workspace)
    assert outcomes(workspace, "r1.a") == ["released"]


def _session(leader: int) -> list[str]:
    """Return what runs of a session, as /proc says."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = place.read_text().rpartition(")")
            state, _, _, session = rest.split()[:4]
            found += [name] if session == str(leader) and state != "Z" else []
    return found


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-056")
def test_shell_worker_whose_task_was_taken_over_hands_nothing_in(
    workspace: Workspace, tmp_path: Path
) -> None:
    add_task(workspace, "a", command=f"until [ -e {tmp_path}/go ]; do sleep 0.05; done")
    tick(workspace)
    worker = start_shell_worker(workspace.main, "-1")
    layout = workspace.ledger.layout
    until(layout.log("r1.a", 1).exists)
    tick(workspace)
    with workspace.ledger.transaction("finder") as changes:
        changes.move("r1.a", Status.WAITING, actor=Actor.FINDER, why="lost", claim=None)
    tick(workspace)
    layout.task(Status.PENDING, "r1.a").rename(layout.task(Status.IN_PROGRESS, "r1.a"))
    (tmp_path / "go").touch()
    worker.wait()
    assert statuses(workspace) == {"r1.a": "in-progress"}
    assert workspace.ledger.get("r1.a").task.attempt == 2
    assert workspace.ledger.result("r1.a", 1) is None


def test_shell_worker_is_a_program_for_any_posix_shell() -> None:
    assert os.access(SCRIPT, os.X_OK)
    assert SCRIPT.read_text().startswith("#!/bin/sh\n")
