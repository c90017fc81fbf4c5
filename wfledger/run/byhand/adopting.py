"""What was done by files is taken in: hand-ins, moves by hand, edits, new files (spec 50.6).

Each step of a scheduler begins with it, in whatever process. Most of what changed since the last
look was moved by wfledger itself and is told by the end of the journal; only what is not is
compared with everything that was recorded, and judged by `core.handwork` under the ledger lock.
Each file by itself: one that cannot be understood harms no other.
"""

from dataclasses import dataclass, field
from typing import Final

from wfledger import faults
from wfledger.core import bounds
from wfledger.core.handwork import Act, decide
from wfledger.core.hub import is_elsewhere
from wfledger.core.statuses import Status
from wfledger.errors import StaleError, TransitionError, WfledgerError
from wfledger.run.attempts import elsewhere, stopping
from wfledger.run.attempts.requests import is_given_up
from wfledger.run.byhand import filework
from wfledger.run.byhand.handmade import Hand
from wfledger.run.byhand.newcomers import understand
from wfledger.run.byhand.records import Recent, Records
from wfledger.run.liveness import Observations, has_runtime
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.arrivals import Arrival, Arrivals, identity_of
from wfledger.store.inspect import Finding
from wfledger.store.layout import SUFFIX, split_attempt
from wfledger.store.locks import is_alive
from wfledger.store.replay import Known
from wfledger.store.survey import Copy, Stray, look

faults.register("adopt.prepared", "adopt.judged")

#: Seconds for which a file that cannot be understood must stay as it is before it is moved away:
#: somebody may be writing it.
SETTLE_S: Final = 2.0
#: Files for which the branch is read folder by folder.
_MANY: Final = 32
_BY: Final = "hand"
_PERHAPS_NEW: Final = frozenset({"unreadable", "wrong-id"})
_STOP: Final = "stop-"


@dataclass
class Adopter:
    """Takes in what was done by files; remembers what it has seen."""

    workspace: Workspace
    _recent: Recent = field(default_factory=Recent)
    _arrivals: Arrivals = field(init=False)

    def __post_init__(self) -> None:
        self._arrivals = Arrivals(self.workspace.ledger.layout)

    def step(self, *, everything: bool = False) -> list[tuple[str, str]]:
        """Take in what was done since the last step; returns what there is to say about it.

        With *everything*, each file is compared, also what nobody touched since.
        """
        arrived = self._arrivals.look(everything=everything)
        told, place = self.workspace.ledger.journal.since(self._arrivals.journal)
        self._recent.take(told)
        odd = [one for one in arrived if not self._is_told(one)]
        records = Records(self.workspace)
        if len(odd) > _MANY:
            records.expect({one.status for one in odd})
        odd = [one for one in odd if not self._is_recorded(records, one)]
        said: list[tuple[str, str]] = []
        left = self._take_in(odd, records, said) if odd else []
        decided = [one for one in arrived if one not in left]
        self._arrivals.done(decided, left, journal=place)
        self._recent.forget_cold()
        self._end_cancelled(said)
        return said

    def _is_told(self, arrival: Arrival) -> bool:
        copy = self._look(arrival)
        return isinstance(copy, Copy) and self._in_place(copy) and self._recent.tells_of(copy)

    def _is_recorded(self, records: Records, arrival: Arrival) -> bool:
        copy = self._look(arrival)
        if not isinstance(copy, Copy) or not self._in_place(copy) or self._others(copy):
            return False
        known = records.of(copy.task.id, near=copy.status)
        return known is not None and known.status is copy.status and known.task == copy.task

    def _look(self, arrival: Arrival) -> Copy | Stray | None:
        return look(self.workspace.ledger.layout, arrival.status, arrival.path)

    def _in_place(self, copy: Copy) -> bool:
        return copy.path == self.workspace.ledger.layout.task(copy.status, copy.task.id)

    def _others(self, copy: Copy) -> list[Status]:
        layout, task_id = self.workspace.ledger.layout, copy.task.id
        places = ((status, layout.task(status, task_id)) for status in Status)
        return [s for s, path in places if path != copy.path and path.exists()]

    # -- judging ---------------------------------------------------------------------------------

    def _take_in(
        self, odd: list[Arrival], records: Records, said: list[tuple[str, str]]
    ) -> list[Arrival]:
        """Judge each file; returns what could not be decided on yet."""
        prepared = {one.path: self._prepare(one, records) for one in odd}
        faults.point("adopt.prepared")
        left = []
        with self.workspace.ledger.transaction(_BY) as changes:
            observations = Observations.load(self.workspace)
            hand = Hand(self.workspace, changes, said)
            judge = _Judge(self.workspace, hand, Records(self.workspace), observations)
            for one in odd:
                if not judge.decide(one, prepared[one.path]):
                    left.append(one)
                faults.point("adopt.judged")
            observations.save("odd")
        said += [(task_id, self._cancel(task_id)) for task_id in hand.to_cancel]
        return left

    def _cancel(self, task_id: str) -> str:
        from wfledger.run.merger.landing import cancel_merging

        why = "moved to cancelled/ by hand"
        try:
            if elsewhere.cancel(self.workspace, task_id, reason=why) is None:
                cancel_merging(self.workspace, task_id, by=_BY, why=why)
        except WfledgerError as error:
            return f"not cancelled: {error.message}"
        return "cancelled by hand; its work is kept"

    def _prepare(self, arrival: Arrival, records: Records) -> filework.Handed | None:
        """Judge what a claimant hands in and keep its work, before the lock is taken."""
        copy = self._look(arrival)
        if not isinstance(copy, Copy):
            return None
        known = records.of(copy.task.id, near=Status.IN_PROGRESS)
        try:
            if known is None or known.task is None:
                return None
            if act_of(self.workspace, known, copy) in {Act.HAND_IN, Act.GIVE_BACK}:
                return filework.read(self.workspace, known.task)
            if copy.status is Status.MERGING:
                filework.keep_late(self.workspace, copy.task, copy.task.attempt)
        except (WfledgerError, OSError):
            return None  # decided without it: it goes back to where its record says
        return None

    # -- cancelled by hand -----------------------------------------------------------------------

    def _end_cancelled(self, said: list[tuple[str, str]]) -> None:
        """End the attempts that no runtime looks after and that a person gave up.

        The request is a file, so whoever steps next goes on where this one died.
        """
        ledger = self.workspace.ledger
        for path in (ledger.layout.local / "index").glob(f"{_STOP}*"):
            named = split_attempt(path.name.removeprefix(_STOP))
            if named is None or not ledger.layout.task(Status.IN_PROGRESS, named.task_id).exists():
                continue
            task = ledger.get(named.task_id).task
            live = ledger.layout.live(task.id, task.attempt)
            if task.attempt != named.attempt or is_alive(live):
                continue
            if not is_given_up(self.workspace, task.id, task.attempt):
                continue
            try:
                stopping.end_from_here(self.workspace, task, "cancelled by hand")
            except (StaleError, TransitionError):
                continue  # it ended by itself meanwhile
            said.append((task.id, "cancelled by hand; its work is kept"))


def act_of(workspace: Workspace, known: Known, copy: Copy) -> Act:
    """Say what somebody did, by the last record and the file as it is."""
    task = known.task or copy.task
    if is_elsewhere(task, workspace.ledger.layout.machine):
        if known.status is copy.status and known.task == copy.task:
            return Act.SOUND
        return Act.END if copy.status is Status.CANCELLED else Act.PUT_BACK
    return decide(
        known.status, copy.status, same=known.task == copy.task,
        claimed=workspace.ledger.is_claimed(task.id, task.attempt),
        has_runtime=has_runtime(workspace, task),
    )


@dataclass
class _Judge:
    """Judges one file after the other under the ledger lock."""

    workspace: Workspace
    hand: Hand
    records: Records
    observations: Observations

    def decide(self, arrival: Arrival, handed: filework.Handed | None) -> bool:
        """Act on one file; False where it has to be looked at again."""
        if identity_of(arrival.path) != arrival.identity:
            return False
        layout = self.workspace.ledger.layout
        seen = look(layout, arrival.status, arrival.path)
        if seen is None:
            return True
        try:
            if isinstance(seen, Stray):
                return self._stray(arrival, seen)
            return self._copy(arrival, seen, handed)
        except (StaleError, FileNotFoundError):
            return False  # a claimer was faster
        except (WfledgerError, OSError) as error:
            self.hand.said.append((arrival.path.name.removesuffix(SUFFIX), str(error)))
            return False

    def _copy(
        self, arrival: Arrival, copy: Copy, handed: filework.Handed | None
    ) -> bool:
        known = self.records.of(copy.task.id, near=copy.status)
        if known is None or known.task is None:
            return self._unknown(arrival, copy.status)
        hand, layout = self.hand, self.workspace.ledger.layout
        if not hand.is_alone(copy, known):
            return True
        if copy.path != layout.task(copy.status, copy.task.id):
            copy = hand.bring_home(copy)
        return hand.do(act_of(self.workspace, known, copy), copy, known, handed)

    def _stray(self, arrival: Arrival, stray: Stray) -> bool:
        if stray.code == "newer":
            return True  # `doctor` names it; nobody else touches it
        if arrival.status is Status.WAITING and stray.code in {"unreadable", "wrong-id"}:
            known = self._known(stray.task_id, arrival.status)
            if known is None:
                return self._unknown(arrival, arrival.status)
        return self._discard(arrival, f"{stray.code}: {stray.reason}", stray.task_id)

    def _known(self, task_id: str | None, near: Status) -> Known | None:
        return self.records.of(task_id, near=near) if task_id is not None else None

    def _unknown(self, arrival: Arrival, status: Status) -> bool:
        """Take in a new task, or move what is none away."""
        if self.records.is_damaged:
            return False  # what seems new may have been recorded in the lines that are lost
        if status is not Status.WAITING:
            return self._discard(arrival, "no record has it; a new task enters through waiting/")
        try:
            raw = atomic.read(arrival.path, limit=bounds.TASK_BYTES)
            new = understand(self.workspace, arrival.path, raw)
        except (WfledgerError, OSError) as error:
            return self._discard(arrival, str(error))
        if identity_of(arrival.path) != arrival.identity:
            return False
        self.hand.welcome(new, arrival.path)
        return True

    def _discard(self, arrival: Arrival, reason: str, task_id: str | None = None) -> bool:
        """Move a file to quarantine/ when it has stayed as it is for a while."""
        layout = self.workspace.ledger.layout
        relative = arrival.path.relative_to(layout.root).as_posix()
        name = relative.encode("utf-8", "backslashreplace").decode()
        age = self.observations.age(f"odd:{name}", arrival.identity)
        if age < SETTLE_S:
            return False
        known = self._known(task_id, arrival.status)
        self.hand.discard(arrival.path, reason, known)
        return True


def adopt_everything(workspace: Workspace) -> list[tuple[str, str]]:
    """Compare every file with what was recorded and take in what was done by hand; for `doctor`."""
    return Adopter(workspace).step(everything=True)


def new_task(workspace: Workspace, finding: Finding) -> str | None:
    """Return the id of the task that a file would be which `inspect` took for damage, or None."""
    path = workspace.ledger.layout.root / finding.subject
    if finding.code not in _PERHAPS_NEW or not path.is_relative_to(
        workspace.ledger.layout.folder(Status.WAITING)
    ):
        return None
    try:
        return understand(workspace, path, atomic.read(path, limit=bounds.TASK_BYTES)).task.id
    except (WfledgerError, OSError):
        return None
