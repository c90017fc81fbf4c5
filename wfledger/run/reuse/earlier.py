"""Results of earlier runs by their keys.

Only what is done counts: what failed, was given up or waits for somebody is never found.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from wfledger.core.documents import Result, Run, Task
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.attempts.handed import landed_result
from wfledger.run.workspace import Workspace

_OPEN: Final = tuple(status for status in Status if status is not Status.DONE)
#: Who made an attempt that nobody made.
REUSE: Final = "reuse"


@dataclass(frozen=True)
class Earlier:
    """A task of an earlier run that is done, and its result."""

    task: Task
    result: Result


class Catalog:
    """The done tasks of some runs by key; what is done since is found at the next look."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: set[str] = set()
        #: Tasks whose workers have added tasks or begun runs, which a copied result would not.
        self.parents: set[str] = set()
        self._by_key: dict[str, dict[str, Earlier]] = {}

    def look(self, runs: Iterable[str]) -> None:
        """Take in what is done in *runs* by now."""
        self.parents |= {
            one.parent for one in self._workspace.ledger.runs() if one.parent is not None
        }
        for run in runs:
            for status in _OPEN:
                self._note_parents(self._workspace.ledger.tasks(status, run=run))
            for name in self._workspace.ledger.names(Status.DONE, run=run):
                if name not in self._known:
                    self._take_in(name)

    def _take_in(self, name: str) -> None:
        self._known.add(name)
        found = read_done(self._workspace, name)
        self._note_parents([found.task] if found is not None else [])
        if found is not None and found.result.key is not None:
            self._by_key.setdefault(found.result.key, {})[name] = found

    def _note_parents(self, tasks: Iterable[Task]) -> None:
        self.parents |= {
            task.spec.parent for task in tasks
            if task.spec.parent is not None and task.spec.verifies is None
        }

    def find(self, key: str, name: str, runs: Iterable[str]) -> Earlier | None:
        """Return a result of that key in *runs*: of the task of that name (without its run) if any.

        The first of *runs* goes first; within a run the order of names decides.
        """
        found = {
            one: earlier for one, earlier in self._by_key.get(key, {}).items()
            if earlier.task.spec.control is not None or one not in self.parents
        }
        for run in runs:
            same = found.get(f"{run}.{name}")
            if same is not None:
                return same
        ranked = [
            found[one] for run in runs for one in sorted(found) if one.partition(".")[0] == run
        ]
        return ranked[0] if ranked else None


def read_done(workspace: Workspace, name: str) -> Earlier | None:
    """Return a task that is done and its result; None where either cannot be read."""
    try:
        entry = workspace.ledger.find(name)
        if entry is None or entry.status is not Status.DONE:
            return None
        result = landed_result(workspace, name)
    except (WfledgerError, OSError, ValueError):
        return None  # a doctor finding; the task is done again
    return None if result is None else Earlier(entry.task, result)


def reused_in(workspace: Workspace, run: Run) -> int:
    """Return how many results of *run* were taken from earlier runs."""
    if not run.reuses:
        return 0
    done = workspace.ledger.tasks(Status.DONE, run=run.id)
    work = (task for task in done if task.attempts and task.spec.verifies is None)
    return sum(1 for task in work if task.attempts[-1].worker == REUSE)


def worked_for(workspace: Workspace, result: Result) -> Result:
    """Return *result* with what it has cost where it was worked for, to compare it by.

    What is chosen by cost must not change because a candidate was taken from an earlier run.
    """
    if result.reused is None:
        return result
    try:
        source = workspace.ledger.result(result.reused.task, result.reused.attempt)
    except WfledgerError:
        source = None  # it cannot be read any more; the cost is unknown then
    return result if source is None else result.but(usage=source.usage)
