"""What must hold when a torture of many machines is over: they agree, and nothing was done twice.

The hub's history is the witness: it is held against the protocol, against what each machine has
ever taken for confirmed, against what the workers wrote down, and against each machine's folders.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from wfledger.core.linear import Fault, Lost, Told
from wfledger.core.statuses import Status
from wfledger.run.chaos.absences import LEDGER
from wfledger.run.chaos.clones import Clone, World
from wfledger.run.chaos.invariants import Violation, guarded, of_faults, of_files
from wfledger.run.chaos.replaying import of_content, of_landings
from wfledger.run.chaos.verdict import of_defects, of_effects, of_findings, of_objects
from wfledger.run.chaos.weather import confirmed
from wfledger.run.histories import STATUSES, Checked, Reading, check
from wfledger.run.hub import losses
from wfledger.run.workspace import Workspace

#: Where a task goes whose machine is silent.
_TAKEN: Final = frozenset({Status.WAITING, Status.BLOCKED, Status.DONE})


def checked(world: World) -> Checked:
    """Hold the history against the protocol and against what each machine said."""
    said = [*_worked(world), *_added(world)]
    given_up = [one for clone in world.clones for one in _lost(clone)]
    return check(world.clones[0].workspace(), said=said, lost=given_up)


def violations(world: World, found: Checked, *, seen: Iterable[str]) -> list[Violation]:
    """Return everything that must not be, once nothing runs any more and all have met the hub.

    *seen* are commits that some machine took for confirmed once.
    """
    first = world.clones[0].workspace()
    parts = {
        "history": of_faults(found.faults),
        "seen": _of_seen(first, seen),
        "end": _of_end(world, first),
        "work": _of_work(world, first),
        **{f"machine {one.name}": _of_clone(world, one) for one in world.clones},
        "branches": _of_branches(world),
    }
    return list(chain.from_iterable(guarded(name, part) for name, part in parts.items()))


def executions(world: World) -> "Counter[tuple[str, int]]":
    """Return how often the work of each attempt was begun, anywhere."""
    return Counter((task, attempt) for task, attempt, _ in _ran(world))


def _ran(world: World) -> Iterator[tuple[str, int, str]]:
    for line in _lines(world, "ran"):
        task, attempt, machine, _ = line.split()
        yield task, int(attempt), machine


def _worked(world: World) -> Iterator[Told]:
    """Yield what each work that was begun says: that its attempt was claimed on that machine."""
    for task, attempt, machine in sorted(set(_ran(world))):
        yield Told(machine, task, Status.PENDING, Status.IN_PROGRESS, attempt, 0.0, 1.0)


def _added(world: World) -> Iterator[Told]:
    for name in sorted(world.jobs):
        yield Told("somebody", name, None, Status.WAITING, 0, 0.0, 1.0)


def _lost(clone: Clone) -> Iterator[Lost]:
    for one in losses.read(clone.workspace()):
        if one.target in STATUSES:
            yield Lost(clone.name, one.task, Status(one.target), one.attempt, one.because)


def _of_seen(first: Workspace, seen: Iterable[str]) -> Iterator[Violation]:
    tip = first.history.tip()
    line = set(Reading(first, tip).line) if tip else set()
    for oid in sorted(set(seen) - line):
        yield Violation("lost", oid, "some machine took it for confirmed, and it is not there")


def _of_end(world: World, first: Workspace) -> Iterator[Violation]:
    for name in sorted(world.jobs):
        entry = first.ledger.find(name)
        if entry is None:
            yield Violation("lost", name, "it was added, and is nowhere")
        elif entry.status is Status.CANCELLED and name not in world.unwanted:
            yield Violation("lost", name, "it is cancelled, and nobody wanted that")
        elif not entry.status.is_final:
            why = entry.task.block.reason if entry.task.block else entry.task.hold
            yield Violation("unfinished", name, f"it is {entry.status.value}: {why}")


def _of_branches(world: World) -> Iterator[Violation]:
    """Hold the branch of each run against its tasks, and against what the hub has.

    Last: what was merged lies with who made it, so the first machine borrows from all others.
    """
    first = world.clones[0].workspace()
    lenders = [clone.repo / ".git" / "objects" for clone in world.clones[1:]]
    info = first.common_dir / "objects" / "info" / "alternates"
    info.write_text("".join(f"{path}\n" for path in lenders))
    done = {task.id for task in first.ledger.tasks(Status.DONE)}
    for run in first.ledger.runs():
        there = world.hub.tip(run.branch)
        if there is None:
            continue
        if first.repo.tip(run.branch) != there:
            yield Violation("landing", run.branch, "it is not here what it is on the hub")
        yield from of_landings(first, run)
        jobs = {name: job for name, job in world.jobs.items() if name in done}
        own = {name: job for name, job in jobs.items() if name.partition(".")[0] == run.id}
        yield from of_effects(first, run.branch, own)


def _of_work(world: World, first: Workspace) -> Iterator[Violation]:
    """Hold what workers wrote down against the grants: each attempt was begun once, and where."""
    for (task, attempt), count in sorted(executions(world).items()):
        if count > 1:
            yield Violation("doubled", task, f"attempt {attempt} was worked on {count} times")
    for line in _lines(world, "not-alone"):
        yield Violation("orphan", line, "an earlier attempt still ran beside it on its machine")
    ids = {clone.name: clone.workspace().machine.id for clone in world.clones}
    granted = _granted(first)
    for task, attempt, machine in sorted(set(_ran(world))):
        owner = granted.get((task, attempt))
        if owner != ids[machine]:
            message = f"attempt {attempt} was worked on by {ids[machine]}, granted to {owner}"
            yield Violation("doubled", task, message)


def taken_over(world: World) -> dict[str, int]:
    """Count what went on with others since its machine was silent, and the work that came too late.

    Late is a result that its worker had finished, and that counts for nothing.
    """
    first = world.clones[0].workspace()
    tip = first.history.tip()
    granted = _granted(first)
    over: dict[Status, set[tuple[str, int]]] = {status: set() for status in Status}
    for one in Reading(first, tip).steps() if tip else ():
        if isinstance(one, Fault) or one.source is None or not one.source.holds_scope:
            continue
        owner = granted.get((one.task, one.attempt))
        if one.machine not in {None, owner} and one.target in _TAKEN:
            over[one.source].add((one.task, one.attempt))
    finished = {tuple(line.split()[:2]) for line in _lines(world, "finished")}
    late = {(task, n) for task, n in over[Status.IN_PROGRESS] if (task, str(n)) in finished}
    return {
        "offers taken back from silent machines": len(over[Status.PENDING]),
        "attempts taken over": len(over[Status.IN_PROGRESS]),
        "landings taken over": len(over[Status.MERGING]),
        "results that came too late": len(late),
    }


def _lines(world: World, name: str) -> list[str]:
    return (world.notes / name).read_text().splitlines()


def _granted(first: Workspace) -> dict[tuple[str, int], str | None]:
    tip = first.history.tip()
    steps = Reading(first, tip).steps() if tip else ()
    return {
        (one.task, one.attempt): (one.known.grant if one.known else None) or one.machine
        for one in steps if not isinstance(one, Fault) and one.is_offer
        and one.target is Status.PENDING
    }  # fmt: skip


def _of_clone(world: World, clone: Clone) -> Iterator[Violation]:
    """Hold a machine's folders against the tip of the hub, and look for what is left over."""
    workspace = clone.workspace()
    tip, here = world.hub.tip(LEDGER), confirmed(clone)
    if tip != here:
        yield _on(clone, Violation("history", str(here), f"the hub has {tip}"))
        return
    if not workspace.ledger.journal.is_empty():
        yield _on(clone, Violation("history", "journal", "something of it is not on the hub"))
    if (workspace.ledger.layout.local / "hub" / "failed.log").exists():
        yield _on(clone, Violation("defect", "meeting", "one failed, see hub/failed.log"))
    for part in (
        of_files(workspace.ledger), of_content(workspace), of_findings(clone),
        of_objects(clone), of_defects(clone),
    ):  # fmt: skip
        for found in part:
            yield _on(clone, found)


def _on(clone: Clone, found: Violation) -> Violation:
    return Violation(found.invariant, f"{clone.name}: {found.subject}", found.message)
