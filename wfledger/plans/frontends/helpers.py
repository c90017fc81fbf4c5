"""The helpers of Starlark plans, and the nodes of spec 95 that they make (spec 94.3).

Every helper takes the arguments of the original by place and by name, and any other field of its
node by name. What is given as None was not given. A node that stands where a name belongs is its
id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: Fields that hold nodes; in any other a node stands for its name.
_NODES: Final = frozenset({"children", "then_nodes", "else_nodes", "nodes", "template"})
_TYPES: Final[Mapping[str, str]] = {
    "explorer": "explore", "implement": "implementer", "verify": "verifier", "tool": "tool_agent",
}  # fmt: skip
_TEST: Final = "Run this test command and report whether it passes, and what fails:\n\n{}"
_SEARCH: Final = "Search the code base and report what you find, with files and lines:\n\n{}"
_SHELL: Final = "Run this shell command, change nothing else, and report what it prints:\n\n{}"


class HelperError(Exception):
    """A helper was called in a way that makes no sense."""


@dataclass(frozen=True, eq=False)
class Node:
    """A node on its way from one helper to another."""

    document: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The name of the node."""
        return str(self.document["spec"].get("id"))


@dataclass(frozen=True)
class Helper:
    """One helper."""

    kind: str
    #: Arguments by place; those of `required` must be given.
    names: tuple[str, ...]
    required: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    #: The argument that becomes part of a prompt, and the prompt.
    asks: tuple[str, str] | None = None

    def make(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Node:
        """Return the node that a call makes; raises `HelperError`."""
        spec = bind(name, self.names, args, named)
        for one in self.required:
            if one not in spec:
                raise HelperError(f"{name}() needs `{one}`")
        if self.asks is not None:
            asked, prompt = self.asks
            spec["prompt"] = prompt.format(spec.pop(asked))
        if isinstance(spec.get("agent_type"), str):
            spec["agent_type"] = _TYPES.get(spec["agent_type"], spec["agent_type"])
        return Node({"kind": self.kind, "spec": {**self.fixed, **spec}})


def bind(
    name: str, names: tuple[str, ...], args: tuple[Any, ...], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name, as plain values; raises `HelperError`."""
    if len(args) > len(names):
        raise HelperError(f"{name}() takes {len(names)} arguments by place, not {len(args)}")
    by_place = dict(zip(names, args, strict=False))
    twice = sorted(by_place.keys() & named.keys())
    if twice:
        raise HelperError(f"{name}() is given `{twice[0]}` twice")
    given = {**by_place, **named}
    return {
        one: _nodes(name, one, value) if one in _NODES else _plain(value)
        for one, value in given.items() if value is not None
    }  # fmt: skip


def _nodes(name: str, argument: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_node(name, argument, one) for one in value]
    return _node(name, argument, value)


def _node(name: str, argument: str, value: Any) -> Any:
    if isinstance(value, Node):
        return value.document
    if isinstance(value, dict) and {"kind", "spec"} <= value.keys():
        return value
    raise HelperError(f"`{argument}` of {name}() holds something that no helper has made")


def _plain(value: Any) -> Any:
    if isinstance(value, Node):
        return value.id
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


_SCOPED: Final = ("id", "command", "file_scope")
HELPERS: Final[Mapping[str, Helper]] = {
    "agent": Helper(
        "leaf",
        ("id", "prompt", "agent_type", "mode", "isolation", "file_scope", "depends_on_results"),
        ("id",),
    ),
    "test": Helper(
        "leaf", _SCOPED, ("id", "command"), {"agent_type": "verifier"}, ("command", _TEST)
    ),
    "search": Helper(
        "leaf", ("id", "query", "file_scope"), ("id", "query"), {"agent_type": "tool_agent"},
        ("query", _SEARCH),
    ),
    "shell": Helper(
        "leaf", _SCOPED, ("id", "command"), {"agent_type": "tool_agent"}, ("command", _SHELL)
    ),
    "branch": Helper("branch_set", ("id", "children", "parallel"), ("id", "children"),
                     {"parallel": True}),
    "sequence": Helper("sequence", ("id", "children"), ("id", "children")),
    "reduce": Helper("reduce", ("id", "prompt", "inputs"), ("id", "prompt")),
    "teacher_review": Helper("teacher_review", ("id", "candidates"), ("id",)),
    "tournament": Helper("teacher_review", ("id", "candidates"), ("id",)),
    "loop_until": Helper(
        "loop_until", ("id", "condition", "children", "max_iterations"),
        ("id", "condition", "children"),
    ),
    "when": Helper(
        "cond", ("id", "condition", "then_nodes", "else_nodes"), ("id", "condition", "then_nodes")
    ),
    "expand": Helper("expand", ("id", "source", "max_children"), ("id", "source")),
}  # fmt: skip


def helper(name: str, wrap: Callable[[Node], Any]) -> Callable[..., Any]:
    """Return the function that a text calls *name*; *wrap* makes its answer opaque there."""

    def call(*args: Any, **named: Any) -> Any:
        return wrap(HELPERS[name].make(name, args, named))

    return call
