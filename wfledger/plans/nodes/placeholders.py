"""What stands for an item, its number or a round in the nodes of a body (spec 95.6).

`{{item}}`, `{{item.path}}`, `{{index}}` and `{{round}}` are filled in when a body is started, all
of them at once and only once: a value that looks like a placeholder stays as it is. A value never
becomes more than one word of a command, a text, or a plain path.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.core import scopes
from wfledger.core.records import Command
from wfledger.errors import InvalidPatternError, PlanError
from wfledger.plans.nodes.commandtext import line_problems, quoted, word_problem
from wfledger.plans.nodes.model import Loop, Node, inside, kind_of
from wfledger.plans.problems import Findings, Problem, join, quote

#: Bytes of one value as text.
VALUE_BYTES: Final = 64 * 1024
_MARK: Final = re.compile(r"\{\{[ \t]*(item|index|round)((?:\.[A-Za-z0-9_-]+)*)[ \t]*\}\}")
_TEXTS: Final = frozenset({"prompt", "title", "description"})
_PATH_LISTS: Final = frozenset({"file_scope", "deliverables"})
#: Fields that hold nodes, which have their own turn.
_NODES: Final = frozenset({"children", "then_nodes", "else_nodes", "template"})
#: Kinds whose content and whose question wait for a later turn.
_LATER: Final = frozenset({"loop_until", "cond", "expand"})
#: What each kind of node gives a value to, inside of it.
_GIVEN: Final[Mapping[str, frozenset[str]]] = {
    "loop_until": frozenset({"round"}), "expand": frozenset({"item", "index"}),
}  # fmt: skip


def fill_node(
    node: Any, values: Mapping[str, Any], pointer: str, problems: list[Problem]
) -> Any:
    """Return a node with *values* filled in; bodies and questions of controllers are left.

    What cannot be filled in goes to *problems*; what is no node is left to whoever reads it. The
    depth of *node* is that of a document that was read, and so bounded.
    """
    spec = node.get("spec") if isinstance(node, dict) else None
    where = join(pointer, "spec")
    if not isinstance(spec, dict) or node.get("kind") in _LATER:
        return node
    filler = _Filler(values, problems)
    filled = {
        name: item if name in _NODES else filler.value(item, name, join(where, name))
        for name, item in spec.items()
    }
    if isinstance(spec.get("children"), list):
        filled["children"] = [
            fill_node(child, values, join(where, "children", place), problems)
            for place, child in enumerate(spec["children"])
        ]
    return {**node, "spec": filled}


def fill_command(command: Command, values: Mapping[str, Any]) -> Command:
    """Return a command with *values* filled in; raises `PlanError` where that cannot be."""
    filled = _filled(list(command) if isinstance(command, tuple) else command, "command", values)
    return tuple(filled) if isinstance(filled, list) else str(filled)


def fill_text(text: str, values: Mapping[str, Any]) -> str:
    """Return a text with *values* filled in; raises `PlanError` where that cannot be."""
    return str(_filled(text, "prompt", values))


def _filled(value: Any, name: str, values: Mapping[str, Any]) -> Any:
    problems: list[Problem] = []
    filled = _Filler(values, problems).value(value, name, "")
    if problems:
        raise PlanError(problems[0].message, errors=[one.as_json() for one in problems])
    return filled


def check_placeholders(nodes: Sequence[Node], findings: Findings) -> None:
    """Report placeholders that stand where none may, and warn of those that nothing fills in."""
    pending: list[tuple[Node, frozenset[str]]] = [(node, frozenset()) for node in reversed(nodes)]
    while pending:
        node, known = pending.pop()
        within = known | _GIVEN.get(kind_of(node), frozenset())
        checker = _Checker(within if isinstance(node, Loop) else known, findings)
        spec = node.raw.get("spec")
        for name, item in spec.items() if isinstance(spec, dict) else ():
            if name not in _NODES and not (isinstance(item, str) and "{{" not in item):
                checker.value(item, str(name), join(node.pointer, str(name)))
        pending.extend((child, within) for child in reversed(inside(node)))


def mentions(text: str) -> frozenset[str]:
    """Return the names that placeholders in *text* ask for."""
    return frozenset(found[1] for found in _MARK.finditer(text))


def widest(pattern: str) -> str:
    """Return a pattern that covers what *pattern* can become."""
    found = _MARK.search(pattern)
    if found is None:
        return pattern
    head = pattern[: found.start()].rpartition("/")[0]
    return f"{head}/**" if head else "**"


class _Walk:
    """Goes through a value by the names of its fields; each text is of one sort."""

    def value(self, value: Any, name: str, pointer: str) -> Any:
        """Return *value*, the field *name*, with each text replaced by what `text` makes of it."""
        if isinstance(value, str):
            if not _MARK.search(value):
                return value
            return self.text(value, _sort(name), pointer)
        if isinstance(value, dict):
            for key in value:
                if isinstance(key, str) and _MARK.search(key):
                    self.text(key, "name", join(pointer, key))
            return {key: self.value(item, str(key), join(pointer, str(key)))
                    for key, item in value.items()}  # fmt: skip
        if not isinstance(value, list):
            return value
        if name == "command":
            return [self.word(value, place, join(pointer, place)) for place in range(len(value))]
        return [self.value(item, name, join(pointer, place)) for place, item in enumerate(value)]

    def text(self, text: str, sort: str, pointer: str) -> str:
        """Return what becomes of a text that holds a placeholder."""
        raise NotImplementedError

    def word(self, words: Sequence[Any], place: int, pointer: str) -> Any:
        """Return what becomes of one word of an argument vector."""
        raise NotImplementedError


def _sort(name: str) -> str:
    if name in _TEXTS:
        return "title" if name == "title" else "text"
    if name in {"command", "verify"}:
        return "line"
    return "path" if name in _PATH_LISTS or name == "path" else "name"


@dataclass
class _Checker(_Walk):
    """Judges places, before any value is known."""

    known: frozenset[str]
    findings: Findings

    def text(self, text: str, sort: str, pointer: str) -> str:
        marks = list(_MARK.finditer(text))
        for found, problem in zip(marks, _place_problems(text, marks, sort), strict=True):
            self._judge(found, problem, pointer)
        return text

    def word(self, words: Sequence[Any], place: int, pointer: str) -> Any:
        word = words[place]
        for found in _MARK.finditer(word) if isinstance(word, str) else ():
            self._judge(found, _word_problem(words, place), pointer)
        return word

    def _judge(self, found: re.Match[str], problem: str | None, pointer: str) -> None:
        if found[1] not in self.known:
            where = "loop" if found[1] == "round" else "expand"
            message = f"nothing fills {quote(found[0])} in: it stands in no {where}"
            self.findings.warn("unfilled_placeholder", message, pointer)
        elif problem is not None:
            message = f"{quote(found[0])} {problem}"
            self.findings.error("invalid_placeholder", message, pointer)


def _place_problems(text: str, marks: Sequence[re.Match[str]], sort: str) -> list[str | None]:
    if sort == "line":
        return line_problems(text, (found.start() for found in marks))
    why = "stands where no value may: only texts, words of commands and paths are filled in"
    return [why if sort == "name" else None for _ in marks]


def _word_problem(words: Sequence[Any], place: int) -> str | None:
    return word_problem([str(word) for word in words[:place]])


@dataclass
class _Filler(_Walk):
    """Puts values in; the places are judged again, for a body may come from an edited file."""

    values: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list)

    def text(self, text: str, sort: str, pointer: str) -> str:
        parts, last = [], 0
        marks = [found for found in _MARK.finditer(text) if found[1] in self.values]
        for found, problem in zip(marks, _place_problems(text, marks, sort), strict=True):
            if problem is not None:
                self._refuse("invalid_placeholder", f"{quote(found[0])} {problem}", pointer)
            parts += [text[last : found.start()], self._shown(found, sort, pointer)]
            last = found.end()
        return "".join((*parts, text[last:]))

    def word(self, words: Sequence[Any], place: int, pointer: str) -> Any:
        word = words[place]
        if not isinstance(word, str) or not (mentions(word) & self.values.keys()):
            return word
        problem = _word_problem(words, place)
        if problem is not None:
            self._refuse("invalid_placeholder", f"a value in {quote(word)} {problem}", pointer)
        return self.text(word, "text", pointer)

    def _shown(self, found: re.Match[str], sort: str, pointer: str) -> str:
        value = self._found(found, pointer)
        if value is None:
            return ""
        if sort == "path":
            return self._path(value, found[0], pointer)
        shown = value if isinstance(value, str) else _as_json(value)
        if len(shown.encode("utf-8", "surrogatepass")) > VALUE_BYTES:
            message = f"the value of {quote(found[0])} is longer than {VALUE_BYTES} bytes"
            self._refuse("value_too_long", message, pointer)
            return ""
        if sort == "title":
            return " ".join(shown.split())
        return quoted(shown) if sort == "line" else shown

    def _found(self, found: re.Match[str], pointer: str) -> Any:
        value = self.values[found[1]]
        for part in found[2].split(".")[1:]:
            value = _part_of(value, part)
        if value is None:
            message = f"there is no value for {quote(found[0])}"
            self._refuse("missing_value", message, pointer)
        return value

    def _path(self, value: Any, name: str, pointer: str) -> str:
        """Return a value as a plain path: nothing of it may reach wider than it says."""
        shown = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if _is_plain(shown):
            return shown
        said = shown or _as_json(value)
        message = f"{quote(said)} for {quote(name)} is no plain path in the repository"
        self._refuse("invalid_scope", message, pointer)
        return ""

    def _refuse(self, kind: str, message: str, pointer: str) -> None:
        self.problems.append(Problem(kind, message, pointer))


def _part_of(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list | tuple) and part.isascii() and part.isdigit():
        # A number of more digits than any list has items is not worth converting.
        return value[int(part)] if len(part) < 7 and int(part) < len(value) else None
    return None


def _is_plain(path: str) -> bool:
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return False
    try:
        pattern = scopes.parse(path)
    except InvalidPatternError:
        return False
    return pattern.is_literal and len(pattern.segments) == path.count("/") + 1


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
