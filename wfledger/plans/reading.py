"""Plan texts become plain values: dicts, lists, texts, numbers, booleans and null (spec 90.1).

YAML is built from parser events with a stack of its own, not by the library's constructors: so the
core schema of YAML 1.2 holds whatever the library's default is, nothing can be instantiated,
aliases are counted as if written out, and no depth overflows. This is the only user of ruamel.yaml.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from wfledger.core import bounds
from wfledger.errors import PlanError

#: Nesting of lists and objects.
DEPTH: Final = 200
#: Values of a document, aliases counted as if they were written out.
VALUES: Final = 1_000_000

_INT: Final = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL: Final = re.compile(r"0o[0-7]+\Z")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_INFINITE: Final = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_NAMED: Final[Mapping[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)
_HALF_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_HALF: Final = re.compile("[\ud800-\udfff]")
_JSON_START: Final = re.compile(r'\s*(?:\{\s*["}]|\[\s*["{\[\]])')


def read(text: str | bytes, *, source: str) -> object:
    """Return the value that *text* stands for; *source* is a file name that tells the format.

    Raises `PlanError` with `line` and `column`, both from 1.
    """
    plain = decode(text, source)
    if is_json(plain, source):
        return read_json(plain, source)
    return _read_yaml(plain, source)


def read_front_matter(text: bytes, *, source: str) -> tuple[dict[str, Any], str]:
    """Return the YAML object between the first two lines `---` of *text*, and what follows them.

    Raises `PlanError` as `read` does, and where there is no such object.
    """
    plain = decode(text, source).replace("\r\n", "\n")
    head, mark, body = plain.partition("\n---")
    if not head.startswith("---") or not mark:
        fail(source, 1, 1, "there is no front matter between two lines of `---`")
    # The empty first line stands for the mark, so that lines are counted as in the file.
    value = _read_yaml(head.removeprefix("---"), source)
    if not isinstance(value, dict):
        fail(source, 1, 1, "the front matter is no object")
    return value, body.partition("\n")[2]


def fail(source: str, line: int, column: int, message: str) -> NoReturn:
    """Raise the `PlanError` of a text that cannot be read; line and column count from 1."""
    raise PlanError(f"{source}:{line}:{column}: {message}", source=source, line=line, column=column)


def decode(text: str | bytes, source: str) -> str:
    """Return *text* as Unicode, without a byte order mark; raises `PlanError`."""
    # Every character is at least one byte: a longer text need not be encoded to be refused.
    if len(text) > bounds.PLAN_BYTES:
        fail(source, 1, 1, f"a plan has at most {bounds.PLAN_BYTES} bytes")
    try:
        raw = text.encode("utf-8") if isinstance(text, str) else text
        if len(raw) > bounds.PLAN_BYTES:
            fail(source, 1, 1, f"a plan has at most {bounds.PLAN_BYTES} bytes")
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        good = error.object[: error.start].decode("utf-8")
        fail(source, *place_of(good, len(good)), "not UTF-8")
    except UnicodeEncodeError as error:
        fail(source, *place_of(error.object, error.start), "not UTF-8")


def place_of(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of *offset*, from 1."""
    line_start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - line_start + 1


# --- JSON


class _TwiceError(ValueError):
    """A key stands twice in one object."""


class _NotJsonError(ValueError):
    """A constant or number that JSON does not have."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _TwiceError
    return result


def _refuse_constant(text: str) -> NoReturn:
    raise _NotJsonError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotJsonError(f"{text} is not a finite number")
    return number


def read_json(text: str, source: str) -> object:
    """Return the value that the JSON *text* stands for; raises `PlanError`."""
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        fail(source, error.lineno, error.colno, error.msg)
    except _TwiceError:
        offset, key = _find_twice(text)
        fail(source, *place_of(text, offset), f"the key {key} stands twice in one object")
    except _NotJsonError as error:
        offset = max(text.find(str(error).split(" ", 1)[0]), 0)
        fail(source, *place_of(text, offset), str(error))
    except RecursionError:
        fail(source, 1, 1, f"nested deeper than {DEPTH} levels")
    except ValueError as error:  # an integer of thousands of digits
        fail(source, 1, 1, str(error))
    check_size(value, source)
    half = _HALF_ESCAPE.search(text)
    if half and not is_unicode(value):
        fail(source, *place_of(text, half.start()), "half of a surrogate pair is no character")
    return value


def is_unicode(value: object) -> bool:
    """Return whether every text in *value* can be written down."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _find_twice(text: str) -> tuple[int, str]:
    """Return offset and text of the first key that repeats one of its object."""
    stack: list[set[str]] = []
    last: tuple[int, str] = (0, "")
    for match in _JSON_TOKEN.finditer(text):
        part = match.group()
        if part in "{[":
            stack.append(set())
        elif part in "}]":
            stack.pop()
        elif part == ":":
            key = json.loads(last[1])
            if key in stack[-1]:
                return last
            stack[-1].add(key)
        last = (match.start(), part)
    return last


def check_size(value: object, source: str) -> None:
    """Refuse a value that is nested too deeply or holds too much."""
    level = [value]
    count = 0
    for _ in range(DEPTH + 1):
        level = [holder for holder in level if isinstance(holder, dict | list)]
        if not level:
            return
        level = [item for holder in level for item in _parts(holder)]
        count += len(level)
        if count > VALUES:
            fail(source, 1, 1, f"more than {VALUES} values")
    fail(source, 1, 1, f"nested deeper than {DEPTH} levels")


def _parts(holder: object) -> Iterable[object]:
    if isinstance(holder, dict):
        return holder.values()
    return holder if isinstance(holder, list) else ()


# --- YAML


def yaml_events(text: str) -> Iterator[Any]:
    """Yield the parser's events of the YAML *text*; its errors are the library's own."""
    from ruamel.yaml import YAML

    yield from YAML(typ="safe", pure=True).parse(text)


def is_json(text: str, source: str) -> bool:
    """Whether *text* is JSON by its name or, where that says nothing, by how it begins."""
    if source.endswith((".yaml", ".yml")):
        return False
    return source.endswith(".json") or _JSON_START.match(text) is not None


def _read_yaml(text: str, source: str) -> object:
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    builder = _Builder(source)
    try:
        for event in yaml_events(text):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        fail(source, line, column, str(error.problem or error.context or "not YAML"))
    except (YAMLError, ValueError, RecursionError) as error:
        offset = getattr(error, "position", 0)
        place = place_of(text, offset) if isinstance(offset, int) else (1, 1)
        fail(source, *place, "a character that YAML does not allow, or a number out of range")
    return builder.value


@dataclass
class _Frame:
    """A list or object that is being built."""

    holder: list[Any] | dict[str, Any]
    anchor: str | None
    #: Values counted when it began.
    before: int
    key: str | None = None


@dataclass
class _Builder:
    """Builds one value from parser events."""

    source: str
    value: object = None
    documents: int = 0
    values: int = 0
    stack: list[_Frame] = field(default_factory=list)
    #: Anchored values with the number of values each stands for.
    anchors: dict[str, tuple[object, int]] = field(default_factory=dict)

    def take(self, event: Any) -> None:
        """Take the next event."""
        handler = _HANDLERS.get(type(event).__name__)
        if handler is not None:
            handler(self, event)

    def _fail(self, event: Any, message: str) -> NoReturn:
        mark = event.start_mark
        fail(self.source, mark.line + 1, mark.column + 1, message)

    def begin(self, event: Any) -> None:
        """Begin a document."""
        self.documents += 1
        if self.documents > 1:
            self._fail(event, "a plan is one document; here a second one begins")
        if event.version not in {None, (1, 2)}:
            self._fail(event, "only YAML 1.2 is read")
        if event.tags:
            self._fail(event, "tags are not read")

    def scalar(self, event: Any) -> None:
        """Take a scalar: a key or a value."""
        self._refuse_tag(event)
        if self._wants_key():
            self._put_key(event)
            return
        value = self._resolve(event) if event.style is None else self._quoted(event)
        self._put(event, value, 1)
        self._anchor(event.anchor, value, 1)

    def mapping(self, event: Any) -> None:
        """Begin an object."""
        self._open(event, {})

    def sequence(self, event: Any) -> None:
        """Begin a list."""
        self._open(event, [])

    def alias(self, event: Any) -> None:
        """Put the value that an alias names."""
        if self._wants_key():
            self._fail(event, "a key is text, not an alias")
        if any(frame.anchor == event.anchor for frame in self.stack):
            self._fail(event, f"the alias *{event.anchor} stands inside what it names")
        if event.anchor not in self.anchors:
            self._fail(event, f"the alias *{event.anchor} names nothing before it")
        value, size = self.anchors[event.anchor]
        self._put(event, value, size)

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            self._fail(event, f"tags are not read: {event.tag}")

    def _wants_key(self) -> bool:
        if not self.stack:
            return False
        top = self.stack[-1]
        return isinstance(top.holder, dict) and top.key is None

    def _put_key(self, event: Any) -> None:
        if event.style is None and event.value == "<<":
            self._fail(event, "merge keys are not part of YAML 1.2")
        key = self._resolve(event) if event.style is None else self._quoted(event)
        if not isinstance(key, str):
            self._fail(event, f"the key {event.value!r} is not text; put it in quotes")
        top = self.stack[-1]
        if key in top.holder:
            self._fail(event, f"the key {key!r} stands twice in one object")
        top.key = key
        self._anchor(event.anchor, key, 1)

    def _quoted(self, event: Any) -> str:
        """Return a quoted text; escapes of two halves of a surrogate pair are one character."""
        text: str = event.value
        if text.isascii() or not _HALF.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._fail(event, "half of a surrogate pair is no character")

    def _put(self, event: Any, value: object, size: int) -> None:
        self.values += size
        if self.values > VALUES:
            self._fail(event, f"more than {VALUES} values, aliases counted as written out")
        if not self.stack:
            self.value = value
            return
        top = self.stack[-1]
        if isinstance(top.holder, dict):
            assert top.key is not None  # noqa: S101 - the parser alternates keys and values
            top.holder[top.key] = value
            top.key = None
        else:
            top.holder.append(value)

    def _open(self, event: Any, holder: list[Any] | dict[str, Any]) -> None:
        self._refuse_tag(event)
        if self._wants_key():
            self._fail(event, "a key is text, not a list or an object")
        before = self.values
        self._put(event, holder, 1)
        self.stack.append(_Frame(holder, event.anchor, before))
        if len(self.stack) > DEPTH:
            self._fail(event, f"nested deeper than {DEPTH} levels")

    def close(self, _event: Any) -> None:
        """End the innermost list or object."""
        frame = self.stack.pop()
        self._anchor(frame.anchor, frame.holder, self.values - frame.before)

    def _anchor(self, name: str | None, value: object, size: int) -> None:
        if name is not None:
            self.anchors[name] = (value, size)

    def _resolve(self, event: Any) -> object:
        """Return the value of a plain scalar by the core schema of YAML 1.2."""
        text: str = event.value
        if text in _NAMED:
            return _NAMED[text]
        # Most scalars begin with a letter and are text.
        if text[0] not in "+-.0123456789":
            return text
        if _INFINITE.match(text):
            self._fail(event, f"{text} is not a finite number")
        return self._number(event, text)

    def _number(self, event: Any, text: str) -> object:
        for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
            if pattern.match(text):
                return self._integer(event, text, base)
        if not _FLOAT.match(text):
            return text
        number = float(text)
        if not math.isfinite(number):
            self._fail(event, f"{text} is not a finite number")
        return number

    def _integer(self, event: Any, text: str, base: int) -> int:
        if len(text) > 40:
            self._fail(event, "a number of more than 40 digits")
        return int(text, base)


#: What is done with each kind of event; the others carry nothing.
_HANDLERS: Final[Mapping[str, Callable[[_Builder, Any], None]]] = {
    "DocumentStartEvent": _Builder.begin,
    "ScalarEvent": _Builder.scalar,
    "MappingStartEvent": _Builder.mapping,
    "SequenceStartEvent": _Builder.sequence,
    "MappingEndEvent": _Builder.close,
    "SequenceEndEvent": _Builder.close,
    "AliasEvent": _Builder.alias,
}
