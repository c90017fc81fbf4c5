"""A landing that is killed anywhere is finished or begun again by the next one, with one effect."""

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.faults import kill_at, raise_at, trace_to
from tests.support.landings import announce, assert_landed_once, land, land_there, places
from tests.support.marks import rarely
from tests.support.repos import git
from tests.support.workspaces import BRANCH, make_workspace, move_branch, put_merging
from wfledger import faults
from wfledger.core.documents import Check, Task
from wfledger.core.policy import GatePolicy, Policy
from wfledger.core.statuses import Status
from wfledger.run.attempts import worktrees
from wfledger.run.merger.landing import Deferred
from wfledger.run.workspace import Workspace

FILES = {"src/a.py": "A = 1\n", "src/b.py": "B = 1\n"}
OWN = {name for name in faults.names() if name.startswith(("landing.", "cleanroom."))}
#: How the points that a landing passes are shared out, so that each test is short.
SHARES = 4


def _fresh(tmp_path: Path) -> tuple[Workspace, Task]:
    """A result that is to be verified, merged with what landed meanwhile, gated and landed."""
    policy = Policy(gate=GatePolicy(command="grep -q 2 src/a.py"))
    workspace = make_workspace(tmp_path, FILES, policy=policy)
    check = (Check(kind="command", command="grep -q 1 src/b.py"),)
    task = put_merging(
        workspace, "one", {"src/a.py": "A = 2\n"}, verify=check, deliverables=("src/a.py",)
    )
    move_branch(workspace.main, {"src/b.py": "B = 2\n"})
    return workspace, task


def _announced(tmp_path: Path) -> tuple[Workspace, Task]:
    """A landing that was announced and did not happen, though its proof is there."""
    workspace, task = _fresh(tmp_path)
    intent = announce(workspace, task)
    git(workspace.main, "update-ref", f"refs/wfledger/landed/{task.id}", intent.candidate)
    move_branch(workspace.main, {"src/c.py": "C = 2\n"})
    return workspace, task


def _happened(tmp_path: Path) -> tuple[Workspace, Task]:
    """A landing that happened and has no proof yet."""
    workspace, task = _fresh(tmp_path)
    git(workspace.main, "update-ref", BRANCH, announce(workspace, task).candidate)
    return workspace, task


def _conflicting(tmp_path: Path) -> tuple[Workspace, Task]:
    """A result that does not fit."""
    workspace, task = _fresh(tmp_path)
    move_branch(workspace.main, {"src/a.py": "A = 3\n"})
    return workspace, task


def _judged(tmp_path: Path) -> tuple[Workspace, Task]:
    """A result that another task is to judge."""
    workspace = make_workspace(tmp_path, FILES)
    judge = (Check(kind="task", command="true"),)
    return workspace, put_merging(workspace, "one", {"src/a.py": "A = 2\n"}, verify=judge)


Scene = Callable[[Path], tuple[Workspace, Task]]
_CHECKED = {"landing.leased", "landing.recovered", "landing.checked"}
_TESTED = {"landing.delivered", "landing.verified", "cleanroom.prepared", "cleanroom.remembered"}
_END = {"landing.proof-made", "landing.noted", "landing.done"}
#: Scene -> the points that a landing passes in it.
SCENES: dict[Scene, set[str]] = {
    _fresh: {
        *_CHECKED, *_TESTED, *_END, "landing.candidate", "landing.gated",
        "landing.intent-written", "landing.ref-moved",
    },
    _announced: {"landing.fenced", "landing.proof-dropped", "landing.intent-dropped", "landing.ref-moved"},
    _happened: {"landing.leased", "landing.fenced", *_END},
    _conflicting: {*_CHECKED, *_TESTED, "landing.refused"},
    _judged: {"landing.verifier-added", "landing.verifiers-asked"},
}  # fmt: skip
CASES = [(scene, point) for scene, points in SCENES.items() for point in sorted(points)]


def _kill(workspace: Workspace, task: Task, point: str, hit: int = 1) -> bool:
    """Land from a process that dies at *point*; return whether it came there."""
    child = processes.start(land_there, workspace.main, task.id, env=kill_at(point, hit))
    status = child.wait()
    assert status in {0, -signal.SIGKILL}, child.output()
    child.close()
    return status != 0


def _assert_over(workspace: Workspace, task: Task, scene: Scene) -> None:
    """Land once more, and check that everything has happened exactly once."""
    assert land(workspace, task) == land(workspace, task)
    if scene is _conflicting:
        entry = workspace.ledger.get(task.id)
        assert places(workspace, task.id) == [Status.BLOCKED]
        assert [attempt.outcome for attempt in entry.task.attempts] == ["conflict"]
        assert git(workspace.main, "for-each-ref", "refs/wfledger/landed") == ""
    elif scene is _judged:
        waiting = [task.id for task in workspace.ledger.tasks(Status.WAITING)]
        assert (places(workspace, task.id), waiting) == ([Status.MERGING], ["r1.one-v1"])
    else:
        made = assert_landed_once(workspace, task)
        assert git(workspace.main, "show", f"{made}:src/a.py") == "A = 2"
    assert worktrees.recorded(workspace) == []
    assert workspace.ledger.marker.get() is None
    git(workspace.main, "fsck", "--no-dangling")


def test_every_point_of_a_landing_is_crashed_at() -> None:
    assert {point for _, point in CASES} == OWN


@pytest.mark.requirement("WFL-LAND-010")
@pytest.mark.requirement("WFL-LAND-021")
@pytest.mark.sampled(48)
@pytest.mark.parametrize(("scene", "point"), CASES)
def test_landing_killed_at_a_point_of_its_own_is_made_good(
    tmp_path: Path, scene: Scene, point: str
) -> None:
    workspace, task = scene(tmp_path)
    assert _kill(workspace, task, point)
    _assert_over(workspace, task, scene)


@pytest.mark.requirement("WFL-REC-001")
@pytest.mark.sampled(48)
@pytest.mark.parametrize(("scene", "point"), CASES)
def test_landing_that_fails_at_a_point_of_its_own_is_put_off_and_made_good(
    tmp_path: Path, scene: Scene, point: str
) -> None:
    workspace, task = scene(tmp_path)
    child = processes.start(land_there, workspace.main, task.id, env=raise_at(point))
    landing = child.result()
    assert isinstance(landing, Deferred)
    assert "fault ordered" in landing.reason
    _assert_over(workspace, task, scene)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("second", ["landing.leased", "landing.proof-made", "landing.noted"])
def test_recovery_that_is_killed_is_made_good(tmp_path: Path, second: str) -> None:
    workspace, task = _fresh(tmp_path)
    assert _kill(workspace, task, "landing.ref-moved")
    assert _kill(workspace, task, second)
    _assert_over(workspace, task, _fresh)


@pytest.mark.long
@pytest.mark.parametrize("share", [0, *map(rarely, range(1, SHARES))])
@pytest.mark.parametrize("scene", [_fresh, _happened, _conflicting])
def test_landing_killed_at_any_point_is_made_good(tmp_path: Path, scene: Scene, share: int) -> None:
    workspace, task = scene(tmp_path / "traced")
    trace = tmp_path / "trace"
    processes.start(land_there, workspace.main, task.id, env=trace_to(trace)).result()
    passed = Counter(trace.read_text().split())  # its own points are died at above
    others = sorted((point, times) for point, times in passed.items() if point not in OWN)
    # Of the others each has one: its first, or one in the middle, by turns.
    cases = [
        (point, (times + 1) // 2 if number % 2 else 1)
        for number, (point, times) in enumerate(others)
    ]
    for point, hit in cases[share::SHARES]:
        workspace, task = scene(tmp_path / f"{point}-{hit}")
        assert _kill(workspace, task, point, hit), (point, hit)
        _assert_over(workspace, task, scene)
