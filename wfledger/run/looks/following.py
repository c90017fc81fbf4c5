"""Following a task's output: as it comes, from attempt to attempt, until the task is over.

The runtime drops the middle of long output in place (`processes.output`), so a position in the file
may mean something else at the next look. The last bytes that were shown tell: where they are not in
front of the position any more, they are looked for, and what comes after them goes on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry

#: Pause between two looks.
LOOK_S: Final = 0.2
#: Of output that is there already, this much is shown.
TAIL: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
#: Bytes by which a position is known again, and how far back they are looked for.
_ANCHOR: Final = 256
_BACK: Final = 16 * 2**20
_OVER: Final = frozenset({Status.DONE, Status.BLOCKED, Status.CANCELLED})


@dataclass(frozen=True)
class Said:
    """What happens to the task between two pieces of its output."""

    text: str


Piece = bytes | Said


def follow(workspace: Workspace, task_id: str) -> Iterator[Piece]:
    """Yield a task's output from its present attempt on; ends when the task is over.

    Raises `NotFoundError` when there is no such task.
    """
    ledger, shown, said = workspace.ledger, 0, ""
    while True:
        entry = ledger.get(task_id)
        number = entry.task.attempt
        path = ledger.layout.log(task_id, number)
        if number > shown and (entry.status is Status.IN_PROGRESS or path.is_file()):
            yield from follow_attempt(workspace, task_id, number)
            shown = number
            continue
        text = _standing(entry)
        if text != said:
            yield Said(text)
            said = text
        if entry.status in _OVER:
            return
        workspace.clock.wait(LOOK_S)


def follow_attempt(workspace: Workspace, task_id: str, attempt: int) -> Iterator[Piece]:
    """Yield the output of one attempt until it is over."""
    ledger, clock = workspace.ledger, workspace.clock

    def goes_on() -> bool:
        entry = ledger.find(task_id)
        is_open = entry is not None and entry.status is Status.IN_PROGRESS
        return is_open and entry is not None and entry.task.attempt == attempt

    path = ledger.layout.log(task_id, attempt)
    while not path.is_file():
        if not goes_on():
            return
        clock.wait(LOOK_S)
    with path.open("rb", buffering=0) as file:
        yield from _Tail(file).pieces(goes_on, lambda: clock.wait(LOOK_S))


class _Tail:
    """Reads what is appended to a file whose middle may be dropped meanwhile."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offset = 0
        self._anchor = b""

    def pieces(self, goes_on: Callable[[], bool], wait: Callable[[], None]) -> Iterator[Piece]:
        """Yield what is there, from a line's beginning if that is much, and what comes."""
        size = self._file.seek(0, 2)
        if size > TAIL:
            yield Said(f"the last {TAIL // 1024} KiB; wfledger logs TASK shows all that is kept")
            self._skip_to(size - TAIL)
        while True:
            going = goes_on()  # asked before the look, so that the last bytes are not missed
            yield from self._news()
            if not going:
                return
            wait()

    def _news(self) -> Iterator[Piece]:
        if not self._is_where_it_was() and not self._find_again():
            yield Said("output was dropped here; its last part follows")
            self._skip_to(max(self._file.seek(0, 2) - TAIL, 0))
        self._file.seek(self._offset)
        while chunk := self._file.read(_CHUNK):
            self._offset += len(chunk)
            self._anchor = (self._anchor + chunk)[-_ANCHOR:]
            yield chunk

    def _is_where_it_was(self) -> bool:
        self._file.seek(self._offset - len(self._anchor))
        return self._file.read(len(self._anchor)) == self._anchor

    def _find_again(self) -> bool:
        """Go on behind what was shown last, if that is still there."""
        start = max(self._file.seek(0, 2) - _BACK, 0)
        self._file.seek(start)
        # Nothing that was dropped is read: less is there than before.
        raw = self._file.read(_BACK)
        at = raw.rfind(self._anchor)
        if at < 0:
            return False
        self._offset = start + at + len(self._anchor)
        return True

    def _skip_to(self, offset: int) -> None:
        self._file.seek(offset)
        raw = self._file.read(_CHUNK)
        line = raw.find(b"\n") + 1 if offset else 0
        self._offset, self._anchor = offset + line, b""


def _standing(entry: Entry) -> str:
    """Return where a task is that does not run just now."""
    task, status = entry.task, entry.status
    last = task.attempts[-1] if task.attempts else None
    ended = f"attempt {last.number}: {last.outcome}; " if last else ""
    if status is Status.BLOCKED and task.block is not None:
        return clean_line(f"{task.id} is blocked ({task.block.code}): {task.block.command}", 500)
    if status is Status.MERGING:
        return f"{task.id} is handed in and waits to be landed"
    if status is Status.WAITING and task.hold is not None and task.hold.until:
        return f"{ended}{task.id} tries again at {task.hold.until}"
    if status in _OVER:
        return f"{task.id} is {status.value}"
    return f"{ended}{task.id} is {status.value}"
