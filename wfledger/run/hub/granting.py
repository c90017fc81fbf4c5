"""What this machine asks the remote for: tasks that its workers may claim (spec 97, section 2).

By the rules of every step: what is held anywhere is in the way, limits of a run and of a class
count everywhere, those of a role and of a provider here. So whatever of it the remote confirms may
start at once, and whatever it does not has changed nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from wfledger.clock import iso
from wfledger.core.admission import Admission
from wfledger.core.documents import Grant, Run, Task
from wfledger.core.hub import ahead, is_elsewhere, part_ahead, portion
from wfledger.core.policy import Policy
from wfledger.core.statuses import Status
from wfledger.core.text import listed
from wfledger.run.delivering import Deliveries
from wfledger.run.hub import diary
from wfledger.run.hub.machines import interval_of
from wfledger.run.hub.proposals import Proposal, Sight, TaskMove
from wfledger.run.hub.room import PATIENCE, Memory, load_of, name_of, recall, remember, stale_s
from wfledger.run.hub.wants import wants
from wfledger.run.looks.view import Cache, View
from wfledger.run.merger.verifiers import is_own
from wfledger.run.pausing import pause_of
from wfledger.run.presence import crews, is_driven
from wfledger.run.promoting import Promoter, Ready, admission, promoted, started
from wfledger.run.settling import Pass
from wfledger.run.workspace import Workspace

_BY: Final = "scheduler"
#: Tasks that a proposal names to people.
_NAMED: Final = 3
#: Tasks that are asked for at most beyond what places are free for.
_MOST: Final = 256
#: Rounds in which others are chosen in place of what cannot start here yet.
_ROUNDS: Final = 3
#: Documents that were parsed already, by ledger.
_CACHES: Final[dict[Path, Cache]] = {}


def propose(workspace: Workspace, sight: Sight) -> list[Proposal]:
    """Return the grants to ask for, at most one proposal; changes nothing of the ledger.

    Nothing is asked for while dispatch is paused, nor ahead where nobody here dispatches.
    """
    if pause_of(workspace) is not None:
        return []
    asked = _Asking(workspace, sight)
    found = asked.proposal()
    asked.remember()
    return [found] if found is not None else []


@dataclass
class _Chosen:
    """What is to be granted to this machine."""

    tasks: list[Task] = field(default_factory=list)
    overtaken: dict[str, int] = field(default_factory=dict)
    #: What may start and is left for others.
    left: int = 0


class _Asking:
    """One look at the ledger under its lock, and what is asked for."""

    def __init__(self, workspace: Workspace, sight: Sight) -> None:
        self._workspace = workspace
        self._sight = sight
        self._here = workspace.machine.id
        self._policy: Policy = workspace.policy()
        runs = [run for run in workspace.ledger.runs() if run.state != "landed"]
        cache = _CACHES.setdefault(workspace.ledger.layout.root, Cache())
        self._view = View.load(workspace.ledger, runs, cache)
        cache.forget_others()
        self._deliveries = Deliveries(workspace.ledger)
        self._pass = Pass(workspace, None, view=self._view, runs=runs)
        self._promoter = Promoter(self._pass, self._policy, deliveries=self._deliveries)
        self._crews, self._wants = frozenset(crews(workspace)), wants(workspace)
        self._memory = recall(workspace)
        self._interval = interval_of(workspace)
        last = diary.last(workspace)
        #: Seconds until the next grant is likely to come.
        self._until_next = max(self._interval, last.interval_s if last is not None else 0.0)
        load = load_of(workspace, self._offers(), self._begun(), self._memory)
        at_prompt = sum(want.task is None for want in self._wants)
        self._load = replace(load, slots=load.slots + at_prompt, free=load.free + at_prompt)
        self._ahead = ahead(self._load, interval=self._until_next, most=_MOST)
        #: How many of these are asked for where others are to have their part.
        self._more = self._ahead
        self._chosen = _Chosen()

    def _offers(self) -> list[Task]:
        return [task for task in self._view.tasks[Status.PENDING] if not task.spec.manual]

    def _begun(self) -> list[Task]:
        tasks = self._view.tasks[Status.IN_PROGRESS]
        return [task for task in tasks if not is_elsewhere(task, self._here)]

    # -- what is asked for -----------------------------------------------------------------------

    def proposal(self) -> Proposal | None:
        """Return what to ask for, or None."""
        if self._is_sated():
            return None
        ready = [one for one in self._promoter.startable(self._pass.settle()) if self._may(one[0])]
        self._chosen = self._choose(ready)
        absent = {task.id: found.missing for task, found in ready}
        moves = [self._granted(task, absent[task.id]) for task in self._chosen.tasks]
        if moves:
            moves += self._passed([task for task, _ in ready])
        runs = self._runs()
        if not moves and not runs:
            return None
        return Proposal(_said(self._chosen.tasks, runs), moves=tuple(moves), runs=runs)

    def _is_sated(self) -> bool:
        """Whether nothing would be asked for whatever there is: then it is not looked through."""
        load, waiting = self._load, self._view.tasks[Status.WAITING]
        if self._wants or load.free + self._ahead > load.offers:
            return False
        homeless = any(run.home is None for run in self._pass.runs.values())
        return not homeless and all(map(_takes_room, waiting))

    def _may(self, task: Task) -> bool:
        """Whether *task* is one for this machine, as far as itself and its run tell."""
        if self._was_returned(task):
            return False
        if task.spec.manual:
            return self._pass.is_home(task.run)
        if task.accepted is not None:
            return self._lands(self._pass.runs[task.run])
        return is_driven(task.run, self._crews) or any(
            not is_own(self._workspace, task.id, want.worker) for want in self._wants
        )

    def _lands(self, run: Run) -> bool:
        """Whether what was accepted of a run lands from here: its home does, if it dispatches."""
        fact = self._sight.facts.get(run.home or "")
        elsewhere = run.home != self._here and getattr(fact, "slots", 0) > 0
        return is_driven(run.id, self._crews) and not elsewhere

    def _was_returned(self, task: Task) -> bool:
        """Whether its offer went back from here a moment ago; others, or later."""
        at = self._memory.returned.get(task.id)
        if at is None or any(want.task == task.id for want in self._wants):
            return False
        return self._workspace.clock.elapsed() - at < stale_s(self._policy, self._interval)

    def _choose(self, ready: Sequence[Ready]) -> _Chosen:
        """Return the tasks to ask for; what one of them needs from elsewhere is fetched first."""
        tasks = {task.id: task for task, _ in ready}
        named = [tasks[want.task] for want in self._wants if want.task in tasks]
        first = self._admitted(named, more=len(named)).promote if named else ()
        chosen = _Chosen([task for task in first if self._is_at_hand(task)])
        self._view.tasks[Status.PENDING] += chosen.tasks
        named_ids = {task.id for task in named}
        others = [task for task in tasks.values() if task.id not in named_ids]
        self._more = self._part(len(others))
        for _ in range(_ROUNDS):
            found = self._admitted(others, more=self._most())
            could = sum(map(_takes_room, found.promote))
            here = self._portion(could)
            if here < could:
                found = self._admitted(others, more=here)
            at_hand = [task for task in found.promote if self._is_at_hand(task)]
            chosen.left = could - sum(map(_takes_room, found.promote))
            if len(at_hand) == len(found.promote):
                break
            away = {task.id for task in found.promote} - {task.id for task in at_hand}
            others = [task for task in others if task.id not in away]
        chosen.tasks += at_hand
        chosen.overtaken = found.overtaken
        return chosen

    def _admitted(self, tasks: Iterable[Task], *, more: int) -> Admission:
        offers = len(self._offers())
        return admission(
            self._workspace, self._view, self._pass.runs.values(), self._policy,
            tasks=tasks, window=offers + more,
        )  # fmt: skip

    def _is_at_hand(self, task: Task) -> bool:
        """Whether every commit is here that *task* needs; else the next meeting fetches it.

        Nor is one asked for whose spec was changed past the verbs: the home of its run blocks it.
        """
        from wfledger.run.hub import keeping  # who grants nothing opens no git

        if task.spec.digest() != task.spec_sha256:
            return False
        if not keeping.missing(self._workspace, task):
            return True
        keeping.want(self._workspace, task)
        return False

    # -- how many --------------------------------------------------------------------------------

    def _portion(self, ready: int) -> int:
        """Return how many of *ready*, which could all start at once, are asked for here."""
        elsewhere = 0 if self._is_left() else self._elsewhere()
        return portion(self._load, self._more, ready=ready, elsewhere=elsewhere)

    def _part(self, supply: int) -> int:
        """Return how many of *supply* to ask for ahead, if others are to have their part."""
        if self._is_left():
            return self._ahead
        places = sum(getattr(fact, "slots", 0) for _, fact in self._others())
        return part_ahead(
            self._load, self._ahead, supply=supply, elsewhere=self._elsewhere(), places=places
        )

    def _most(self) -> int:
        """Return how many could be begun here and elsewhere: more need not be looked for."""
        return self._load.free + self._more + self._elsewhere()

    def _elsewhere(self) -> int:
        """Return how many tasks the other machines could begin at once, as far as is known."""
        tasks = self._view.tasks[Status.IN_PROGRESS]
        busy: dict[str, int] = {}
        for task in tasks:
            if task.grant is not None:
                busy[task.grant.machine] = busy.get(task.grant.machine, 0) + 1
        return sum(
            max(getattr(fact, "slots", 0) - busy.get(machine, 0), 0)
            for machine, fact in self._others()
        )

    def _others(self) -> Iterator[tuple[str, Any]]:
        """Yield the other machines whose next heartbeat is not overdue, with their last ones.

        One that has nothing to do beats only when a third of the lease has passed.
        """
        overdue_s = self._policy.lease_s / 3 + PATIENCE * self._interval
        for machine, fact in self._sight.facts.items():
            silent_s = self._sight.silence_s.get(machine, 0.0)
            if machine != self._here and silent_s <= overdue_s:
                yield machine, fact

    def _is_left(self) -> bool:
        """Whether others have left for long what they could have begun; they may lack something."""
        since = self._memory.left_since
        if since is None:
            return False
        return self._workspace.clock.elapsed() - since >= PATIENCE * self._interval

    # -- as it goes into the history -------------------------------------------------------------

    def _granted(self, task: Task, missing: tuple[str, ...]) -> TaskMove:
        grant = Grant(machine=self._here, since=iso(self._workspace.clock.now()))
        if task.accepted is not None:
            landing = task.next(hold=None, grant=grant)
            return TaskMove(landing, Status.WAITING, Status.MERGING, _BY, "land-only: accepted")
        values = promoted(task, missing, self._deliveries)
        return TaskMove(
            task.next(grant=grant, **values), Status.WAITING, Status.PENDING, _BY, "promoted"
        )

    def _passed(self, ready: Iterable[Task]) -> list[TaskMove]:
        times = self._chosen.overtaken
        return [
            TaskMove(
                task.next(overtaken=task.overtaken + times[task.id]), Status.WAITING,
                Status.WAITING, _BY, "overtaken",
            )
            for task in ready if task.id in times
        ]  # fmt: skip

    def _runs(self) -> tuple[Run, ...]:
        """Return the runs that begin, and those that nobody decides on: that is us from now on."""
        found: dict[str, Run] = {}
        for task in self._chosen.tasks:
            begun = started(self._pass, task.run) if task.accepted is None else None
            if begun is not None:
                found[task.run] = begun
        for run in self._pass.runs.values():
            if run.home is None and (self._wants or is_driven(run.id, self._crews)):
                known = found.get(run.id)
                changed = known or run.but(seq=run.seq + 1)
                found[run.id] = changed.but(home=self._here)
        return tuple(found.values())

    def remember(self) -> None:
        """Keep what the next meeting has to know of this one."""
        now, memory = self._workspace.clock.elapsed(), self._memory
        names = {name_of(task) for task in (*self._offers(), *self._begun())}
        names |= {f"{task.id}.{task.attempt + 1}" for task in self._chosen.tasks}
        left = self._chosen.left > 0 and self._elsewhere() > 0
        kept_s = stale_s(self._policy, self._interval)
        remember(self._workspace, Memory(
            at=now, names=frozenset(names), took_s=self._load.took_s, ahead=self._ahead,
            left_since=(now if memory.left_since is None else memory.left_since) if left else None,
            returned={name: at for name, at in memory.returned.items() if now - at < kept_s},
        ))  # fmt: skip


def _takes_room(task: Task) -> bool:
    return task.accepted is None and not task.spec.manual


def _said(tasks: Sequence[Task], runs: Sequence[Run]) -> str:
    if not tasks:
        return f"decide on {listed([run.id for run in runs], _NAMED)} here"
    return f"grant {listed([task.id for task in tasks], _NAMED)}"
