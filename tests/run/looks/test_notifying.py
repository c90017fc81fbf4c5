"""People are told once of each thing they should know, and nothing waits for that."""

import json
import multiprocessing
import shlex
from pathlib import Path

import pytest

from tests.support.engines import drive
from tests.support.workspaces import add_task, make_workspace, open_workspace, put_merging
from wfledger.core.outcome import block
from wfledger.core.statuses import Actor, Status
from wfledger.errors import InvalidDocumentError
from wfledger.run import pausing
from wfledger.run.config.fleetfile import load
from wfledger.run.looks.notifying import Notifier
from wfledger.run.money import breakers
from wfledger.run.people import answer, retry
from wfledger.run.scheduler import Scheduler
from wfledger.run.workers.launch import Trouble
from wfledger.run.workspace import Workspace


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where the command writes what it was told."""
    return tmp_path / "told"


@pytest.fixture
def workspace(tmp_path: Path, told: Path) -> Workspace:
    """A ledger whose people are told by a line in a file."""
    said = f'"$WFLEDGER_EVENT $WFLEDGER_TASK $WFLEDGER_RUN" >> {shlex.quote(str(told))}'
    return make_workspace(tmp_path, fleet=f"[notify]\ncommand = '''echo {said}'''\n")


def blocks(workspace: Workspace, node: str, code: str = "task") -> str:
    """Block a task; return its id."""
    task = put_merging(workspace, node, {}, allow_no_change=True)
    with workspace.ledger.transaction("test") as changes:
        changes.move(
            task.id, Status.BLOCKED, actor=Actor.MERGER, why="test", block=block(task, code, "so")
        )
    return task.id


def look(workspace: Workspace, said: list[tuple[str, str]] | None = None) -> None:
    """Look once, as a process that has just been started."""
    reported = [] if said is None else said
    notifier = Notifier(
        workspace, run_id=None, report=lambda who, text: reported.append((who, text))
    )
    notifier.close(Scheduler(workspace).step(slots=1))


def look_there(root: Path) -> None:
    look(open_workspace(root))


def lines(told: Path) -> list[str]:
    return [line.strip() for line in told.read_text().splitlines()] if told.exists() else []


@pytest.mark.requirement("WFL-RESULT-060")
def test_each_event_is_told_once(workspace: Workspace, told: Path) -> None:
    task_id = blocks(workspace, "a", "question")
    look(workspace)
    look(workspace)
    assert lines(told) == [f"needs_person {task_id} r1", "run_over  r1"]
    answer(workspace, task_id, "so it is")
    look(workspace)
    assert len(lines(told)) == 2


@pytest.mark.requirement("WFL-RESULT-060")
def test_refusal_of_a_provider_is_told_once(workspace: Workspace, told: Path) -> None:
    breakers.note(workspace, "near", Trouble("auth", "wrong key"))
    breakers.note(workspace, "far", Trouble("overload", "busy"))
    for _ in range(2):
        look(workspace)
        assert lines(told).count("provider") == 1


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-060")
def test_next_attempt_is_another_event(workspace: Workspace, told: Path) -> None:
    add_task(workspace, "a", command="exit 3", limits={"wall_s": 40.0})
    drive(workspace, slots=1)
    retry(workspace, "r1.a")
    drive(workspace, slots=1)
    assert lines(told) == ["needs_person r1.a r1", "run_over  r1"] * 2


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-060")
def test_many_processes_tell_it_once(workspace: Workspace, told: Path) -> None:
    task_id = blocks(workspace, "a")
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=look_there, args=(workspace.main,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert sorted(lines(told)) == [f"needs_person {task_id} r1", "run_over  r1"]


@pytest.mark.requirement("WFL-RESULT-060")
def test_what_died_before_it_was_told_is_not_told_again(workspace: Workspace, told: Path) -> None:
    blocks(workspace, "a")
    look(workspace)
    told.unlink()  # as if its process had died between the record and the command
    look(workspace)
    assert lines(told) == []


@pytest.mark.requirement("WFL-RESULT-062")
def test_it_is_given_all_in_two_forms(workspace: Workspace, told: Path) -> None:
    (workspace.ledger.layout.root / "fleet.toml").write_text(
        f"[notify]\ncommand = ['sh', '-c', 'cat > {told}; env >> {told}']\n"
        "events = ['needs_person']\n"
    )
    task_id = blocks(workspace, "a", "question")
    look(workspace)
    first, *environment = told.read_text().splitlines()
    body, _, rest = first.partition("}")
    said = json.loads(body + "}")
    expected = {"event": "needs_person", "task": task_id, "run": "r1", "attempt": 1,
                "reason": "question: so", "command": f"wfledger answer {task_id} 'YOUR ANSWER'"}  # fmt: skip
    assert said | expected == said
    assert said["repository"] == str(workspace.main)
    given = dict(line.partition("=")[::2] for line in [rest, *environment])
    assert given | {
        "WFLEDGER_EVENT": "needs_person", "WFLEDGER_TASK": task_id, "WFLEDGER_RUN": "r1",
        "WFLEDGER_REASON": "question: so", "WFLEDGER_COMMAND": expected["command"],
    } == given  # fmt: skip


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-065")
def test_burst_is_told_by_few(workspace: Workspace, told: Path) -> None:
    for number in range(9):
        blocks(workspace, f"t{number}")
    look(workspace)
    look(workspace)
    needed = [line for line in lines(told) if line.startswith("needs_person")]
    assert needed == [*(f"needs_person r1.t{number} r1" for number in range(4)), "needs_person"]


@pytest.mark.requirement("WFL-RESULT-063")
def test_command_that_fails_is_reported_once(workspace: Workspace) -> None:
    (workspace.ledger.layout.root / "fleet.toml").write_text(
        "[notify]\ncommand = 'echo no such channel >&2; exit 4'\n"
    )
    blocks(workspace, "a")
    said: list[tuple[str, str]] = []
    look(workspace, said)
    assert said == [("notify", "its command fails: exit status 4; no such channel")]


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-061")
def test_command_that_hangs_holds_nothing_up(workspace: Workspace) -> None:
    (workspace.ledger.layout.root / "fleet.toml").write_text(
        "[notify]\ncommand = 'sleep 77 & sleep 77'\ntimeout = 1\nevents = ['needs_person']\n"
    )
    blocks(workspace, "a")
    said: list[tuple[str, str]] = []
    notifier = Notifier(workspace, run_id=None, report=lambda *one: said.append(one))
    step = Scheduler(workspace).step(slots=1)
    notifier.look(step)
    notifier.look(step)
    assert said == []  # it has just begun
    notifier.close(step)
    ((_, text),) = said
    assert text.startswith("its command fails: it ran for 1 s, its limit")


@pytest.mark.long
def test_each_pause_is_told(workspace: Workspace, told: Path) -> None:
    for _ in range(2):
        pausing.set_paused(workspace, "lunch")
        look(workspace)
        look(workspace)
        pausing.set_paused(workspace, None)
        look(workspace)
    pausing.raise_alarm(workspace, "changed", "somebody did", command="wfledger trust")
    look(workspace)
    assert [line for line in lines(told) if line.startswith("paused")] == ["paused"] * 3


def test_what_a_person_stopped_is_not_told(workspace: Workspace, told: Path) -> None:
    blocks(workspace, "a", "stopped")
    look(workspace)
    assert lines(told) == ["run_over  r1"]


@pytest.mark.parametrize(
    "text", ["command = 3", "command = ''", "command = 'x'\nevents = ['rain']", "comand = 'x'"]
)
def test_wrong_settings_are_refused(text: str) -> None:
    with pytest.raises(InvalidDocumentError):
        load(f"[notify]\n{text}\n")
