"""One look at where every task of the open runs stands, cheap to repeat.

The look takes no lock: it is a picture of a moment that may have passed. Whoever acts on it looks
again under the lock at what he changes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from wfledger.core.documents import Run, Task
from wfledger.core.graph import Standing, Verdict, verdict
from wfledger.core.statuses import Status
from wfledger.core.verification import has_spoken, may_be_verifier
from wfledger.errors import WfledgerError
from wfledger.store.ledger import Ledger

#: Statuses whose documents matter to decisions; of done ones the name is enough.
_READ: Final = tuple(status for status in Status if status is not Status.DONE)
_DONE: Final = Standing(Status.DONE, "hold")


@dataclass
class Cache:
    """Documents by file identity, so that an unchanged file is parsed once."""

    _known: dict[str, tuple[tuple[int, int, int], Task]] = field(default_factory=dict)
    #: Paths that were met since `forget_others`.
    _met: set[str] = field(default_factory=set)
    #: Done task -> whether it is a verifier; a done task is never changed.
    _verifiers: dict[str, bool] = field(default_factory=dict)

    def tasks(self, ledger: Ledger, status: Status, *, run: str | None = None) -> Iterator[Task]:
        """Yield the readable tasks of a folder in the order of ids; what is unreadable is left out.

        Only files in folders that people may edit in place are ever rewritten, and always under a
        new inode, so inode, time and size tell a change.
        """
        found = sorted(ledger.files(status, run=run), key=lambda entry: entry.name)
        for entry in found:
            task_id = entry.name.removesuffix(".json")
            try:
                facts = entry.stat(follow_symlinks=False)
                key = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                known = self._known.get(entry.path)
                if known is None or known[0] != key:
                    known = (key, ledger.load(status, task_id).task)
                    self._known[entry.path] = known
                self._met.add(entry.path)
            except (FileNotFoundError, WfledgerError, ValueError):
                self._known.pop(entry.path, None)
                continue
            if run is None or known[1].run == run:
                yield known[1]

    def forget_others(self) -> None:
        """Forget the documents that were not met since this was called last.

        Whoever looks for weeks would remember every place that every task has been in.
        """
        self._known = {path: self._known[path] for path in self._met if path in self._known}
        self._met.clear()

    def is_verifier(self, ledger: Ledger, task_id: str) -> bool:
        """Whether a done task is a verifier; only one that is named like one is read."""
        if not may_be_verifier(task_id):
            return False
        if task_id not in self._verifiers:
            try:
                found = ledger.load(Status.DONE, task_id).task.spec.verifies
            except (OSError, WfledgerError, ValueError):
                return False
            self._verifiers[task_id] = found is not None
        return self._verifiers[task_id]


@dataclass(frozen=True)
class View:
    """Where tasks stood at one moment."""

    tasks: dict[Status, list[Task]]
    #: Ids of done tasks; verifiers are left out, for nothing depends on them.
    done: frozenset[str]

    @classmethod
    def load(cls, ledger: Ledger, runs: Iterable[Run], cache: Cache) -> "View":
        """Look at the tasks of *runs*.

        Folders are read against the stream, so a task that moves on meanwhile is seen twice
        rather than not at all; the later status counts.
        """
        tasks: dict[Status, list[Task]] = {status: [] for status in _READ}
        done: set[str] = set()
        for run in runs:
            for status in _READ:
                tasks[status] += cache.tasks(ledger, status, run=run.id)
            names = ledger.names(Status.DONE, run=run.id)
            done |= {name for name in names if not cache.is_verifier(ledger, name)}
        _add_foreign(ledger, tasks, done)
        return cls(tasks, frozenset(done))

    def standings(self, run: str | None = None) -> dict[str, Standing]:
        """Return where each task stands, for one run or all."""
        found: dict[str, Standing] = {}
        for status in _READ:
            for task in self.tasks[status]:
                if run is None or task.run == run:
                    found[task.id] = Standing.of(task, status)
        prefix = "" if run is None else f"{run}."
        found |= dict.fromkeys((name for name in self.done if name.startswith(prefix)), _DONE)
        return found

    def documents(self) -> Iterator[Task]:
        """Yield every task that is not done."""
        for tasks in self.tasks.values():
            yield from tasks

    def of_run(self, run: str) -> Iterator[tuple[Task, Status]]:
        """Yield the tasks of one run that are not done."""
        for status, tasks in self.tasks.items():
            yield from ((task, status) for task in tasks if task.run == run)


def _add_foreign(ledger: Ledger, tasks: dict[Status, list[Task]], done: set[str]) -> None:
    """Add the dependencies that belong to runs which were not looked at, such as landed ones."""
    known = {task.id for found in tasks.values() for task in found} | done
    wanted = {name for task in tasks[Status.WAITING] for name in task.spec.after} - known
    for name in sorted(wanted):
        try:
            entry = ledger.find(name)
        except WfledgerError:
            continue
        if entry is not None and entry.status is Status.DONE:
            done.add(name)
        elif entry is not None:
            tasks[entry.status].append(entry.task)


def run_verdict(view: View, run: Run, *, waiting_on_person: frozenset[str]) -> Verdict:
    """Return what *run* has come to.

    *waiting_on_person* are its tasks that cannot start or land before a person decides something.
    What is on offer to people only moves when one of them takes it. Verifiers move the run, and
    are no part of it: what they say is in the result that they judge (WFL-RESULT-048). Neither is
    what a later round has made good (WFL-CTRL-013).
    """
    standings = view.standings(run.id)
    moving = {Status.PENDING, Status.IN_PROGRESS, Status.MERGING}
    manual = {task.id for task in view.tasks[Status.PENDING] if task.spec.manual}
    stuck = manual | waiting_on_person
    movable = any(s.status in moving and k not in stuck for k, s in standings.items())
    movable |= any(
        s.status is Status.WAITING and task_id not in waiting_on_person
        for task_id, s in standings.items()
    )
    degraded = any(task.missing for task, _ in view.of_run(run.id))
    apart = {task.id for task, _ in view.of_run(run.id) if is_apart(task)}
    standings = {task_id: s for task_id, s in standings.items() if task_id not in apart}
    return verdict(
        standings, movable=movable, aborted=run.state == "aborted", degraded=degraded,
        aside=frozenset(run.aside),
    )  # fmt: skip


def is_apart(task: Task) -> bool:
    """Whether a task that is not done is no part of what its run has come to."""
    superseded = task.hold is not None and task.hold.code == "superseded"
    return task.spec.verifies is not None or superseded


def held_by_verifiers(view: View, task: Task) -> bool:
    """Whether a task in merging/ waits for verifiers that have not spoken: those move, not it."""
    if task.hold is None or task.hold.code != "verifier":
        return False
    silent = {
        one.id for status, tasks in view.tasks.items() for one in tasks
        if one.id in task.hold.on and not has_spoken(status, one.block)
    }  # fmt: skip
    return silent.issuperset(task.hold.on)
