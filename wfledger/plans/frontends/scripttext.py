"""What stands where in the text of a script: strings and comments apart from code (spec 94).

A scan, not a parser: it tells a script from a declarative file, finds the statements that belong
to modules, and leaves every character at its place, so that lines and columns stay those of the
file. What it takes for code wrongly is refused by the interpreter afterwards.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from wfledger.plans import reading

_EXPORTED: Final = re.compile(r"^[ \t]*(export[ \t]+default)\b", re.MULTILINE)
_DEFAULT_FUNCTION: Final = re.compile(
    r"^[ \t]*export[ \t]+default[ \t]+(?:async\b|function\b|\()", re.MULTILINE
)
_NAMED: Final = re.compile(
    r"^[ \t]*(export)(?=[ \t]+(?:const|let|var|function|class|async)\b)", re.MULTILINE
)
_AWAIT: Final = re.compile(r"\bawait\b")
_DECLARATIVE: Final = re.compile(r"\bworkflow\s*\(")
#: What no script may do, each with the word that it is reported under.
_BANNED: Final = (
    (re.compile(r"(?<![.\w$])import\b(?!\s*:)"), "import"),
    (re.compile(r"(?<![.\w$])require\s*\("), "require"),
    (re.compile(r"^[ \t]*export\b(?!\s*[:=])", re.MULTILINE), "export"),
)
#: Before a slash these are no value, so that it begins a regular expression.
_NO_VALUE: Final = frozenset("(,=:[!&|?{};+-*%<>~^")
_WORDS: Final = ("return", "typeof", "case", "in", "of", "await", "yield", "void", "delete")


class Place(NamedTuple):
    """A place of a text, both counted from 1."""

    line: int
    column: int


class Banned(NamedTuple):
    """Something that scripts do not have, and where it stands."""

    word: str
    place: Place


def is_script(text: str) -> bool:
    """Whether *text* is a script that is run, and no declarative file that is read."""
    code = code_of(text)
    if _DEFAULT_FUNCTION.search(code):
        return True
    return bool(_AWAIT.search(code)) and not _DECLARATIVE.search(code)


def banned(text: str) -> Iterator[Banned]:
    """Yield what belongs to modules and is not there for scripts."""
    code = _without_exports(code_of(text))
    for pattern, word in _BANNED:
        for found in pattern.finditer(code):
            yield Banned(word, place_of(text, found.start() + _indent(found.group())))


def as_function(text: str, *, exported: str) -> str:
    """Return *text* as the body of a function: what it exports by default goes to *exported*.

    Every line stays where it is.
    """
    code = code_of(text)
    found = _EXPORTED.search(code)
    if found is not None:
        start, end = found.span(1)
        text = f"{text[:start]}{exported} ={text[end:]}"
        code = f"{code[:start]}{exported} ={code[end:]}"
    for named in reversed(list(_NAMED.finditer(code))):
        start, end = named.span(1)
        text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
    return text


def place_of(text: str, offset: int) -> Place:
    """Return line and column of *offset*."""
    return Place(*reading.place_of(text, offset))


def code_of(text: str) -> str:
    """Return *text* with strings, comments and regular expressions blanked out."""
    return "".join(_Scan(text).pieces())


def _without_exports(code: str) -> str:
    code = _EXPORTED.sub(lambda found: " " * len(found.group()), code, count=1)
    return _NAMED.sub(lambda found: " " * len(found.group()), code)


def _indent(found: str) -> int:
    return len(found) - len(found.lstrip())


class _Scan:
    """Reads a text once, from its start."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        #: The last thing that was no white space, for telling a division from an expression.
        self._last = ""
        #: For each template that is open, how many braces are open in its present expression.
        self._templates: list[int] = []

    def pieces(self) -> Iterator[str]:
        while self._at < len(self._text):
            start, code = self._at, self._step()
            piece = self._text[start : self._at]
            yield piece if code else _blank(piece)

    def _step(self) -> bool:
        """Go on by one part; returns whether it is code."""
        text, at = self._text, self._at
        char = text[at]
        if text.startswith("//", at):
            end = text.find("\n", at)
            self._at = len(text) if end < 0 else end
            return False
        if text.startswith("/*", at):
            end = text.find("*/", at + 2)
            self._at = len(text) if end < 0 else end + 2
            return False
        if char in "'\"":
            return self._quoted(char)
        if char == "`" or (char == "}" and self._templates and self._templates[-1] == 0):
            return self._template(reopened=char == "}")
        if char == "/" and self._begins_regex():
            return self._regex()
        return self._code(char)

    def _code(self, char: str) -> bool:
        if self._templates and char in "{}":
            self._templates[-1] += 1 if char == "{" else -1
        if char.isidentifier() or char == "$":
            start = self._at
            while self._at < len(self._text) and (
                self._text[self._at].isalnum() or self._text[self._at] in "_$"
            ):
                self._at += 1
            self._at = max(self._at, start + 1)
            self._last = self._text[start : self._at]
            return True
        self._at += 1
        if not char.isspace():
            self._last = char
        return True

    def _begins_regex(self) -> bool:
        return not self._last or self._last in _NO_VALUE or self._last in _WORDS

    def _quoted(self, quote: str) -> bool:
        self._at += 1
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 2 if char == "\\" else 1
            if char in (quote, "\n"):
                break
        self._last = '"'
        return False

    def _template(self, *, reopened: bool) -> bool:
        if reopened:
            self._templates.pop()
        self._at += 1
        while self._at < len(self._text):
            if self._text.startswith("${", self._at):
                self._at += 2
                self._templates.append(0)
                self._last = "{"
                return False
            char = self._text[self._at]
            self._at += 2 if char == "\\" else 1
            if char == "`":
                break
        self._last = '"'
        return False

    def _regex(self) -> bool:
        self._at += 1
        in_class = False
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 2 if char == "\\" else 1
            in_class = (in_class or char == "[") and char != "]"
            if char == "\n" or (char == "/" and not in_class):
                break
        self._last = '"'
        return False


def _blank(piece: str) -> str:
    return "".join(char if char == "\n" else " " for char in piece)
