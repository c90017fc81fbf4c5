"""Claims of several clones of one repository through a bare hub: grants beside loops of plain git.

Three ways to agree on who does what, each with the same number of processes, a clone for each, and
for the same time: grants and renames (ours, with the promotion and the end of each attempt besides
its claim), one shared ref that everybody fetches, commits to and pushes, and one ref for each claim
that may only be created once.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.bench import hubloops
from tests.bench.measuring import Ratio, Row, Sizes, Table
from tests.support import processes
from tests.support.sharing import share
from tests.support.workspaces import open_workspace
from wfledger.core import outcome
from wfledger.core.documents import Task, TaskSpec
from wfledger.core.statuses import Actor, Status
from wfledger.errors import NothingToClaimError, PausedError
from wfledger.run.attempts.claims import claim, closed
from wfledger.run.hub.asking import meet_now
from wfledger.run.hub.attending import Attending
from wfledger.run.presence import driving
from wfledger.run.submit import ensure_run, new_task, standing_run
from wfledger.run.workspace import Workspace
from wfledger.vcs import remote

OURS, NAIVE, REFS = "grants and renames", "fetch, commit, push, retry", "one ref for each claim"
_PUSHES: Final = "pushes for 100 transitions"
#: Attempts at once on each machine.
_SLOTS: Final = 4
_LOOK_S: Final = 0.02
#: Until each machine knows how long its attempts take and how long a round does.
_WARM_UP_S: Final = 10.0


@dataclass
class Seat:
    """What one machine did."""

    claims: int = 0
    pushes: int = 0
    transitions: int = 0
    seconds: float = 0.0
    #: How long its workers were without an offer, each time.
    waits: list[float] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


def table(sizes: Sizes, folder: Path) -> Table:
    """Measure the three ways one after the other."""
    found = Table(
        f"claims a second, {sizes.processes} clones of one hub, {sizes.claiming} s",
        ratios=[Ratio(OURS, NAIVE, ">=", 10.0), Ratio(OURS, REFS, ">=", 1.0),
                Ratio(_worst(OURS), None, ">=", 0.1), Ratio(_PUSHES, None, "<=", 2.0)],
    )  # fmt: skip
    tasks = sizes.processes * sizes.claiming * 20
    grants = _grants(sizes, folder / "grants", tasks)
    _add(found, OURS, grants)
    waits = sorted(wait for seat in grants for wait in seat.waits)
    if waits:
        late = waits[int(0.95 * (len(waits) - 1))]
        found.add(Row("wait for a grant, p95", late, "s", f"{len(waits)} waits"))
    transitions = sum(seat.transitions for seat in grants)
    pushes = sum(seat.pushes for seat in grants)
    found.add(Row(_PUSHES, 100 * pushes / max(transitions, 1), "",
                  f"{pushes} pushes, {transitions} transitions"))  # fmt: skip
    for name, fill, work in (
        (NAIVE, hubloops.fill_ref, hubloops.claim_by_commits),
        (REFS, hubloops.fill_refs, hubloops.claim_by_refs),
    ):
        clones = fill(folder / name.partition(" ")[0], sizes.processes, tasks)
        _add(found, name, _plain(sizes, clones, work, tasks))
    return found


def _add(found: Table, name: str, seats: list[Seat]) -> None:
    claims = [seat.claims for seat in seats]
    taken = [item for seat in seats for item in seat.taken]
    twice = len(taken) - len(set(taken))
    # Others may be at work on this computer: what it came to is said beside each way.
    said = f"load {os.getloadavg()[0]:.1f}" + (f", {twice} TWICE" if twice else "")
    found.add(Row(name, sum(seat.claims / seat.seconds for seat in seats), "/s", said))
    share_of_worst = len(claims) * min(claims) / max(sum(claims), 1)
    each = ", ".join(str(one) for one in sorted(claims))
    found.add(Row(_worst(name), share_of_worst, "of an equal share", each))


def _worst(name: str) -> str:
    return f"its worst machine: {name}"


def _plain(
    sizes: Sizes, clones: list[Path], work: Callable[..., list[str]], tasks: int
) -> list[Seat]:
    arguments = [
        (clone, seat, len(clones), tasks, float(sizes.claiming))
        for seat, clone in enumerate(clones)
    ]
    taken = processes.race(work, arguments)
    return [Seat(len(one), taken=one, seconds=float(sizes.claiming)) for one in taken]


# -- wfledger ---------------------------------------------------------------------------------------


def _grants(sizes: Sizes, folder: Path, tasks: int) -> list[Seat]:
    folder.mkdir()
    machines = share(folder, sizes.processes)
    _add_tasks(machines[0], tasks)
    for machine in machines:
        meet_now(machine)
    arguments = [(machine.main, float(sizes.claiming)) for machine in machines]
    seats: list[Seat] = processes.race(_machine, arguments)
    return seats


def _add_tasks(workspace: Workspace, count: int) -> None:
    run = standing_run(workspace, None)
    with workspace.ledger.transaction("author") as changes:
        ensure_run(workspace, changes, run)
        for number in range(count):
            spec = TaskSpec(command="true", write=(f"f{number:05}",))
            changes.add(new_task(f"{run.id}.t{number:05}", spec, run.created))


def _machine(root: Path, seconds: float) -> Seat:
    """Claim what is granted to this machine and end it at once, while a thread syncs."""
    workspace, seat, over = open_workspace(root), Seat(), threading.Event()
    send = remote.push

    def counted(*args: Any, **kwargs: Any) -> remote.Pushed:
        seat.pushes += 1
        return send(*args, **kwargs)

    remote.push = counted  # type: ignore[assignment]
    with driving(workspace, None, slots=_SLOTS):
        syncer = threading.Thread(target=partial(_sync, workspace, over))
        syncer.start()
        deadline = time.monotonic() + _WARM_UP_S
        _work(workspace, seat, deadline)
        pushes, seat.claims, seat.waits[:] = seat.pushes, 0, []
        seat.transitions, seat.taken[:] = 0, []
        began = time.monotonic()
        _work(workspace, seat, began + seconds)
        seat.seconds, seat.pushes = time.monotonic() - began, seat.pushes - pushes
        over.set()
        syncer.join()
    return seat


def _sync(workspace: Workspace, over: threading.Event) -> None:
    attending = Attending(workspace)
    while not over.wait(_LOOK_S):
        if attending.is_due():
            attending.meet(within_s=10.0)


def _work(workspace: Workspace, seat: Seat, deadline: float) -> None:
    since: float | None = None
    while (now := time.monotonic()) < deadline:
        task = _claimed(workspace)
        if task is None:
            since = now if since is None else since
            time.sleep(_LOOK_S)
            continue
        if since is not None:
            seat.waits.append(time.monotonic() - since)
            since = None
        _end(workspace, task)
        seat.claims += 1
        seat.transitions += 3  # granted, claimed, ended
        seat.taken.append(task.id)


def _claimed(workspace: Workspace) -> Task | None:
    if not workspace.ledger.names(Status.PENDING):
        return None  # an engine sees as much by a look at the folder
    try:
        return claim(workspace, worker="bench", dispatches=True).task
    except (NothingToClaimError, PausedError):
        return None


def _end(workspace: Workspace, task: Task) -> None:
    with workspace.ledger.transaction("worker:bench") as changes:
        block = outcome.block(task, "task", "measured")
        changes.move(
            task.id, Status.BLOCKED, actor=Actor.WORKER, why="task", block=block,
            attempts=(*task.attempts, closed(workspace, task, "task", "measured")),
        )  # fmt: skip
