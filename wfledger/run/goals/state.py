"""Where a goal stands: a file of this machine's, replaced whole after each step.

After a crash the goal goes on from the last step that is in it; what a step did in the ledger is
found there again by the name of its run. One process at a time works on a goal.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wfledger.core import goals
from wfledger.core.records import Id, Oid, Record, canonical, parse
from wfledger.errors import BusyError, NotFoundError
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.layout import is_id
from wfledger.store.locks import LiveLock

#: Folder of goals in the local state.
GOALS: Final = "goals"
_BYTES: Final = 4 * 1024 * 1024


class GoalRound(Record):
    """One round: a plan, its run, and what that came to."""

    number: int
    #: Commit that its run starts from.
    base: Oid
    #: Id of the run that its plan was submitted as.
    run: str | None = None
    #: Whether the fields below hold.
    is_over: bool = False
    before: Oid | None = None
    after: Oid | None = None
    is_done: bool = False
    codes: tuple[str, ...] = ()
    reached: bool | None = None
    missing: tuple[str, ...] = ()
    #: The judge's own words.
    reason: str = ""

    def as_round(self) -> goals.Round:
        """Return it as decisions are made on it."""
        return goals.Round(
            before=self.before or "", after=self.after or "", is_done=self.is_done,
            codes=self.codes, reached=self.reached, missing=self.missing,
        )


class Goal(Record):
    """A goal, what it may use, and its rounds."""

    id: Id
    text: str
    created: str
    #: Full name of the branch that it is for, and the commit that it began from.
    target: str
    since: Oid
    #: Role of its tasks, and the model that drafts and judges.
    role: str
    model: str
    verify: tuple[str, ...] = ()
    max_tasks: int
    usd: float | None = None
    time_s: float | None = None
    max_rounds: int | None = None
    rounds: tuple[GoalRound, ...] = ()
    #: What drafts and verdicts have cost; whether some of it nobody knows.
    asked_usd: float = 0.0
    unpriced: bool = False
    #: Seconds that were worked on it.
    elapsed_s: float = 0.0
    stop: str | None = None

    @property
    def limits(self) -> goals.Limits:
        """What it may use."""
        return goals.Limits(self.usd, self.time_s, self.max_rounds)


class Place:
    """The folder of one goal in this machine's own state."""

    def __init__(self, workspace: Workspace, goal_id: str) -> None:
        """Name the folder; raises `NotFoundError` for what is no id."""
        if not is_id(goal_id):
            raise NotFoundError(f"{goal_id!r} is no id of a goal", goal=goal_id)
        layout = workspace.ledger.layout
        self._tmp = layout.tmp
        self.folder = layout.local / GOALS / goal_id
        self._file = self.folder / "goal.json"

    def plan(self, number: int) -> Path:
        """Return where the plan of a round is written."""
        return self.folder / f"round-{number}.yaml"

    def load(self) -> Goal:
        """Return the goal as it was saved last; raises `NotFoundError`, or what reading raises."""
        try:
            raw = atomic.read(self._file, limit=_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(
                f"there is no goal {self.folder.name} on this machine", goal=self.folder.name
            ) from None
        return parse(Goal, raw, limit=_BYTES)

    def written(self) -> float:
        """Return when anything was written last, in seconds of the wall clock."""
        return max(path.stat().st_mtime for path in (self.folder, *self.folder.iterdir()))

    def save(self, goal: Goal) -> None:
        """Replace the file in one step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic.replace(self._file, canonical(goal), tmp=self._tmp)

    def write_plan(self, number: int, text: str) -> None:
        """Write the plan of a round, in one step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic.replace(self.plan(number), text.encode(), tmp=self._tmp)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from this goal; raises `BusyError` where one is at it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = LiveLock(self.folder / "lock", within_s=0)
        except BusyError:
            name = self.folder.name
            raise BusyError(f"another process works on the goal {name}", goal=name) from None
        try:
            yield
        finally:
            lock.release()

