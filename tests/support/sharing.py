"""Machines that share one ledger through a bare repository, as clones of it in one folder."""

from collections.abc import Iterable
from pathlib import Path

from tests.support.repos import git, make_repo
from tests.support.workspaces import open_workspace
from wfledger.clock import Clock, SystemClock, iso
from wfledger.core.documents import Grant, Task
from wfledger.core.policy import Policy
from wfledger.core.records import canonical
from wfledger.core.statuses import Status
from wfledger.run.hub import trusting
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.proposals import Proposal, Proposer, Sight, TaskMove
from wfledger.run.hub.state import Hub, State, write_hub, write_state
from wfledger.run.setup import initialise
from wfledger.run.workspace import Workspace
from wfledger.store.evidence import look_at

LEDGER = "refs/wfledger/ledger"


def share(
    tmp_path: Path, machines: int = 2, *, policy: Policy | None = None,
    clock: Clock | None = None, atomic: bool = True,
) -> list[Workspace]:
    """Make `tmp_path/hub.git` and machines `m0`, `m1`, … of it, each with the same empty ledger.

    The server moves several refs all or none where *atomic* says so.
    """
    clock = clock or SystemClock()
    tmp_path.mkdir(exist_ok=True)
    hub = tmp_path / "hub.git"
    first = make_repo(tmp_path / "m0", {"README.md": "# sample\n"})
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(hub))
    git(hub, "config", "receive.advertiseAtomic", str(atomic).lower())
    initialise(first, clock=clock, policy=policy)
    git(first, "push", "--quiet", str(hub), "main", f"wfledger:{LEDGER}")
    for number in range(1, machines):
        other = tmp_path / f"m{number}"
        git(tmp_path, "clone", "--quiet", str(hub), str(other))
        git(other, "fetch", "--quiet", "origin", f"{LEDGER}:refs/heads/wfledger")
        initialise(other, clock=clock)
    roots = [tmp_path / f"m{number}" for number in range(machines)]
    return [_joined(root, hub, clock, atomic=atomic) for root in roots]


def _joined(root: Path, hub: Path, clock: Clock, *, atomic: bool) -> Workspace:
    workspace = open_workspace(root, clock=clock)
    tip = git(root, "rev-parse", "refs/heads/wfledger")
    begun = git(root, "rev-list", "--max-parents=0", tip)
    local = workspace.ledger.layout.local
    write_hub(local, Hub("origin", str(hub), "hidden", atomic=atomic, root=begun))
    write_state(local, State(applied=tip))
    trusting.accept(workspace)
    return workspace


def reopened(workspace: Workspace) -> Workspace:
    """Open a machine's ledger as another process would."""
    return open_workspace(workspace.main, clock=workspace.clock)


def synced(*workspaces: Workspace, proposers: Iterable[Proposer] = ()) -> list[Met]:
    """Let each machine meet the remote once, in that order."""
    return [meet(workspace, tuple(proposers)) for workspace in workspaces]


def granting(workspace: Workspace, sight: Sight) -> list[Proposal]:
    """Ask for everything that waits."""
    del sight
    return [granted(workspace, task) for task in workspace.ledger.tasks(Status.WAITING)]


def granted(workspace: Workspace, task: Task) -> Proposal:
    """Return the proposal that a waiting task is this machine's."""
    grant = Grant(machine=workspace.machine.id, since=iso(workspace.clock.now()))
    offered = task.next(attempt=task.attempt + 1, grant=grant)
    move = TaskMove(offered, Status.WAITING, Status.PENDING, "scheduler", "granted")
    return Proposal(f"grant {task.id}", (move,))


def statuses(workspace: Workspace) -> dict[str, str]:
    """Return where the directory has each task; raises where one is there twice."""
    found: dict[str, str] = {}
    for status in Status:
        for name in workspace.ledger.names(status):
            assert name not in found, f"{name} is in {found[name]} and in {status.value}"
            found[name] = status.value
    return found


def on_hub(workspace: Workspace) -> dict[str, bytes]:
    """Return the files of the ledger that the remote has: path to content."""
    hub = workspace.hub
    assert hub is not None
    tip = git(Path(hub.url), "rev-parse", hub.names.ledger)
    listed = git(Path(hub.url), "ls-tree", "-r", "-z", tip).split("\0")
    names = [line.split("\t", 1) for line in listed if line]
    return {
        name: git(Path(hub.url), "cat-file", "blob", facts.split()[2]).encode() + b"\n"
        for facts, name in names if name.endswith(".json")
    }


def shows_the_tip(workspace: Workspace) -> None:
    """Check that the directory is what the remote has, as this machine shows it."""
    expected = {}
    for path, raw in on_hub(workspace).items():
        folder = path.partition("/")[0]
        if folder not in {status.value for status in Status}:
            continue
        seen = look_at(Status(folder), raw, here=workspace.machine.id)
        assert seen is not None, path
        assert seen.task is not None, path
        expected[seen.task.id] = (seen.status.value, canonical(seen.task))
    found = {}
    for name, status in statuses(workspace).items():
        found[name] = (status, workspace.ledger.layout.task(Status(status), name).read_bytes())
    assert found == expected
