"""A program on a terminal of its own, and what its screen shows."""

import os
import re
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pexpect

_PATIENCE_S = 30.0
#: Control sequences that the board writes, and text between them.
_TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)|\x1b")
_BEGUN = re.compile(r"\x1b(\[[?\d;]*)?\Z")


class Screen:
    """The visible text of a terminal; knows the few sequences that are drawn with."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.height = columns, lines
        self.lines = [""] * lines
        self.is_alternate = False
        self.cursor_shown = True
        self._row, self._column = 0, 0
        #: The first half of a control sequence, whose other half is still to be read.
        self._unread = ""

    def feed(self, text: str) -> None:
        """Take what the program wrote."""
        text = self._unread + text
        begun = _BEGUN.search(text)
        self._unread = begun[0] if begun else ""
        for numbers, letter, newline, plain in _TOKEN.findall(text.removesuffix(self._unread)):
            if letter:
                self._control(numbers, letter)
            elif newline == "\n":
                self._next_line()
            elif newline == "\r":
                self._column = 0
            elif plain:
                self._put(plain)

    def _control(self, numbers: str, letter: str) -> None:
        if letter in "HJ":
            row, _, column = numbers.partition(";")
            if letter == "J":
                self.lines = [""] * self.height
            else:
                self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
        elif letter == "K":
            self.lines[self._row] = self.lines[self._row][: self._column]
        elif letter in "hl" and numbers == "?1049":
            self.is_alternate = letter == "h"
        elif letter in "hl" and numbers == "?25":
            self.cursor_shown = letter == "h"

    def _next_line(self) -> None:
        if self._row < self.height - 1:
            self._row += 1
        else:
            self.lines = [*self.lines[1:], ""]

    def _put(self, text: str) -> None:
        line = self.lines[self._row].ljust(self._column)
        end = self._column + len(text)
        self.lines[self._row] = line[: self._column] + text + line[end:]
        self._column = end

    @property
    def text(self) -> str:
        """Everything that is shown."""
        return "\n".join(line.rstrip() for line in self.lines)


class OnTerminal:
    """`wfledger ARGS` on a terminal; its keys are ours."""

    def __init__(self, *args: str, cwd: Path, columns: int = 100, lines: int = 24) -> None:
        environment = {**os.environ, "TERM": "xterm"}
        environment.pop("NO_COLOR", None)
        self.child: pexpect.spawn[str] = pexpect.spawn(
            sys.executable, ["-m", "wfledger", *args], cwd=str(cwd), env=environment,
            encoding="utf-8", codec_errors="replace", dimensions=(lines, columns),
            timeout=_PATIENCE_S,
        )  # fmt: skip
        self.child.delaybeforesend = None
        self.child.delayafterclose = 0.0
        self.before = self.mode()
        self.screen = Screen(columns, lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.child.close(force=True)

    def mode(self) -> list[Any]:
        """Return the modes of the terminal, as `stty` sees them."""
        return termios.tcgetattr(self.child.child_fd)

    def press(self, keys: str) -> None:
        """Press keys."""
        self.child.send(keys)

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size."""
        self.screen = Screen(columns, lines)
        self.child.setwinsize(lines, columns)

    def until(self, *texts: str) -> str:
        """Wait until the screen shows all of *texts*; return it."""
        return self.when(lambda shown: all(text in shown for text in texts), str(texts))

    def until_gone(self, text: str) -> str:
        """Wait until the screen does not show *text*; return it."""
        return self.when(lambda shown: text not in shown, f"no {text!r}")

    def when(self, holds: Callable[[str], bool], what: str) -> str:
        """Wait until *holds* is true of what is shown."""
        deadline = time.monotonic() + _PATIENCE_S
        while not holds(self.screen.text):
            assert time.monotonic() < deadline, f"{what} never came:\n{self.screen.text}"
            try:
                self.screen.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                assert holds(self.screen.text), f"{what} never came:\n{self.screen.text}"
        return self.screen.text

    def end(self) -> int | None:
        """Wait for the program's end; return its exit status, negative for a signal."""
        self.screen.feed(self.child.read() or "")
        after = self.mode()
        self.child.wait()
        assert after == self.before
        assert not self.screen.is_alternate
        assert self.screen.cursor_shown
        killed, status = self.child.signalstatus, self.child.exitstatus
        return -int(killed) if killed is not None else status if status is None else int(status)
