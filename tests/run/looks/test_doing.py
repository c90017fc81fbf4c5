"""What tasks are doing, as their runtimes, mergers and workers say it on this machine."""

from pathlib import Path

import pytest

from tests.support.engines import AT_ONCE, Listener, drive
from tests.support.workspaces import add_run, add_task, make_workspace, put_merging, start
from wfledger.core.policy import GatePolicy, Policy
from wfledger.core.states import State
from wfledger.core.statuses import Status
from wfledger.run.attempts import phases
from wfledger.run.looks.board import Board
from wfledger.run.looks.doing import Watcher, working
from wfledger.run.looks.overview import overview
from wfledger.run.presence import driven, driving, is_driven
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path)


def state(workspace: Workspace, task_id: str) -> State:
    entry = workspace.ledger.get(task_id)
    return Watcher(workspace).state(entry.task, entry.status)


@pytest.mark.requirement("WFL-STATUS-042")
def test_attempt_whose_runtime_died_is_stale(workspace: Workspace) -> None:
    layout = workspace.ledger.layout
    live = LiveLock(layout.live("r1.a", 1))
    task = start(workspace, add_task(workspace, "a").id)
    phases.note(workspace, task.id, 1, State.RUNNING, text="runs")
    assert state(workspace, task.id) is State.RUNNING
    live.release()
    assert state(workspace, task.id) is State.STALE


def test_same_state_keeps_its_beginning(workspace: Workspace) -> None:
    phases.note(workspace, "r1.a", 1, State.RUNNING, text="one")
    first = phases.phase_of(workspace, "r1.a", 1)
    phases.note(workspace, "r1.a", 1, State.RUNNING, text="two")
    second = phases.phase_of(workspace, "r1.a", 1)
    assert first is not None
    assert second is not None
    assert (second.since, second.text) == (first.since, "two")


@pytest.mark.parametrize("raw", ["", "[]", '{"state": 3}', '{"state": "x", "since": "never"}'])
def test_damaged_note_says_nothing(workspace: Workspace, raw: str) -> None:
    task = start(workspace, add_task(workspace, "a").id)
    phases.note(workspace, task.id, 1, State.RUNNING)
    (note,) = (workspace.ledger.layout.local / "phases").iterdir()
    note.write_text(raw)
    assert state(workspace, task.id) is State.LEASED


def test_nobody_who_lands_is_no_worker(workspace: Workspace) -> None:
    put_merging(workspace, "a", {"src/x": "1\n"})
    assert list(working(workspace)) == []
    assert state(workspace, "r1.a") is State.MERGING


class Noting(Listener):
    """Looks at each state as it is said."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.states: list[str] = []

    def event(self, task_id: str, text: str) -> None:
        said = phases.phase_of(self.workspace, task_id, 1)
        if said is not None and said.state not in self.states[-1:]:
            self.states.append(said.state)


@pytest.mark.long
@pytest.mark.requirement("WFL-STATUS-040")
def test_every_step_of_an_attempt_is_said_and_nothing_stays(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, policy=Policy(gate=GatePolicy(command="true")))
    check = {"kind": "command", "command": "true"}
    add_task(workspace, "a", command="echo 1 > x", write=("x",), verify=(check,), retry=AT_ONCE)
    listener = Noting(workspace)
    drive(workspace, listener=listener)
    assert listener.states == ["starting", "running", "verifying", "gating", "merging"]
    assert list((workspace.ledger.layout.local / "phases").iterdir()) == []


@pytest.mark.requirement("WFL-STATUS-041")
def test_work_goes_on_where_nothing_can_be_noted(workspace: Workspace) -> None:
    (workspace.ledger.layout.local / "phases").write_text("no folder")
    add_task(workspace, "a", command="true")
    assert drive(workspace).verdict.state == "succeeded"


@pytest.mark.requirement("WFL-STATUS-044")
def test_run_that_nobody_drives_is_called_idle(workspace: Workspace) -> None:
    add_task(workspace, "a")
    assert [line.is_idle for line in overview(workspace).runs] == [True]
    with driving(workspace, "r1", slots=1):
        assert [line.is_idle for line in overview(workspace).runs] == [False]
    with driving(workspace, None, slots=1):
        assert is_driven("r1", driven(workspace))
    assert driven(workspace) == frozenset()
    start(workspace, "r1.a")  # somebody who drives himself
    assert [line.is_idle for line in overview(workspace).runs] == [False]


def test_board_reads_only_what_has_changed(workspace: Workspace) -> None:
    for number in range(3):
        add_task(workspace, f"t{number}")
    board = Board(workspace)
    assert [row.state for row in board.look().rows] == [State.QUEUED] * 3
    start(workspace, "r1.t1")
    first, *rest = board.look().rows
    assert (first.task, first.state, first.worker) == ("r1.t1", State.LEASED, "worker")
    assert [row.task for row in rest] == ["r1.t0", "r1.t2"]
    phases.note(workspace, "r1.t1", 1, State.RUNNING_TOOL, text="pytest")
    assert board.look().rows[0].text == "pytest"


def test_board_of_one_run_shows_that_run(workspace: Workspace) -> None:
    add_run(workspace, "r2")
    add_task(workspace, "a")
    start(workspace, add_task(workspace, "b", run_id="r2").id)
    seen = Board(workspace, "r2").look()
    assert [row.task for row in seen.rows] == ["r2.b"]
    assert [run.run for run in seen.runs] == ["r2"]
    assert workspace.ledger.names(Status.WAITING) == ["r1.a"]
