"""What the end of a task means to those that depend on it, and what a run has come to.

Pure: it is told where tasks stand and answers whether a consumer may start, can never start, or
waits, and for whom (spec 30, "Dependencies").
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from wfledger.core.documents import Task
from wfledger.core.statuses import Status

#: Blocks that a person may lift, but that count as an end for consumers under skip_continue.
#: Questions, stops and trouble of the machine are no verdict on the task and never settle.
FINAL_CODES: Final = frozenset(
    {
        "exhausted", "task", "timeout", "idle", "silence", "no_change", "out_of_scope",
        "verification", "conflict", "gate", "read_only_violation", "dependency_cancelled",
        "request", "content", "budget", "undone", "gate_failed", "no_winner",
        "script",
    }
)


@dataclass(frozen=True)
class Standing:
    """Where a task stands, as far as others care."""

    status: Status
    on_failure: str
    block_code: str | None = None
    #: Something else was done in its place, so that nothing is missing without it.
    is_superseded: bool = False

    @classmethod
    def of(cls, task: Task, status: Status) -> "Standing":
        """Return the standing of *task* in *status*."""
        code = task.block.code if task.block and status is Status.BLOCKED else None
        superseded = status is Status.CANCELLED and task.hold is not None and (
            task.hold.code == "superseded"
        )
        return cls(status, task.spec.on_failure, code, is_superseded=superseded)

    @property
    def failed_for_good(self) -> bool:
        """Whether it ended without success as far as automation goes."""
        if self.status is Status.CANCELLED:
            return True
        return self.status is Status.BLOCKED and self.block_code in FINAL_CODES


@dataclass(frozen=True)
class Readiness:
    """What the dependencies of one task say."""

    kind: Literal["ready", "waits", "never"]
    #: Settled without a result: handed to the consumer as `missing`.
    missing: tuple[str, ...] = ()
    #: Dependencies that are open, or the one that makes it impossible.
    on: tuple[str, ...] = ()


def readiness(task: Task, standings: Mapping[str, Standing]) -> Readiness:
    """Whether the dependencies of *task* let it start (WFL-STATUS-012).

    A dependency that does not exist never will: it counts as cancelled.
    """
    started = task.control.on if task.control else ()
    if task.control is None or not task.control.any_of:
        return _all_of((*task.spec.after, *started), standings)
    found = _all_of(task.spec.after, standings)
    if found.kind != "ready" or not started or any(_settled(standings.get(n)) for n in started):
        return found
    return Readiness("waits", found.missing, started)


def _all_of(names: Iterable[str], standings: Mapping[str, Standing]) -> Readiness:
    missing, waits = [], []
    for dependency in names:
        standing = standings.get(dependency)
        if standing is None:
            return Readiness("never", on=(dependency,))
        if standing.status is Status.DONE or standing.is_superseded:
            continue
        if not standing.failed_for_good:
            waits.append(dependency)
        elif standing.on_failure == "skip_continue":
            missing.append(dependency)
        elif standing.status is Status.CANCELLED:
            return Readiness("never", on=(dependency,))
        else:
            waits.append(dependency)
    if waits:
        return Readiness("waits", tuple(missing), tuple(waits))
    return Readiness("ready", tuple(missing))


def _settled(standing: Standing | None) -> bool:
    """Whether nothing more is to come of a task; one that is not there has nothing to come."""
    return standing is None or standing.status is Status.DONE or standing.failed_for_good


def is_lifted(task: Task) -> bool:
    """Whether a person has decided that *task* goes on, and no attempt has ended since."""
    if task.accepted is not None:
        return True
    return task.forgiven > 0 and all(a.number <= task.forgiven for a in task.attempts)


def is_halted(task: Task, run_state: str) -> bool:
    """Whether its run keeps a waiting *task* from going on.

    An abort gives up what nobody has decided on since; a pause holds everything.
    """
    if run_state == "aborted":
        return not is_lifted(task)
    return run_state != "open"


def aborts(standings: Iterable[Standing]) -> bool:
    """Whether a task whose failure aborts its run has failed for good."""
    return any(s.on_failure == "abort" and s.failed_for_good for s in standings)


@dataclass(frozen=True)
class Verdict:
    """What a run has come to, with the exit status that says so."""

    state: Literal["running", "succeeded", "degraded", "failed", "waits"]
    done: int
    total: int
    #: Of the work that was due, how much ended with success; what no arm or round has begun, and
    #: what only decides or asks, is no part of it (WFL-CTRL-016).
    covered: int = 0
    due: int = 0

    def coverage(self) -> dict[str, int]:
        """Return the shape that verbs print."""
        return {"succeeded": self.covered, "due": self.due}

    @property
    def exit_status(self) -> int:
        """The exit status of `run` (spec 80)."""
        return {"succeeded": 0, "failed": 1, "degraded": 9, "waits": 10, "running": 75}[self.state]


def verdict(
    standings: Mapping[str, Standing], *, movable: bool, aborted: bool, degraded: bool,
    aside: Collection[str] = (),
) -> Verdict:  # fmt: skip
    """Return the verdict on a run of tasks.

    *movable*: something can still happen without a person. *degraded*: a task ran without one of
    its inputs. *aside*: tasks that are no work, so that nothing has succeeded when only they have.
    """
    due = {name: one for name, one in standings.items() if name not in aside}
    counts = (_done(standings), len(standings), _done(due), len(due))
    if aborted and not movable:
        return Verdict("failed", *counts)
    if _done(standings) == len(standings):
        return Verdict("degraded" if degraded else "succeeded", *counts)
    if movable:
        return Verdict("running", *counts)
    open_ones = [s for s in standings.values() if s.status is not Status.DONE]
    if all(_is_over(s) for s in open_ones):
        return Verdict("degraded" if _done(due or standings) else "failed", *counts)
    return Verdict("waits", *counts)


def _done(standings: Mapping[str, Standing]) -> int:
    return sum(1 for one in standings.values() if one.status is Status.DONE)


def _is_over(standing: Standing) -> bool:
    """Whether nobody is expected to do anything more about a task that is not done."""
    if standing.status is Status.CANCELLED:
        return True
    return standing.failed_for_good and standing.on_failure == "skip_continue"
