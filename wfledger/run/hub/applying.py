"""Taking in what the remote has: the journal is replayed on its tip, and the directory shows it.

In this order, so that whoever dies or looks in between finds the truth: branch and pin go to the
tip; what is lost is written down; tasks and documents follow, some at a time, so that nobody waits
long for the ledger lock; the journal keeps what survived; and last `state.applied` says so. Until
it does, the next meeting does all of it again, and comes to the same end (WFL-HUB-022).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from wfledger import faults
from wfledger.core.documents import Result, Run
from wfledger.core.records import canonical, canonical_json, parse
from wfledger.core.replaying import Seen
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.hub import losses
from wfledger.run.hub.proposals import Proposal
from wfledger.run.hub.replaying import Record, Replayed, Replayer, Tip, task_of
from wfledger.run.hub.state import distrusted, read_state, trust, write_state
from wfledger.run.looks.tally import note_shown
from wfledger.run.workspace import Workspace
from wfledger.store import journal
from wfledger.store.evidence import shape_of
from wfledger.store.journal import Segment, file_bytes
from wfledger.store.layout import Layout
from wfledger.store.showing import Known, hide_task, is_document, show_file, show_task
from wfledger.store.transaction import Transaction
from wfledger.vcs.standing import differences

faults.register(
    "apply.rotated", "apply.branch-moved", "apply.lost-noted", "apply.shown", "apply.settled",
    "apply.rewritten", "apply.applied",
    "confirm.branch-moved", "confirm.shown", "confirm.dropped", "confirm.applied",
)

BY: Final = "sync"
#: Tasks and documents, and seconds, for which the ledger lock is held at most while a tip is shown.
SLICE: Final = 250
SLICE_S: Final = 0.05
_AskedT = TypeVar("_AskedT")


@dataclass
class Arrived:
    """What taking in a tip came to."""

    tip: Tip
    #: What of ours goes on top of the tip, oldest first, and up to which segment that is.
    records: list[Record] = field(default_factory=list)
    upto: int = 0
    lost: tuple[losses.Lost, ...] = ()
    #: Tasks whose files have changed here, and documents that have come, by their paths.
    shown: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


class Arrival:
    """Takes in one tip. Made by whoever holds the lock of the sync."""

    def __init__(self, workspace: Workspace, tip: str, *, settled: int) -> None:
        self._workspace = workspace
        self._layout = workspace.ledger.layout
        #: Segments up to this number are in the tip already.
        self._settled = settled
        state = read_state(self._layout.local)
        base = state.applied or workspace.history.tip() or tip
        self._tip = Tip(workspace.repo, tip, self._layout)
        self._base = Tip(workspace.repo, base, self._layout)
        self._distrusted = distrusted(self._layout.local)
        since = state.applied if self._distrusted is None else None
        self._tasks, self._files = self._changed(since, tip)
        self._done = Arrived(self._tip)
        self._segments: dict[Segment, list[Record]] = {}
        self._read = 0
        self._replayer = Replayer(self._tip, self._base, layout=self._layout)
        self._begun = False
        #: What the journal says of each task and path.
        self._known: dict[str, list[Record]] = {}
        self._replayed: Replayed | None = None
        self._noted: Replayed | None = None

    def _changed(self, since: str | None, tip: str) -> tuple[dict[str, None], dict[str, None]]:
        """Return which tasks and documents are to be compared; reads the tasks beforehand."""
        tasks: dict[str, Status | None] = {}
        files: dict[str, None] = {}
        if since != tip:
            for found in differences(self._workspace.repo, since, tip):
                named = task_of(found.path)
                if named is None:
                    files[found.path] = None
                elif found.is_there or named[1] not in tasks:
                    tasks[named[1]] = named[0] if found.is_there else None
        for task_id, status in tasks.items():
            self._tip.task(task_id, near=() if status is None else (status,))
        return dict.fromkeys(tasks), {path: None for path in files if is_document(path)}

    def take(self, ask: Callable[[], _AskedT]) -> tuple[Arrived, _AskedT]:
        """Take the tip in; *ask* is called when the directory shows it, still under the lock."""
        with changing(self._workspace, close=True):
            self._replay()  # most of it before anybody has to wait for the lock
            asked: list[_AskedT] = []
            while not asked:
                asked = self._slice(ask)
        return self._done, asked[0]

    def _slice(self, ask: Callable[[], _AskedT]) -> list[_AskedT]:
        with self._workspace.ledger.transaction(BY) as changes:
            return [ask()] if self._go_on(changes) else []

    def _go_on(self, changes: Transaction) -> bool:
        """Do as much as fits under one hold of the ledger lock; whether that was all."""
        self._workspace.ledger.journal.rotate()
        faults.point("apply.rotated")
        replayed = self._replay()
        if not self._begun:
            self._begun = True
            self._workspace.history.advance(self._tip.commit, reason="confirmed by the remote")
            faults.point("apply.branch-moved")
        self._note_lost(replayed)
        if not self._show(changes, replayed):
            return False
        # What was lost is shown at last: until then whoever changes it anew loses that, too.
        for task_id in sorted(replayed.other_tasks):
            self._show_task(changes, replayed, task_id)
        for path in filter(is_document, sorted(replayed.other_files)):
            self._show_file(changes, replayed, path)
        faults.point("apply.shown")
        self._finish(replayed)
        return True

    def _replay(self) -> Replayed:
        """Replay the closed journal, as far as that was not done before."""
        is_new = self._replayed is None
        for segment in self._workspace.ledger.journal.segments():
            if segment.number <= self._read:
                continue
            self._read, is_new = segment.number, True
            records = journal.read(segment.path)[0]
            _index(self._known, records)
            if segment.number > self._settled:
                self._segments[segment] = records
        if is_new or self._replayed is None:
            self._replayed = self._replayer.replay(list(self._segments.values()))
        return self._replayed

    def _note_lost(self, replayed: Replayed) -> None:
        """Write down what is lost."""
        if replayed is not self._noted:
            self._noted = replayed
            self._done.lost += losses.note(self._workspace, replayed.lost, replayed.aside)
            faults.point("apply.lost-noted")

    def _show(self, changes: Transaction, replayed: Replayed) -> bool:
        """Show some of what the remote has changed; whether that was all."""
        clock = self._workspace.clock
        until = clock.elapsed() + SLICE_S
        for _ in range(SLICE):
            if self._tasks:
                task_id, _ = self._tasks.popitem()
                if task_id not in replayed.other_tasks:
                    self._show_task(changes, replayed, task_id)
            elif self._files:
                path, _ = self._files.popitem()
                if path not in replayed.other_files:
                    self._show_file(changes, replayed, path)
            else:
                return True
            if clock.elapsed() >= until:
                return False
        return False

    def _show_task(self, changes: Transaction, replayed: Replayed, task_id: str) -> None:
        ours = replayed.tasks.get(task_id)
        if ours is not None and task_id not in replayed.other_tasks:
            return  # it is shown already, and perhaps moved on by its claimant
        seen = ours or self._tip.task(task_id)
        known = partial(self._versions, task_id)
        if seen is None:
            is_there = any(self._layout.relative(s, task_id) in self._tip.odd for s in Status)
            if not is_there and hide_task(changes, task_id, known=known):
                self._done.shown.append(task_id)
            return
        raw = canonical(seen.task) if ours is not None else self._tip.raw(task_id)
        if _present(changes, seen, raw, known):
            self._done.shown.append(task_id)

    def _versions(self, task_id: str) -> set[bytes]:
        """Return what a task's file may be without anybody having edited it by hand."""
        found = set(_contents(self._known.get(task_id, ())))
        base = self._base.task(task_id)
        return found | ({canonical(base.task)} if base is not None else set())

    def _show_file(self, changes: Transaction, replayed: Replayed, path: str) -> None:
        if path in replayed.files and path not in replayed.other_files:
            return
        raw = replayed.files[path] if path in replayed.files else self._tip.file(path)
        problem = "" if raw is None else _problem(self._layout, path, raw)
        if problem or path in self._tip.odd:
            self._tip.odd.setdefault(path, problem)
            return
        known = {*_contents(self._known.get(path, ())), self._base.file(path)}
        show_file(changes, path, raw, known=known)
        if raw is not None:
            self._done.files[path] = raw

    def _finish(self, replayed: Replayed) -> None:
        """Leave in the journal what survived, and say that the tip is shown."""
        done, log = self._done, self._workspace.ledger.journal
        drop(self._workspace, self._settled)
        faults.point("apply.settled")
        # Newest first: a change whose predecessor is gone could be taken for one that fits.
        for (segment, old), kept in reversed(
            list(zip(self._segments.items(), replayed.kept, strict=True))
        ):
            if kept != old:
                log.rewrite(segment, kept)
                faults.point("apply.rewritten")
        done.records = [record for kept in replayed.kept for record in kept]
        done.upto = max((segment.number for segment in self._segments), default=self._settled)
        losses.note_odd(self._workspace, self._tip.odd)
        state = read_state(self._layout.local)
        if state.applied != self._tip.commit:
            write_state(self._layout.local, replace(state, applied=self._tip.commit))
        trust(self._layout.local, self._distrusted)
        seen = (self._tip.task(task_id) for task_id in done.shown)
        ended = [one.task for one in seen if one is not None and one.status is Status.DONE]
        note_shown(self._workspace, ended, done.files)
        faults.point("apply.applied")


@contextmanager
def changing(workspace: Workspace, *, close: bool = False) -> Iterator[None]:
    """Keep the journal from being redone while the branch moves and segments go.

    With *close* the journal is closed first.
    """
    # What a power loss or a kill left is made whole before: that needs the lock below, too.
    with workspace.ledger.transaction(BY):
        if close:
            workspace.ledger.journal.rotate()
    with workspace.ledger.locks.hold("history"):
        yield


def drop(workspace: Workspace, upto: int) -> None:
    """Remove the segments up to a number, whose records the remote has. Held: the ledger lock."""
    log = workspace.ledger.journal
    for segment in reversed(_upto(log.segments(), upto)):
        log.drop(segment)
        faults.point("confirm.dropped")


def _after(log: journal.Journal, upto: int) -> Iterator[list[Record]]:
    """Yield the records of the segments after a number, and of the open one."""
    for path in log.files():
        if int(path.stem) > upto:
            yield journal.read(path)[0]


def _upto(segments: Iterable[Segment], upto: int) -> list[Segment]:
    return [segment for segment in segments if segment.number <= upto]


def confirm(
    workspace: Workspace, commit: str, *, upto: int, proposals: Iterable[Proposal]
) -> None:
    """Bring branch, journal and directory to a push that came through.

    A task that was changed here meanwhile is left alone: its record is replayed next time.
    """
    ledger = workspace.ledger
    with changing(workspace), ledger.transaction(BY) as changes:
        workspace.history.advance(commit, reason="confirmed by the remote")
        faults.point("confirm.branch-moved")
        since: dict[str, list[Record]] = {}
        for segment in _after(ledger.journal, upto):
            _index(since, segment)
        for proposal in proposals:
            _show_proposal(changes, proposal, since)
        faults.point("confirm.shown")
        drop(workspace, upto)
        state = read_state(ledger.layout.local)
        write_state(ledger.layout.local, replace(state, applied=commit, inflight=None, earlier=()))
        faults.point("confirm.applied")


def _show_proposal(
    changes: Transaction, proposal: Proposal, since: dict[str, list[Record]]
) -> None:
    layout = changes.ledger.layout
    documents = [(layout.run(run.id), canonical(run)) for run in proposal.runs]
    documents += [(layout.result(r.task, r.attempt), canonical(r)) for r in proposal.results]
    for path, raw in documents:
        if path not in since:
            show_file(changes, path, raw, known={_bytes_at(changes, path)})
    for move in proposal.moves:
        entry = None if move.task.id in since else changes.ledger.find(move.task.id)
        if entry is not None and entry.task.seq < move.task.seq:
            seen, before = Seen(move.task, move.target), canonical(entry.task)
            _present(changes, seen, canonical(move.task), partial(set, (before,)))


def _bytes_at(changes: Transaction, path: str) -> bytes | None:
    try:
        return (changes.ledger.layout.root / path).read_bytes()
    except OSError:
        return None


def _present(changes: Transaction, seen: Seen, raw: bytes, known: Known) -> bool:
    """Show a task as this machine has it."""
    status = seen.at(changes.ledger.layout.machine)
    return show_task(changes, seen.task, status, raw, known=known)


def _index(found: dict[str, list[Record]], records: Iterable[Record]) -> None:
    """Add records to those of their tasks and paths."""
    for record in records:
        name = record["path"] if record["kind"] == "file" else record["task"]
        found.setdefault(name, []).append(record)


def _contents(records: Iterable[Record]) -> Iterator[bytes]:
    """Yield what records say that a file is; a claim says nothing."""
    for record in records:
        if record["kind"] == "file":
            yield file_bytes(record) or b""
        elif record.get("content") is not None:
            yield canonical_json(record["content"])


def _problem(layout: Layout, path: str, raw: bytes) -> str:
    """Return why a document cannot be shown, or ""."""
    shape = shape_of(path)
    if shape is None:
        return ""
    try:
        document = parse(shape[0], raw, limit=shape[1])
    except WfledgerError as error:
        return error.message
    if isinstance(document, Run) and layout.run(document.id) != path:
        return f"it holds the run {document.id}"
    if isinstance(document, Result) and layout.result(document.task, document.attempt) != path:
        return f"it holds the result of {document.task}"
    return ""
