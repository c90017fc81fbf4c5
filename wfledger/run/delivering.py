"""Handing over: each handoff goes to the first task of its role, and to no other (spec 92, 5).

What a task is given is written into it in the same change that puts it on offer, under the ledger
lock, so that a crash finds it either not promoted or with its own.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from wfledger.core.control import Delivered
from wfledger.core.documents import Task
from wfledger.core.handoffs import Offered, offered, received, same_role
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.store.ledger import Ledger

#: In the order of the stream: a task that is claimed meanwhile is met further on.
_OPEN: Final = tuple(status for status in Status if not status.is_final)


class Deliveries:
    """What was left in the runs of a ledger; keeps what it has read of tasks that are done.

    Which tasks are done is looked up once for each run and look: while the ledger lock is held no
    further one is, and a step may put many on offer.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        #: Task that is done -> what it left; its choice, and what it was given. These stay.
        self._left: dict[str, tuple[Offered, ...]] = {}
        self._given: dict[str, tuple[str | None, tuple[Delivered, ...]]] = {}
        #: Run -> its tasks that are done as of this look, and all that they left.
        self._done: dict[str, tuple[list[str], list[Offered]]] = {}

    def look_again(self) -> None:
        """Look up anew what is done; to be called whenever the ledger lock has been taken."""
        self._done.clear()

    def for_task(self, task: Task) -> tuple[Delivered, ...]:
        """Return everything that *task* is given when it goes on offer now, newest first.

        That is what it was given before, and what nobody else was. Work that a gate has sent back
        is given what those before it were, and candidates of one choice the same (WFL-CTRL-053). To
        be asked under the ledger lock.
        """
        if task.spec.plays is None:
            return task.received
        _, left = self._done_of(task.run)
        mine = [one for one in left if same_role(one.handoff.to_role, task.spec.plays)]
        if not mine:
            return task.received
        shared = {task.id, *(task.spec.inputs if task.spec.sent_back else ())}
        choice = task.spec.candidate_of
        taken = {
            one for name, other, one in self._taken(task.run)
            if name not in shared and (choice is None or other != choice)
        }  # fmt: skip
        return tuple(one.at for one in received(task.spec.plays, mine, taken))

    def _done_of(self, run: str) -> tuple[list[str], list[Offered]]:
        if run not in self._done:
            names = self._ledger.names(Status.DONE, run=run)
            self._read(name for name in names if name not in self._left)
            left = [one for name in names for one in self._left.get(name, ())]
            self._done[run] = (names, left)
        return self._done[run]

    def _read(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                task = self._ledger.load(Status.DONE, name).task
                self._left[name] = self._left_by(task)
            except (WfledgerError, OSError):
                continue  # a doctor finding; what it left is delivered once it can be read
            self._given[name] = (task.spec.candidate_of, task.received)

    def _left_by(self, task: Task) -> tuple[Offered, ...]:
        """Return what *task* hands over; a candidate's choice does so in its place."""
        if task.spec.candidate_of is not None:
            return ()
        attempt = task.accepted.attempt if task.accepted is not None else task.attempt
        result = self._ledger.result(task.id, attempt)
        return () if result is None else offered(task, result)

    def _taken(self, run: str) -> Iterator[tuple[str, str | None, Delivered]]:
        """Yield who was given what, and the choice that it is a candidate of.

        Who was cancelled before it had begun gives it back.
        """
        names, _ = self._done_of(run)
        for name in names:
            choice, given = self._given.get(name, (None, ()))
            yield from ((name, choice, one) for one in given)
        for status in (*_OPEN, Status.CANCELLED):
            for task in self._ledger.tasks(status, run=run):
                if status is not Status.CANCELLED or task.attempts:
                    yield from ((task.id, task.spec.candidate_of, one) for one in task.received)
