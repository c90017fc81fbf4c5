"""Which version of a task is the truth: journal before directory before branch (spec 10, 8).

Versions are ordered by (attempt, seq), never by time. At the same number a record of the journal
or the branch decides, save that a move which its maker was free to make without a record, such as
a claim by `mv`, is taken in (WFL-REC-007). Nothing is changed here.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from wfledger.core.documents import Task
from wfledger.core.statuses import Status, may_move_freely
from wfledger.store.layout import Layout
from wfledger.store.replay import Known
from wfledger.store.survey import Copy


class Origin(StrEnum):
    """Where the truth about a task comes from."""

    JOURNAL = "journal"
    DIRECTORY = "directory"
    BRANCH = "branch"


@dataclass(frozen=True)
class Settled:
    """Where a task belongs, and what becomes of the files that it has."""

    status: Status
    task: Task
    origin: Origin
    #: The file that stays, perhaps moved or written anew.
    keep: Copy | None = None
    #: Files that go to quarantine.
    losers: tuple[Copy, ...] = ()
    #: The last record, if there is one.
    record: Known | None = None

    @property
    def task_age(self) -> tuple[int, int]:
        """The (attempt, seq) of the truth."""
        return self.task.attempt, self.task.seq

    def is_sound(self, layout: Layout) -> bool:
        """Whether everything is as it should be: one file, in its place, with this content."""
        keep = self.keep
        return (
            keep is not None
            and not self.losers
            and keep.task == self.task
            and keep.path == layout.task(self.status, self.task.id)
        )


def settle(
    layout: Layout,
    copies: Sequence[Copy],
    *,
    known: Known | None = None,
    branch: Known | None = None,
    after_power_loss: bool = False,
) -> Settled | None:
    """Return the truth about one task; None when its copies contradict and nothing decides."""
    record, origin = known, Origin.JOURNAL
    if record is None or (branch is not None and branch.age > record.age):
        record, origin = branch, Origin.BRANCH
    if record is not None and record.task is None:
        record = _with_content(record, copies, branch)
    best = _best(layout, copies, record)
    if best is None and record is None:
        return None
    if best is not None and (
        record is None or record.task is None
        or _directory_wins(best, record, origin, after_power_loss=after_power_loss)
    ):
        losers = tuple(copy for copy in copies if copy is not best)
        result = Settled(best.status, best.task, Origin.DIRECTORY, best, losers, record)
    elif record is not None and record.task is not None:
        result = _from_record(layout, record, origin, copies)
    else:
        return None
    return _claimed(layout, result)


def _with_content(record: Known, copies: Sequence[Copy], branch: Known | None) -> Known:
    """Return a record that only says that the task was claimed, with the claimed document."""
    found = [copy.task for copy in copies if copy.age == record.age]
    if branch is not None and branch.age == record.age and branch.task is not None:
        found.append(branch.task)
    return replace(record, task=found[0]) if found else record


def _best(layout: Layout, copies: Sequence[Copy], record: Known | None) -> Copy | None:
    if not copies:
        return None
    newest = max(copy.age for copy in copies)
    rivals = [copy for copy in copies if copy.age == newest]
    if len(rivals) == 1:
        return rivals[0]
    if record is not None and record.age == newest:
        told = [copy for copy in rivals if copy.status is record.status]
        if told and all(not _supported(layout, copy) for copy in rivals if copy not in told):
            return told[0]
    if len({copy.raw for copy in rivals}) > 1:
        return None  # two truths under one number: neither is believed
    borne_out = [copy for copy in rivals if _supported(layout, copy)]
    return borne_out[-1] if borne_out else rivals[0]


def _supported(layout: Layout, copy: Copy) -> bool:
    """Whether something besides the file says that the task came so far."""
    task = copy.task
    if copy.status is Status.IN_PROGRESS:
        return os.path.lexists(layout.claim(task.id, task.attempt))
    if copy.status is Status.MERGING:
        return (layout.root / layout.result(task.id, task.attempt)).exists()
    return False


def _directory_wins(
    best: Copy, record: Known, origin: Origin, *, after_power_loss: bool
) -> bool:
    if best.age != record.age:
        return best.age > record.age
    if best.status is record.status:
        return origin is Origin.BRANCH or best.task == record.task
    if after_power_loss and (record.status, best.status) == (Status.BLOCKED, Status.WAITING):
        return False  # not a person's move but a rename that power loss undid
    return may_move_freely(record.status, best.status)


def _from_record(
    layout: Layout, record: Known, origin: Origin, copies: Sequence[Copy]
) -> Settled:
    if record.task is None:
        raise ValueError("a record without content decides nothing")
    keep = None
    for copy in copies:
        same = copy.task == record.task
        # A file in pending/ is not rewritten, and one that somebody edited is not overwritten.
        free = copy.status is not Status.PENDING and copy.age < record.age
        in_place = copy.path == layout.task(copy.status, copy.task.id)
        if in_place and (same or free) and (keep is None or copy.status is record.status):
            keep = copy
    losers = tuple(copy for copy in copies if copy is not keep)
    return Settled(record.status, record.task, origin, keep, losers, record)


def _claimed(layout: Layout, settled: Settled) -> Settled:
    """Return an offer whose claim was recorded as the claim that it is."""
    task = settled.task
    if settled.status is Status.PENDING and os.path.lexists(layout.claim(task.id, task.attempt)):
        return replace(settled, status=Status.IN_PROGRESS)
    return settled
