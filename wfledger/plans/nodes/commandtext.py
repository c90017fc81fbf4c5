"""Where in a command a value that nobody has seen yet may stand (WFL-NODE-052).

A value is filled in as one word. That is safe where the shell reads plain words, and nowhere else:
within quotes, comments and here-documents quoting means something else, and the name of a program or
a piece of code would be an order. Those places are refused, whatever the value.
"""

import re
from collections.abc import Sequence
from typing import Final

_INTERPRETERS: Final = re.compile(
    r"(?:.*/)?(?:sh|bash|dash|ash|zsh|ksh|fish|busybox|python[0-9.]*|pypy[0-9.]*|perl|ruby|node|deno|bun"
    r"|php|lua|osascript)\Z"
)
#: Flags after which an interpreter takes code.
_CODE: Final = re.compile(r"-[A-Za-z]*[ceEr]\Z|--(?:eval|command|print)\Z|eval\Z")
#: Words that take what follows as an order.
_ORDERS: Final = frozenset({"eval", "exec", "trap", "source", ".", "alias", "let", "[["})
#: Words after which a program is still to come.
_BEFORE_PROGRAM: Final = frozenset(
    {"if", "then", "else", "elif", "while", "until", "do", "!", "{", "time", "command", "builtin"}
)
#: What makes the meaning of quotes depend on more than this reads.
_ODD: Final = (
    ("<<", "a here-document"), ("`", "a command in back-ticks"), ("$'", "$'…'"), ('$"', '$"…"'),
    ("$((", "arithmetic"), ("$[", "arithmetic"),
)  # fmt: skip
_ASSIGNED: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def quoted(value: str) -> str:
    """Return *value* as one word of a shell line.

    Always in quotes: a bare number would become the descriptor of a redirection next to it.
    """
    return "'" + value.replace("'", "'\"'\"'") + "'"


def word_problem(before: Sequence[str]) -> str | None:
    """Return why no value may stand in the word after *before*; None where it may."""
    if not before:
        return "would be the name of the program"
    if before[0] in _ORDERS:
        return f"would be an order to `{before[0]}`"
    for place, word in enumerate(before):
        flags = before[place + 1 :]
        if (
            _INTERPRETERS.match(word) and all(flag.startswith("-") or flag == "eval" for flag in flags)
            and any(_CODE.match(flag) for flag in flags)
        ):  # fmt: skip
            return "would be code; hand it over as a word of its own behind the code"
    return None


def line_problem(line: str, start: int) -> str | None:
    """Return why no value may stand at *start* of a shell line; None where it may."""
    for mark, name in _ODD:
        if mark in line:
            return f"stands in a line with {name}, where no value can be quoted safely"
    opened = line.rfind("${", 0, start)
    if opened >= 0 and "}" not in line[opened:start]:
        return "stands within ${…}"
    reader = _Line(line)
    while reader.place < start:
        reader.step()
    if reader.place > start:
        return "is escaped by a backslash"
    if reader.quote:
        return "stands within quotes; write it outside, it is quoted as one word"
    if reader.comment:
        return "stands in a comment"
    if _ASSIGNED.match(reader.word) and not reader.words:
        return None
    return word_problem(reader.words)


class _Line:
    """Reads a shell line: how its characters are quoted, and the words of the command so far."""

    def __init__(self, line: str) -> None:
        self._line = line
        self.place = 0
        self.quote = ""
        self.comment = False
        self.word = ""
        self.words: list[str] = []

    def step(self) -> None:
        """Read one character, or an escaped one."""
        char = self._line[self.place]
        self.place += 1
        if self.comment:
            self.comment = char != "\n"
        elif self.quote:
            self._quoted(char)
        elif char == "\\":
            self._escaped()
        elif char in "'\"":
            self.quote = char
        elif char == "#" and not self.word:
            self.comment = True
        else:
            self._plain(char)

    def _quoted(self, char: str) -> None:
        if char == self.quote:
            self.quote = ""
        elif char == "\\" and self.quote == '"':
            self._escaped()
        else:
            self.word += char

    def _escaped(self) -> None:
        self.word += self._line[self.place : self.place + 1]
        self.place += 1

    def _plain(self, char: str) -> None:
        if char not in " \t\n;&|()<>":
            self.word += char
            return
        if self.word and (self.words or not self._comes_before_program()):
            self.words.append(self.word)
        self.word = ""
        if char in "\n;&|()":
            self.words = []

    def _comes_before_program(self) -> bool:
        return self.word in _BEFORE_PROGRAM or _ASSIGNED.match(self.word) is not None
