"""What a machine held that has been silent for longer than its lease goes on with others.

Asked at each meeting. What is proposed here changes nothing until the remote has confirmed it, so
of several machines that see the same silence one wins, and the machine that was taken for gone
finds its attempts over when it meets the remote again (WFL-HUB-053, 056). Offers are withdrawn; an
attempt counts as lost; a result that was about to land goes on to land without another attempt
where its work is at hand; and runs that it was the home of get another one.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.documents import Accepted, Hold, Result, Run, Task
from wfledger.core.hub import interval_s
from wfledger.core.silence import limit_s
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.attempts.closing import closed, failure
from wfledger.run.hub import clocks, keeping, landing
from wfledger.run.hub.machines import name_of
from wfledger.run.hub.proposals import Proposal, Sight, TaskMove
from wfledger.run.presence import driven
from wfledger.run.workspace import Workspace

#: By whom its steps are.
BY: Final = "finder"
#: A machine that is gone for so many times the limit takes work with it that nobody could fetch.
_GIVE_UP: Final = 2


def propose(workspace: Workspace, sight: Sight) -> list[Proposal]:
    """Return what to ask for of machines that are gone; changes nothing of theirs."""
    hub, policy = workspace.hub, workspace.policy()
    if hub is None:
        return []
    interval = interval_s(policy.remote, hub.host, len(sight.silence_s) + 1)
    limit = limit_s(interval, policy.lease_s)
    gone = {name: s / limit for name, s in sight.silence_s.items() if s >= limit}
    held = _held(workspace) if gone else {}
    found: list[Proposal] = []
    for name, share in gone.items():
        found += _Takeover(workspace, sight, name, share).proposals(held.get(name, ()))
    homeless = {*gone, *_idle(sight, interval)}
    if homeless and driven(workspace):
        found += [_taken_in(workspace, run) for run in _homeless(workspace, homeless)]
    return found


def _held(workspace: Workspace) -> dict[str, list[tuple[Status, Task]]]:
    """Return what each machine holds, as it lies here: offers to others are in in-progress/."""
    held: dict[str, list[tuple[Status, Task]]] = {}
    for status in (Status.IN_PROGRESS, Status.MERGING):
        for task in workspace.ledger.tasks(status):
            if task.grant is not None:
                held.setdefault(task.grant.machine, []).append((status, task))
    return held


def _idle(sight: Sight, interval: float) -> Iterator[str]:
    """Yield the machines that do not dispatch and have not been heard of for a moment."""
    for machine, fact in sight.facts.items():
        drives = getattr(fact, "drives", True)
        if not drives and sight.silence_s.get(machine, 0.0) > 2 * interval:
            yield machine


@dataclass(frozen=True)
class _Takeover:
    """What one machine held."""

    workspace: Workspace
    sight: Sight
    machine: str
    #: Its silence, in limits.
    share: float

    def proposals(self, held: Iterable[tuple[Status, Task]]) -> list[Proposal]:
        moves: list[TaskMove] = []
        results: list[Result] = []
        first: list[Proposal] = []
        for status, task in held:
            found = self._of(task, status)
            if isinstance(found, Proposal):
                first.append(found)
            elif found is not None:
                moves.append(found)
                results += self._lost_result(found)
        if not moves:
            return first
        named = name_of(self.workspace, self.machine)
        what = f"take over {len(moves)} of {named}, which is silent"
        taken = Proposal(what, moves=tuple(moves), results=tuple(results), of_silence=True)
        return [*first, taken]

    def _of(self, task: Task, status: Status) -> TaskMove | Proposal | None:
        if status is Status.MERGING:
            return self._merging(task)
        # What is on offer to others lies in in-progress/ here: only the remote knows it apart.
        path = self.workspace.ledger.layout.relative(Status.PENDING, task.id)
        if self.workspace.history.read(path, self.sight.tip) is not None:
            hold = Hold(code="withdrawn", reason=f"it was on offer to {self._who}, which is silent")
            given_back = task.next(grant=None, hold=hold)
            return TaskMove(given_back, Status.PENDING, Status.WAITING, BY, hold.reason)
        return self._lost(task, Status.IN_PROGRESS)

    def _lost(self, task: Task, source: Status) -> TaskMove:
        """End the present attempt as a lost one, with what follows from that."""
        said = f"attempt {task.attempt}: nothing is heard of {self._who}, where its work is"
        earlier = tuple(one for one in task.attempts if one.number != task.attempt)
        attempts = (*earlier, closed(self.workspace, task, "lost", said))
        following = outcome.after_failure(
            task.but(attempts=attempts), "lost", said, now=self.workspace.clock.now()
        )
        moved = task.next(
            attempts=attempts, claim=None, grant=None, merger=None, intent=None,
            hold=following.hold, block=following.block,
        )  # fmt: skip
        return TaskMove(moved, source, following.status, BY, said)

    def _merging(self, task: Task) -> TaskMove | Proposal | None:
        if task.intent is not None:
            found = landing.resolve_remote_intent(self.workspace, task, self.sight)
            if isinstance(found, Proposal):
                return found
            if found == "landed":
                return landing.landed_move(self.workspace, task)
        accepted = self._accepted(task)
        if accepted is not None:
            said = f"its landing was left by {self._who}; its result goes on to be landed"
            kept = task.next(accepted=accepted, grant=None, merger=None, intent=None, hold=None)
            return TaskMove(kept, Status.MERGING, Status.WAITING, BY, said)
        if self.share < _GIVE_UP:
            keeping.want(self.workspace, task)
            return None  # perhaps it can be fetched by the next meeting
        return self._lost(task, Status.MERGING)

    def _accepted(self, task: Task) -> Accepted | None:
        """Return the result as one that lands without another attempt, where its work is here."""
        if task.accepted is not None:
            return task.accepted if self._has(task.accepted.head) else None
        try:
            result = self.workspace.ledger.result(task.id, task.attempt)
        except (WfledgerError, OSError):
            return None
        if result is None or result.head is None or result.base is None:
            return None
        if not self._has(result.head):
            return None
        return Accepted(attempt=task.attempt, head=result.head, base=result.base)

    def _has(self, commit: str) -> bool:
        return self.workspace.repo.has_commit(commit)

    def _lost_result(self, move: TaskMove) -> list[Result]:
        """Return the envelope of an attempt that was lost, where it has none."""
        ended = move.task.attempts[-1] if move.task.attempts else None
        if ended is None or ended.outcome != "lost" or ended.number != move.task.attempt:
            return []
        if move.source is not Status.IN_PROGRESS:
            return []  # it has handed one in
        return [Result(
            task=move.task.id, attempt=ended.number, status="failed",
            failure=failure("lost", ended.message),
        )]  # fmt: skip

    @property
    def _who(self) -> str:
        return name_of(self.workspace, self.machine)


def _homeless(workspace: Workspace, homeless: Collection[str]) -> Iterator[Run]:
    for run in workspace.ledger.runs():
        is_ours = run.home == workspace.machine.id
        if run.home in homeless and not is_ours and run.state in {"open", "paused"}:
            yield run


def _taken_in(workspace: Workspace, run: Run) -> Proposal:
    """Return the proposal to decide on a run here from now on.

    What is counted from a moment is counted by the clock of its home (WFL-HUB-060).
    """
    started = iso(clocks.here(workspace, run.started, run.home)) if run.started else None
    taken = run.but(seq=run.seq + 1, home=workspace.machine.id, started=started)
    moves: list[TaskMove] = []
    if clocks.apart_s(workspace, run.home):
        for task in workspace.ledger.tasks(Status.WAITING, run=run.id):
            since = task.control.facts.get("since") if task.control is not None else None
            if task.control is None or not isinstance(since, str):
                continue
            facts = {**task.control.facts, "since": iso(clocks.here(workspace, since, run.home))}
            moved = task.next(control=task.control.but(facts=facts))
            why = "by the clock of its new home"
            moves.append(TaskMove(moved, Status.WAITING, Status.WAITING, BY, why))
    what = f"decide on {run.id} here"
    return Proposal(what, moves=tuple(moves), runs=(taken,), of_silence=True)
