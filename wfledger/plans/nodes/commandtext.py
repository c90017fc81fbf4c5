"""Where in a command a value that nobody has seen yet may stand (WFL-NODE-052).

A value is filled in as one word. That is safe where the shell reads plain words, and nowhere else:
within quotes, comments and here-documents quoting means something else, and the name of a program
or a piece of code would be an order. Those places are refused, whatever the value.
"""

import re
from collections.abc import Iterable, Sequence
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
    place = len(before) - 1
    while place > 0 and (before[place].startswith("-") or before[place] == "eval"):
        place -= 1
    if _INTERPRETERS.match(before[place]) and any(map(_CODE.match, before[place + 1 :])):
        return "would be code; hand it over as a word of its own behind the code"
    return None


def line_problems(line: str, starts: Iterable[int]) -> list[str | None]:
    """Return for each of *starts*, in rising order, why no value may stand there; None: it may."""
    for mark, name in _ODD:
        if mark in line:
            why = f"stands in a line with {name}, where no value can be quoted safely"
            return [why for _ in starts]
    reader = _Line(line)
    return [_problem_at(reader, start) for start in starts]


def _problem_at(reader: "_Line", start: int) -> str | None:
    while reader.place < start:
        reader.step()
    if reader.place > start:
        return "is escaped by a backslash"
    shut = reader.shut()
    if shut is not None or (not reader.words and _ASSIGNED.match(reader.word)):
        return shut
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
        #: Where a `${` without an end stands, and from where on none was looked for.
        self._opened = -1
        self._known = 0
        #: Whether the word to come is the target of a redirection.
        self._is_target = False

    def shut(self) -> str | None:
        """Return why the place reached is not read as plain words; None where it is."""
        if self.quote:
            return "stands within quotes; write it outside, it is quoted as one word"
        if self.comment:
            return "stands in a comment"
        return "stands within ${…}" if self._is_open() else None

    def _is_open(self) -> bool:
        """Whether a `${` has no end so far; each part of the line is looked at once."""
        at = self._line.rfind("${", self._known, self.place)
        self._opened = at if at >= 0 else self._opened
        if self._opened >= 0 and self._line.find("}", self._opened, self.place) >= 0:
            self._opened = -1
        self._known = max(0, self.place - 1)
        return self._opened >= 0

    def step(self) -> None:
        """Read one character, or an escaped one."""
        char = self._line[self.place]
        self.place += 1
        if self.comment:
            if char == "\n":
                self.comment, self.words = False, []
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
        # An escaped end of line is nothing at all: a `#` behind it can begin a comment.
        self.word += self._line[self.place : self.place + 1].strip("\n")
        self.place += 1

    def _plain(self, char: str) -> None:
        if char not in " \t\n;&|()<>":
            self.word += char
            return
        if self.word and not self._is_target and (self.words or not self._comes_before_program()):
            self.words.append(self.word)
        self._is_target = char in "<>" or (self._is_target and not self.word)
        self.word = ""
        if char in "\n;&|()" and not self._is_redirection():
            self.words, self._is_target = [], False

    def _is_redirection(self) -> bool:
        """Whether the `&` just read belongs to a `>&` or an `&>`."""
        around = self._line[max(0, self.place - 2) : self.place + 1]
        marks = (">&", "<&", "&>")
        return self._line[self.place - 1] == "&" and any(mark in around for mark in marks)

    def _comes_before_program(self) -> bool:
        return self.word in _BEFORE_PROGRAM or _ASSIGNED.match(self.word) is not None
