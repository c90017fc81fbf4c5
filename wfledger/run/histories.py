"""The history of a ledger, read as steps and held against the protocol (spec 97, "Histories").

First the commits are gone through from the newest back, by first parents and by their ids alone;
then they are read one after the other from the oldest, so that a long history needs little memory.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from wfledger.core.admission import Claimed
from wfledger.core.linear import Checker, Fault, Known, Lost, Step, Told, told
from wfledger.core.scopes import parse_all
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.commit import MACHINE, TRANSITION, Transition, transition_of
from wfledger.run.workspace import Workspace
from wfledger.store.layout import SUFFIX, run_of
from wfledger.vcs.repo import CommitInfo

#: Runs above one another; more are a circle.
_DEEPEST: Final = 100
#: What statuses are called.
STATUSES: Final = frozenset(status.value for status in Status)


@dataclass
class Checked:
    """What a look at a history found."""

    faults: list[Fault] = field(default_factory=list)
    #: steps, added, grants, claims, done, cancelled, takeovers, commits.
    counts: "Counter[str]" = field(default_factory=Counter)
    #: Machine -> the steps that it brought in, where several share the ledger.
    machines: "Counter[str]" = field(default_factory=Counter)
    tasks: int = 0
    #: The oldest commit that is here, where those before it are not (a shallow clone).
    since: str | None = None
    tip: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `doctor --history --json` prints."""
        return {
            "ok": not self.faults,
            "tip": self.tip,
            "since": self.since,
            "tasks": self.tasks,
            "counts": dict(sorted(self.counts.items())),
            "machines": dict(sorted(self.machines.items())),
            "violations": [asdict(one) for one in self.faults],
        }


def check(
    workspace: Workspace, *, tip: str | None = None,
    said: Iterable[Told] = (), lost: Iterable[Lost] = (),
) -> Checked:  # fmt: skip
    """Check the history up to *tip* (default: the ledger branch), and what was *said* of it."""
    found = Checked(tip=tip or workspace.history.tip())
    if found.tip is None:
        return found
    reading = Reading(workspace, found.tip)
    checker = Checker(whole=reading.since is None, folds_case=workspace.folds_case)
    listed, given_up = list(said), list(lost)
    kept: list[Step] = []
    for one in reading.steps():
        if isinstance(one, Fault):
            found.faults.append(one)
            continue
        found.faults += checker.take(one)
        found.machines.update([one.machine] if one.machine else [])
        if listed:
            kept.append(one)
    found.faults += told(kept, listed, given_up)
    found.faults += reading.of_tip(checker.statuses())
    found.counts = checker.counts + Counter(commits=len(reading.line))
    found.tasks, found.since = len(checker.statuses()), reading.since
    return found


class Reading:
    """The commits that lead to one tip."""

    def __init__(self, workspace: Workspace, tip: str) -> None:
        self._repo = workspace.repo
        self._workspace = workspace
        self._tip = tip
        self._above: dict[str, frozenset[str]] = {}
        #: The oldest commit that is here, where those before it are not.
        self.since: str | None = None
        #: Oldest first.
        self.line: list[str] = []
        at: str | None = tip
        while at is not None:
            info = self._repo.info(at)
            if info is None:
                self.since = self.line[-1] if self.line else at
                break
            self.line.append(at)
            at = info.parents[0] if info.parents else None
        self.line.reverse()

    def steps(self) -> Iterator[Step | Fault]:
        """Yield each step of the history in its order, and what cannot be read."""
        for oid in self.line:
            info = self._repo.info(oid)
            if info is None:
                continue
            if len(info.parents) > 1:
                message = "it has several parents, and a ledger's history is one line"
                yield Fault("line", oid, message, oid)
            yield from self._of_commit(info)

    def of_tip(self, statuses: dict[str, Status]) -> Iterator[Fault]:
        """Yield where the tip has other tasks, or has them elsewhere, than the steps have said."""
        there: dict[str, Status] = {}
        for name in self._workspace.history.names(self._tip):
            folder, _, rest = name.partition("/")
            if folder in STATUSES and rest.endswith(SUFFIX):
                there[rest.rpartition("/")[2].removesuffix(SUFFIX)] = Status(folder)
        for task in sorted(statuses.keys() | there.keys()):
            here, told_of = there.get(task), statuses.get(task)
            if here is told_of or (told_of is None and self.since is not None):
                continue
            where = f"lies in {here.value}/" if here else "is gone"
            last = f"its last step left it in {told_of.value}" if told_of else "no step added it"
            yield Fault("tip", task, f"it {where}, and {last}", self._tip)

    def _of_commit(self, info: CommitInfo) -> Iterator[Step | Fault]:
        values = info.values(TRANSITION)
        moved = [transition_of(value) for value in values]
        ends = {one.task: one.target for one in moved if one is not None}
        machine = info.trailers.get(MACHINE)
        for value, one in zip(values, moved, strict=True):
            step = None if one is None else self._step(info, one, machine, ends[one.task])
            if step is None:
                yield Fault("trailer", value[:60], "a transition that cannot be read", info.oid)
            else:
                yield step

    def _step(
        self, info: CommitInfo, one: Transition, machine: str | None, end: str
    ) -> Step | None:
        if not {one.target, end, one.source or end} <= STATUSES:
            return None
        source = None if one.source is None else Status(one.source)
        target = Status(one.target)
        known = None
        if source is not target and (target.holds_scope or target is Status.DONE):
            known = self._known(info.oid, one, Status(end))
        return Step(
            one.task, source, target, one.attempt, one.why, by=one.by, machine=machine,
            commit=info.oid, known=known,
        )  # fmt: skip

    def _known(self, oid: str, one: Transition, end: Status) -> Known | None:
        """Return what the commit's document says of a step; of the same attempt only."""
        try:
            path = self._workspace.ledger.layout.relative(end, one.task)
            task = json.loads(self._repo.read_blob(oid, path) or b"null")
            if not isinstance(task, dict) or task.get("attempt") != one.attempt:
                return None
            grant = task.get("grant") or {}
            proved = end is not Status.DONE or bool(task.get("landed"))
            return Known(_held(one.task, task), self._over(one.task), grant.get("machine"), proved)
        except (WfledgerError, ValueError, KeyError, TypeError, AttributeError):
            return None  # a document that no version of ours wrote is a finding of the check-up

    def _over(self, task: str) -> frozenset[str]:
        """Return the tasks whose workers wait for the run of *task*."""
        run = run_of(task)
        if run not in self._above:
            found: list[str] = []
            at: str | None = run
            while at is not None and len(found) < _DEEPEST:
                raw = self._repo.read_blob(self._tip, f"runs/{at}{SUFFIX}")
                parent = json.loads(raw).get("parent") if raw else None
                found += [parent] if parent else []
                at = run_of(parent) if parent else None
            self._above[run] = frozenset(found)
        return self._above[run]


def _held(name: str, task: dict[str, Any]) -> Claimed:
    """Return what a document says that the task holds, as `Claimed.of` does for a parsed one."""
    spec = task["spec"]
    if spec.get("candidate_of") is not None:
        return Claimed(name, (), frozenset())
    return Claimed(name, parse_all(spec.get("write", ())), frozenset(spec.get("contracts", ())))
