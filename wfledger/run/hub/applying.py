"""Taking in what the remote has: the journal is replayed on its tip, and the directory shows it.

In this order, so that whoever dies or looks in between finds the truth: what is lost is written
down; branch and pin go to the tip; tasks and documents follow, some at a time, so that nobody waits
long for the ledger lock; the journal keeps what survived; and last `state.applied` says so. Until
it does, the next meeting does all of it again, and comes to the same end (WFL-HUB-022).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from wfledger import faults
from wfledger.core import bounds
from wfledger.core.hub import shown
from wfledger.core.policy import LedgerConfig
from wfledger.core.records import canonical, canonical_json, parse
from wfledger.core.replaying import Seen
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.hub import losses
from wfledger.run.hub.proposals import Proposal
from wfledger.run.hub.replaying import Record, Replayed, Replayer, Tip, run_in, task_of
from wfledger.run.hub.state import distrusted, read_state, trust, write_state
from wfledger.run.workspace import Workspace
from wfledger.store import journal
from wfledger.store.journal import Segment, file_bytes
from wfledger.store.showing import hide_task, is_document, show_file, show_task
from wfledger.store.transaction import Transaction
from wfledger.vcs.standing import differences

faults.register(
    "apply.rotated", "apply.settled", "apply.lost-noted", "apply.branch-moved", "apply.shown",
    "apply.rewritten", "apply.applied",
    "confirm.branch-moved", "confirm.dropped", "confirm.shown", "confirm.applied",
)

BY: Final = "sync"
#: Tasks and documents that are shown under one hold of the ledger lock.
SLICE: Final = 250
_AskedT = TypeVar("_AskedT")


@dataclass
class Arrived:
    """What taking in a tip came to."""

    tip: Tip
    #: What of ours goes on top of the tip, oldest first, and up to which segment that is.
    records: list[Record] = field(default_factory=list)
    upto: int = 0
    lost: tuple[losses.Lost, ...] = ()
    #: Tasks whose files have changed here.
    shown: list[str] = field(default_factory=list)


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
        self._replayed: tuple[tuple[int, ...], Replayed] | None = None

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
        ledger = self._workspace.ledger
        is_first = True
        with changing(self._workspace):
            while True:
                with ledger.transaction(BY) as changes:
                    replayed = self._replay(is_first=is_first)
                    is_first = False
                    if self._show(changes, replayed):
                        self._finish()
                        return self._done, ask()

    def _replay(self, *, is_first: bool) -> Replayed:
        """Close the journal and replay it, if there is anything new; brings the branch forward."""
        ledger, done = self._workspace.ledger, self._done
        ledger.journal.rotate()
        faults.point("apply.rotated")
        if is_first:
            drop(self._workspace, self._settled)
            faults.point("apply.settled")
        segments = ledger.journal.segments()
        numbers = tuple(segment.number for segment in segments)
        if self._replayed is not None and self._replayed[0] == numbers:
            return self._replayed[1]
        records = [journal.read(segment.path)[0] for segment in segments]
        replayer = Replayer(self._tip, self._base, layout=self._layout)
        replayed = replayer.replay(records)
        done.lost += losses.note(self._workspace, replayed.lost, replayed.aside)
        faults.point("apply.lost-noted")
        if is_first:
            self._workspace.history.advance(self._tip.commit, reason="confirmed by the remote")
            faults.point("apply.branch-moved")
        # What was lost here may be where the remote has not changed anything.
        self._tasks |= dict.fromkeys(replayed.other_tasks)
        self._files |= dict.fromkeys(filter(is_document, replayed.other_files))
        self._known = _known(records)
        done.records = [record for segment in replayed.kept for record in segment]
        done.upto = max(numbers, default=self._settled)
        self._replayed = (numbers, replayed)
        self._rewrite = [
            (segment, kept) for segment, kept, old in zip(
                segments, replayed.kept, records, strict=True
            ) if kept != old
        ]  # fmt: skip
        return replayed

    def _show(self, changes: Transaction, replayed: Replayed) -> bool:
        """Show some of what is left; whether that was all."""
        left = SLICE
        while self._tasks and left:
            task_id = next(iter(self._tasks))
            self._show_task(changes, replayed, task_id)
            del self._tasks[task_id]
            left -= 1
        while self._files and left:
            path = next(iter(self._files))
            self._show_file(changes, replayed, path)
            del self._files[path]
            left -= 1
        faults.point("apply.shown")
        return not self._tasks and not self._files

    def _show_task(self, changes: Transaction, replayed: Replayed, task_id: str) -> None:
        ours = replayed.tasks.get(task_id)
        if ours is not None and task_id not in replayed.other_tasks:
            return  # it is shown already, and perhaps moved on by its claimant
        seen = ours or self._tip.task(task_id)
        known = self._versions(task_id)
        if seen is None:
            is_there = any(self._layout.relative(s, task_id) in self._tip.odd for s in Status)
            if not is_there and hide_task(changes, task_id, known=known):
                self._done.shown.append(task_id)
            return
        if _present(changes, seen, here=self._layout.machine, known=known):
            self._done.shown.append(task_id)

    def _versions(self, task_id: str) -> set[bytes]:
        """Return what a task's file may be without anybody having edited it by hand."""
        found = set(self._known.get(task_id, ()))
        base = self._base.task(task_id)
        return found | ({canonical(base.task)} if base is not None else set())

    def _show_file(self, changes: Transaction, replayed: Replayed, path: str) -> None:
        if path in replayed.files and path not in replayed.other_files:
            return
        raw = replayed.files[path] if path in replayed.files else self._tip.file(path)
        problem = "" if raw is None else _problem(path, raw)
        if problem or path in self._tip.odd:
            self._tip.odd.setdefault(path, problem)
            return
        known = {*self._known.get(path, ()), self._base.file(path)}
        show_file(changes, path, raw, known=known)

    def _finish(self) -> None:
        """Leave in the journal what survived, and say that the tip is shown."""
        # Newest first: a change whose predecessor is gone could be taken for one that fits.
        for segment, kept in reversed(self._rewrite):
            self._workspace.ledger.journal.rewrite(segment, kept)
            faults.point("apply.rewritten")
        self._rewrite = []
        losses.note_odd(self._workspace, self._tip.odd)
        state = read_state(self._layout.local)
        if state.applied != self._tip.commit:
            write_state(self._layout.local, replace(state, applied=self._tip.commit))
        trust(self._layout.local, self._distrusted)
        faults.point("apply.applied")


@contextmanager
def changing(workspace: Workspace) -> Iterator[None]:
    """Keep the journal from being redone while the branch moves and segments go."""
    with workspace.ledger.transaction(BY):
        pass  # what a power loss or a kill left is made whole first; it needs the lock below
    with workspace.ledger.locks.hold("history"):
        yield


def drop(workspace: Workspace, upto: int) -> None:
    """Remove the segments up to a number, whose records the remote has. Held: the ledger lock."""
    log = workspace.ledger.journal
    for segment in reversed(_upto(log.segments(), upto)):
        log.drop(segment)
        faults.point("confirm.dropped")


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
        drop(workspace, upto)
        since = _known([list(ledger.journal.records())])
        for proposal in proposals:
            _show_proposal(changes, proposal, since, here=ledger.layout.machine)
        faults.point("confirm.shown")
        state = read_state(ledger.layout.local)
        write_state(ledger.layout.local, replace(state, applied=commit, inflight=None, earlier=()))
        faults.point("confirm.applied")


def _show_proposal(
    changes: Transaction, proposal: Proposal, since: dict[str, list[bytes]], *, here: str
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
            seen = Seen(move.task, move.target)
            _present(changes, seen, here=here, known={canonical(entry.task)})


def _bytes_at(changes: Transaction, path: str) -> bytes | None:
    try:
        return (changes.ledger.layout.root / path).read_bytes()
    except OSError:
        return None


def _present(changes: Transaction, seen: Seen, *, here: str, known: set[bytes]) -> bool:
    """Show a task as this machine has it."""
    status = shown(seen.task, seen.status, here)
    return show_task(changes, seen.task, status, canonical(seen.task), known=known)


def _known(segments: Iterable[list[Record]]) -> dict[str, list[bytes]]:
    """Return what records say of each task and path."""
    found: dict[str, list[bytes]] = {}
    for record in (record for segment in segments for record in segment):
        if record["kind"] == "file":
            found.setdefault(record["path"], []).append(file_bytes(record) or b"")
        elif record.get("content") is not None:
            found.setdefault(record["task"], []).append(canonical_json(record["content"]))
        else:
            found.setdefault(record["task"], [])
    return found


def _problem(path: str, raw: bytes) -> str:
    """Return why a document cannot be shown, or ""."""
    if path.startswith("runs/") and run_in(raw) is None:
        return "it is no run"
    if path == "ledger.json":
        try:
            parse(LedgerConfig, raw, limit=bounds.TASK_BYTES)
        except WfledgerError as error:
            return error.message
    return ""
