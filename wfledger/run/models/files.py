"""The tools for files: list, read, search, edit, write.

Each takes the arguments of a call and returns text, bounded; what cannot be done is a `ToolError`
that says what can. Writing is held to the very rules that a landing is held to.
"""

import difflib
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from wfledger.core.changes import Change, Rules, violations
from wfledger.core.changes import Entry as Side
from wfledger.core.scopes import Pattern, matches, parse_protected
from wfledger.errors import InvalidPatternError
from wfledger.run.models.places import Place, ToolError

#: Bytes of one tool's output.
OUTPUT_BYTES: Final = 32 * 1024
_ENTRIES: Final = 1000
_LINES: Final = 1000
_MATCHES: Final = 200
_LINE_CHARS: Final = 400
_SEARCHED_BYTES: Final = 2**20
#: Seconds of CPU time that a search may take: an expression can be made to take for ever.
_SEARCH_S: Final = 10.0
_PLAIN: Final = 0o100644
_OLD, _NEW = "0" * 40, "1" * 40


class Files:
    """The files of one worktree: all to read, those within the scope to write."""

    def __init__(
        self, place: Place, write: tuple[Pattern, ...], rules: Rules, *,
        inputs: Place | None = None,
    ) -> None:  # fmt: skip
        self._place = place
        #: Of the attempt's producers; outside of the worktree, named absolutely by the prompt.
        self._inputs = inputs
        self._write = write
        self._rules = rules
        #: Paths that were written.
        self.written: set[str] = set()

    def listing(self, arguments: Mapping[str, Any]) -> str:
        """List a folder, or all below it."""
        path = self._place.path(_text(arguments, "path", "."))
        start = self._place.entry(path)
        if start is None:
            raise ToolError(f"there is nothing at {path}; list the folder above it")
        if not start.is_folder:
            return f"{path} is a file of {start.size} bytes"
        deep = arguments.get("recursive") is True
        found = self._place.walk(path) if deep else iter(self._place.entries(path))
        shown = list(islice(found, _ENTRIES + 1))
        marks = [f"{one.path}{_mark(one.is_folder, one.is_link)}" for one in shown[:_ENTRIES]]
        if len(shown) > _ENTRIES:
            marks.append(f"(more than {_ENTRIES} entries; list a folder below)")
        return "\n".join(marks) or "(empty)"

    def read(self, arguments: Mapping[str, Any]) -> str:
        """Return lines of a file."""
        place, path = self._at(_text(arguments, "path"))
        lines = _content(place, path).splitlines(keepends=True)
        first = _number(arguments, "offset", 1)
        last = min(first - 1 + _number(arguments, "limit", _LINES), len(lines))
        taken: list[str] = []
        size = 0
        for line in lines[first - 1 : last]:
            size += len(line.encode())
            if size > OUTPUT_BYTES and taken:
                break
            taken.append(line)
        end = first - 1 + len(taken)
        if not taken:
            return f"({path} has {len(lines)} lines)"
        body = "".join(taken)
        if len(body) > OUTPUT_BYTES:
            body = f"{body[:OUTPUT_BYTES]}\n(this line is longer and was cut)"
        if first == 1 and end == len(lines):
            return body
        go_on = f"; go on with offset {end + 1}" if end < len(lines) else ""
        return f"(lines {first} to {end} of {len(lines)}{go_on})\n{body}"

    def search(self, arguments: Mapping[str, Any]) -> str:
        """Return the lines of files that an expression is found in."""
        wanted = _text(arguments, "pattern")
        try:
            expression = re.compile(wanted)
        except (re.error, RecursionError) as error:
            raise ToolError(f"{wanted!r} is no regular expression of Python: {error}") from None
        glob = _glob(arguments)
        path = self._place.path(_text(arguments, "path", "."))
        found: list[str] = []
        size = 0
        with _bounded_cpu(_SEARCH_S):
            for line in self._matches(expression, path, glob):
                size += len(line.encode())
                if len(found) >= _MATCHES or size > OUTPUT_BYTES:
                    found.append("(there is more; narrow the pattern, the path or the glob)")
                    break
                found.append(line)
        return "\n".join(found) or "(no match)"

    def edit(self, arguments: Mapping[str, Any]) -> str:
        """Replace text in a file, exactly, and once unless all are meant."""
        path = self._place.path(_text(arguments, "path"))
        old, new = _text(arguments, "old"), _text(arguments, "new", empty=True)
        if old == new:
            raise ToolError("old and new are the same")
        self._require_allowed(path, None)
        content = _content(self._place, path, strict=True)
        count = content.count(old)
        if count == 0:
            raise ToolError(_not_found(path, content, old))
        if count > 1 and arguments.get("all") is not True:
            raise ToolError(
                f"old occurs {count} times in {path}; give more lines around it, or all = true"
            )
        self._put(path, content.replace(old, new))
        return f"replaced {count} in {path}"

    def write(self, arguments: Mapping[str, Any]) -> str:
        """Write a whole file."""
        path = self._place.path(_text(arguments, "path"))
        content = _text(arguments, "content", empty=True)
        self._put(path, content)
        return f"wrote {path}, {len(content.encode())} bytes"

    def _at(self, given: str) -> tuple[Place, str]:
        """Return where a path that is only read lies: among the inputs, or in the worktree."""
        if self._inputs is not None and self._inputs.holds(given):
            return self._inputs, self._inputs.path(given)
        return self._place, self._place.path(given)

    def _put(self, path: str, content: str) -> None:
        raw = content.encode("utf-8")
        self._require_allowed(path, len(raw))
        self._place.write(path, raw)
        self.written.add(path)

    def _require_allowed(self, path: str, size: int | None) -> None:
        """Raise `ToolError` unless a landing would take a change of that path (WFL-MODEL-031)."""
        there = self._place.entry(path) if path else None
        if not path or (there is not None and there.is_folder):
            raise ToolError(f"{path or '.'} is a folder")
        if there is not None and there.is_link:
            raise ToolError(f"{path} is a symbolic link, and links are not followed")
        old = Side(_PLAIN, _OLD, there.size) if there is not None else None
        change = Change(path.encode("utf-8", "surrogateescape"), old, Side(_PLAIN, _NEW, size))
        found = violations([change], self._write, self._rules, siblings=self._siblings)
        if not found:
            return
        scope = ", ".join(pattern.text for pattern in self._write)
        said = f"{path} is outside of your write scope: {scope}"
        if found[0].code != "out_of_scope":
            said = f"{found[0]}. Your write scope: {scope}"
        raise ToolError(
            f"{said}. Nothing was written. If the task cannot be done within it, submit_result with"
            " status blocked and name the path in open_questions."
        )

    def _siblings(self, folder: bytes) -> list[bytes]:
        path = folder.decode("utf-8", "surrogateescape")
        there = self._place.entry(path)
        if there is None or not there.is_folder:
            return []
        return [
            one.path.rpartition("/")[2].encode("utf-8", "surrogateescape")
            for one in self._place.entries(path)
        ]

    def _matches(
        self, expression: re.Pattern[str], path: str, glob: Pattern | None
    ) -> Iterator[str]:
        for one in self._place.walk(path):
            if one.is_folder or one.is_link or one.size > _SEARCHED_BYTES:
                continue
            if glob is not None and not matches(glob, one.path):
                continue
            try:
                content = _content(self._place, one.path)
            except ToolError:  # no text, or gone since
                continue
            for number, line in enumerate(content.splitlines(), start=1):
                if expression.search(line):
                    yield f"{one.path}:{number}: {line[:_LINE_CHARS]}"


def _content(place: Place, path: str, *, strict: bool = False) -> str:
    raw = place.read(path)
    if b"\0" in raw[:8192]:
        raise ToolError(f"{path} is no text: {len(raw)} bytes")
    try:
        return raw.decode("utf-8", "strict" if strict else "replace")
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not UTF-8 and cannot be edited; write it anew") from None


def _text(
    arguments: Mapping[str, Any], name: str, default: str | None = None, *, empty: bool = False
) -> str:
    value = arguments.get(name, default)
    if not isinstance(value, str):
        raise ToolError(f"{name} must be a text")
    if not value and not empty:
        raise ToolError(f"{name} is empty")
    return value


def _number(arguments: Mapping[str, Any], name: str, default: int) -> int:
    value = arguments.get(name)
    if isinstance(value, str) and value.isdigit():  # models quote numbers now and then
        value = int(value)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ToolError(f"{name} must be a whole number from 1")
    return value


def _glob(arguments: Mapping[str, Any]) -> Pattern | None:
    given = arguments.get("glob")
    if not given:
        return None
    text = _text(arguments, "glob")
    try:
        return parse_protected(text if "/" in text else f"**/{text}")
    except InvalidPatternError as error:
        raise ToolError(error.message) from None


def _mark(is_folder: bool, is_link: bool) -> str:  # noqa: FBT001 - two facts of one entry
    if is_link:
        return " (a link, not followed)"
    return "/" if is_folder else ""


def _not_found(path: str, content: str, old: str) -> str:
    """Return what stands where the text was expected, as far as that can be told."""
    lines = content.splitlines()
    first = next((line for line in old.splitlines() if line.strip()), "")
    near = difflib.get_close_matches(first, lines, n=1, cutoff=0.6)
    hint = f"; nearest is line {lines.index(near[0]) + 1}: {near[0][:_LINE_CHARS]}" if near else ""
    return f"old is not in {path} as it stands, white space included{hint}; read it again"


@contextmanager
def _bounded_cpu(seconds: float) -> Iterator[None]:
    """Break off what takes longer; for the main thread, whose signals these are."""

    def over(number: int, frame: object) -> None:
        del number, frame
        raise ToolError(f"the search took more than {seconds:g} s; use a simpler pattern")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
