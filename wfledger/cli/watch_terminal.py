"""The terminal that `watch` draws on: taken over whole, and given back on every way out.

Plain control sequences that every terminal of the last decades knows; no library, so that the
first picture is there at once. Keys are read as they come; signals end the wait for them.
"""

import codecs
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, Final, Self

from wfledger.cli.watch_screen import Line, sgr

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE: Final = "\x1b[0m\x1b[?25h\x1b[?1049l"
_CHUNK: Final = 1024
#: What keys with a name send, after the escape.
_NAMED: Final = {
    "[A": "up", "OA": "up", "[B": "down", "OB": "down", "[5~": "page up", "[6~": "page down",
    "[H": "home", "[1~": "home", "OH": "home", "[F": "end", "[4~": "end", "OF": "end",
}  # fmt: skip
_PLAIN: Final = {
    "\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace", "\x15": "clear",
    "\x04": "q", "\x0c": "redraw",
}  # fmt: skip
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


class Terminal:
    """The terminal of this process, as long as the block lasts."""

    def __init__(self, *, coloured: bool) -> None:
        self._in = sys.stdin.fileno()
        self._out = sys.stdout.fileno()
        self._coloured = coloured
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._painted: list[str] = []
        self._before: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}
        self._wake = -1, -1

    def __enter__(self) -> Self:
        """Take the terminal over."""
        self._before = termios.tcgetattr(self._in)
        # Signals write a byte here, so that a wait for keys ends with each of them.
        self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        wanted = dict.fromkeys(_ENDING, _end) | {
            signal.SIGWINCH: self._resized, signal.SIGTSTP: self._suspended,
        }  # fmt: skip
        for number, handler in wanted.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, handler)
        self._take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Give the terminal back as it was."""
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        for descriptor in self._wake:
            os.close(descriptor)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        try:
            found = os.get_terminal_size(self._out)
        except OSError:
            return 80, 24
        return max(found.columns, 20), max(found.lines, 6)

    def paint(self, lines: Sequence[Line]) -> None:
        """Show *lines* from the top; only those that have changed are written."""
        shown = [self._styled(line) for line in lines]
        news = [
            f"\x1b[{number};1H{text}\x1b[0m\x1b[K"
            for number, text in enumerate(shown, start=1)
            if number > len(self._painted) or self._painted[number - 1] != text
        ]
        if news:
            self._write("".join(news))
        self._painted = shown

    def keys(self, timeout: float) -> Iterator[str]:
        """Yield the keys that are pressed within *timeout* seconds, at once when there are any.

        `end` of input counts as `q`.
        """
        ready, _, _ = select.select([self._in, self._wake[0]], [], [], max(timeout, 0.0))
        if self._wake[0] in ready:
            os.read(self._wake[0], _CHUNK)
        if self._in not in ready:
            return
        raw = os.read(self._in, _CHUNK)
        if not raw:
            yield "q"
            return
        yield from keys_of(self._decoder.decode(raw))

    def redraw(self) -> None:
        """Forget what is on the screen: everything is written anew."""
        self._painted = []
        self._write("\x1b[2J")

    def _styled(self, line: Line) -> str:
        base = sgr("chosen", coloured=True) if line.is_chosen else ""
        pieces = []
        for text, style in line.pieces:
            code = base or sgr(style, coloured=self._coloured)
            pieces.append(f"{code}{text}\x1b[0m" if code else text)
        return "".join(pieces)

    def _write(self, text: str) -> None:
        data = memoryview(text.encode("utf-8", "replace"))
        while data:
            data = data[os.write(self._out, data) :]

    def _take(self) -> None:
        tty.setcbreak(self._in)
        self._write(_ENTER)
        self._painted = []

    def _give_back(self) -> None:
        termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)
        self._write(_LEAVE)

    def _resized(self, _number: int, _frame: FrameType | None) -> None:
        self._painted = []

    def _suspended(self, _number: int, _frame: FrameType | None) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()  # somebody has let us go on


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def keys_of(text: str) -> Iterator[str]:
    """Yield the keys that *text* from a terminal stands for; unknown sequences are left out."""
    at = 0
    while at < len(text):
        if text[at] != "\x1b":
            yield _PLAIN.get(text[at], text[at])
            at += 1
            continue
        end = _end_of_sequence(text, at + 1)
        if end == at + 1:
            yield "escape"
        elif text[at + 1 : end] in _NAMED:
            yield _NAMED[text[at + 1 : end]]
        at = end


def _end_of_sequence(text: str, at: int) -> int:
    """Return where the sequence whose first character after the escape is at *at* is over."""
    if at >= len(text) or text[at] not in "[O":
        return at
    end = at + 1
    while end < len(text) and not ("@" <= text[end] <= "~"):
        end += 1
    return min(end + 1, len(text))
