"""The landings of one dispatcher: several at once on different branches, one at a time on each.

On a branch that is free again the task goes first that was tried longest ago, so one that cannot
land yet, whatever the reason, holds no other up.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from functools import partial
from typing import Final

from wfledger.core.documents import Task
from wfledger.run.merger.landing import Deferred, Landing, is_landable, land_task
from wfledger.run.pausing import alarm_of
from wfledger.run.processes.threads import in_thread
from wfledger.run.workspace import Workspace

#: Branches that are landed on at once.
AT_ONCE: Final = 4
#: Seconds that a landing waits for another process's on the same branch, before it is tried anew.
_WAIT_S: Final = 2.0
#: Seconds before one is tried anew that could not even begin.
_PAUSE_S: Final = 1.0


class Landings:
    """Lands what is handed in, in threads."""

    def __init__(
        self, workspace: Workspace, *, owner: str, report: Callable[[str, str], None],
        then: Callable[[], object],
    ) -> None:  # fmt: skip
        self._workspace = workspace
        self._owner = owner
        self._report = report
        self._then = then
        self._stop = threading.Event()
        #: Branch -> who lands on it now.
        self._running: dict[str, tuple[str, Future[Landing]]] = {}
        #: Task -> when it was tried last, as a count of tries.
        self._tried: dict[str, int] = {}
        self._tries = 0
        #: Task -> before when, on the clock that never jumps, it is not tried again.
        self._not_before: dict[str, float] = {}

    def now(self) -> tuple[str, ...]:
        """Return the tasks that are being landed."""
        return tuple(task_id for task_id, _ in self._running.values())

    def reap(self) -> list[tuple[str, BaseException]]:
        """Forget the landings that are over; returns what those of which tasks raised."""
        failed = []
        for branch, (task_id, future) in list(self._running.items()):
            if not future.done():
                continue
            del self._running[branch]
            error = future.exception()
            failed += [(task_id, error)] if error is not None else []
            if error is not None or isinstance(future.result(), Deferred):
                self._not_before[task_id] = self._workspace.clock.elapsed() + _PAUSE_S
        return failed

    def start(self, merging: Iterable[Task]) -> None:
        """Begin a landing on each branch that has one due among *merging* and none going on."""
        if self._stop.is_set() or alarm_of(self._workspace) is not None:
            return
        there = {task.id: task for task in merging}
        self._not_before = {k: v for k, v in self._not_before.items() if k in there}
        due = [task for task in there.values() if self._is_due(task)]
        self._tried = {task.id: self._tried.get(task.id, 0) for task in due}
        branches = {run: self._workspace.ledger.run(run).branch for run in {t.run for t in due}}
        for task in sorted(due, key=lambda task: (self._tried[task.id], task.created, task.id)):
            branch = branches[task.run]
            if branch not in self._running and len(self._running) < AT_ONCE:
                self._running[branch] = task.id, self._land(task.id)

    def _is_due(self, task: Task) -> bool:
        clock = self._workspace.clock
        put_off = clock.elapsed() < self._not_before.get(task.id, 0.0)
        return not put_off and is_landable(self._workspace, task, now=clock.now())

    def _land(self, task_id: str) -> "Future[Landing]":
        self._tries += 1
        self._tried[task_id] = self._tries
        work = partial(
            land_task, self._workspace, task_id, owner=self._owner, stop=self._stop,
            report=partial(self._report, task_id), wait_for_target=_WAIT_S,
        )  # fmt: skip
        return in_thread("land", work, then=self._then)

    def stop(self) -> None:
        """Begin no more; what is verified or gated stays in merging/."""
        self._stop.set()

    def wait(self) -> None:
        """Return when none is going on."""
        wait([future for _, future in self._running.values()])
