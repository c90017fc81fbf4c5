"""What permissions, scopes and tools of a node mean within those around it (spec 95.5).

Pure. What is narrower holds; where a node asks for more than what is around it allows, or says two
things that cannot both be meant, that is said as well (WFL-NODE-031).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from wfledger.core import scopes
from wfledger.core.authority import TOOLS, WRITING
from wfledger.core.scopes import Pattern
from wfledger.errors import InvalidPatternError
from wfledger.plans.nodes.model import Leaf, Permissions, Reduce
from wfledger.plans.problems import Problem, join, quote

KIND: Final = "contradictory_authority"
#: Agents of the original that only look.
READING: Final = frozenset({"explore", "plan", "review", "verifier"})
#: Names of the original's tools, and the tools of a model worker that do the same.
_THEIRS: Final[Mapping[str, str]] = {
    "list_dir": "list", "read_file": "read", "grep_files": "search", "file_search": "search",
    "write_file": "write", "edit_file": "edit", "apply_patch": "edit", "exec_shell": "run",
    "exec_shell_wait": "run", "exec_shell_interact": "run", "exec_wait": "run",
    "exec_interact": "run",
}  # fmt: skip
_CHANGING: Final = WRITING | {"run"}


def tool_of(name: str) -> str | None:
    """Return the tool that *name* stands for; None for one that wfledger does not know."""
    name = name.strip()
    return name if name in TOOLS else _THEIRS.get(name)


@dataclass(frozen=True)
class Limit:
    """What the nodes around a node allow at most, as far as they said anything."""

    write: bool = True
    network: bool | None = None
    #: Names as they were given; None: nothing was said.
    tools: frozenset[str] | None = None
    #: Patterns inside the grammar; empty: nothing was said.
    scope: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """What a leaf may do."""

    writes: bool = False
    #: Patterns as given, of which some may be outside the grammar; empty: none were declared.
    scope: tuple[str, ...] = ()
    #: Where they stand.
    scope_pointer: str = field(default="", compare=False)
    network: bool | None = None
    #: Tools of a model worker; None: those of its role.
    tools: tuple[str, ...] | None = None
    #: Names of tools that are kept from nobody, because wfledger does not know them.
    unknown_tools: tuple[str, ...] = ()


def narrowed(asked: Permissions, around: Limit, label: str) -> tuple[Limit, list[Problem]]:
    """Return what *asked* leaves of *around*, and what it asks for beyond."""
    found: list[Problem] = []

    def more(name: str, message: str) -> None:
        found.append(Problem(KIND, f"{label} {message}", join(asked.pointer, name)))

    result = around
    if "allow_write" in asked.names:
        if asked.allow_write and not around.write:
            more("allow_write", "allows to write, and what is around it does not")
        result = replace(result, write=around.write and asked.allow_write)
    if "allow_network" in asked.names:
        if asked.allow_network and around.network is False:
            more("allow_network", "allows the network, and what is around it does not")
        result = replace(result, network=asked.allow_network and around.network is not False)
    result = replace(result, tools=_fewer(asked, around.tools, more))
    if asked.file_scope:
        kept, outside = _within(asked.file_scope, around.scope)
        for text in outside:
            more("file_scope", f"names {quote(text)}, which what is around it does not cover")
        result = replace(result, scope=tuple(text for text in kept if _parse(text)))
    return result, found


def _fewer(
    asked: Permissions, around: frozenset[str] | None, more: Callable[[str, str], None]
) -> frozenset[str] | None:
    """Return the tools that *asked* leaves of those *around*."""
    if asked.deny_all_tools:
        if asked.allowed_tools:
            more("deny_all_tools", "denies all tools and allows some")
        return frozenset()
    tools = frozenset(asked.allowed_tools)
    if not tools or around is None:
        return tools or around
    if tools - around:
        beyond = ", ".join(quote(name) for name in sorted(tools - around)[:5])
        more("allowed_tools", f"allows {beyond}, and what is around it does not")
    return tools & around


def of_leaf(leaf: Leaf, around: Limit) -> tuple[Access, list[Problem]]:
    """Return what *leaf* may do, and what it says against itself and what is around it."""
    allowed, found = narrowed(leaf.permissions, around, leaf.label)

    def clash(name: str, message: str, pointer: str = "") -> None:
        found.append(Problem(KIND, f"{leaf.label} {message}", join(pointer or leaf.pointer, name)))

    permissions = leaf.permissions
    if not leaf.writes and permissions.allow_write:
        clash("allow_write", "is read_only and allows itself to write", permissions.pointer)
    if leaf.writes and "allow_write" in permissions.names and not permissions.allow_write:
        clash("allow_write", "is read_write and does not allow itself to write",
              permissions.pointer)  # fmt: skip
    elif leaf.writes and not allowed.write:
        clash("mode", "is read_write, and what is around it allows no writing")
    if leaf.writes and leaf.agent_type in READING:
        clash("mode", f"is read_write, and an agent of the type {leaf.agent_type} only reads")
    writes = leaf.writes and allowed.write
    changing = [name for name in permissions.allowed_tools if tool_of(name) in _CHANGING]
    if not leaf.writes and changing:
        shown = ", ".join(quote(name) for name in changing[:5])
        clash("allowed_tools", f"is read_only and has the tools {shown}", permissions.pointer)
    if leaf.writes and permissions.deny_all_tools:
        clash("deny_all_tools", "is read_write and has no tools", permissions.pointer)
    scope, pointer, outside = _scope(leaf, allowed, around)
    for text in outside:
        clash("file_scope", f"names {quote(text)}, which its permissions do not cover")
    tools, unknown = _tools(leaf.terms.tools, allowed, writes=writes)
    access = Access(
        writes=writes, scope=scope, scope_pointer=pointer, network=allowed.network, tools=tools,
        unknown_tools=unknown,
    )  # fmt: skip
    return access, found


def _scope(
    leaf: Leaf, allowed: Limit, around: Limit
) -> tuple[tuple[str, ...], str, list[str]]:
    """Return the scope of *leaf*, where it stands, and what of it is not covered."""
    own, permissions = leaf.file_scope, leaf.permissions
    if own:
        limit = allowed.scope if leaf.writes else ()
        kept, outside = _within(own, limit)
        return kept, join(leaf.pointer, "file_scope"), outside
    if permissions.file_scope:
        kept, _ = _within(permissions.file_scope, around.scope)
        return kept, join(permissions.pointer, "file_scope"), []
    # A reader is not told that its scope grants nothing, where it has none of its own.
    return (around.scope if leaf.writes else ()), join(leaf.pointer, "file_scope"), []


def of_reduce(node: Reduce, around: Limit) -> Access:
    """Return what a reduce may do, which only reads."""
    tools, unknown = _tools(node.terms.tools, around, writes=False)
    return Access(network=around.network, tools=tools, unknown_tools=unknown)


def _tools(
    own: tuple[str, ...] | None, allowed: Limit, *, writes: bool
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the tools of a model worker, and the names of those that wfledger does not know."""
    if allowed.tools is None:
        return own, ()
    known = {tool for name in allowed.tools if (tool := tool_of(name)) is not None}
    unknown = tuple(sorted(name for name in allowed.tools if tool_of(name) is None))
    if own is not None:
        known &= set(own)
    if not writes:
        known -= WRITING
    return tuple(name for name in TOOLS if name in known), unknown


def _parse(text: str) -> Pattern | None:
    try:
        return scopes.parse(text)
    except InvalidPatternError:
        return None  # an error of its own


def _within(texts: Sequence[str], limit: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return those of *texts* that lie within *limit*, and those that do not; none limits none."""
    outers = [outer for text in limit if (outer := _parse(text)) is not None]
    if not outers:
        return tuple(texts), []
    kept: list[str] = []
    outside: list[str] = []
    for text in texts:
        inner = _parse(text)
        fits = inner is None or any(scopes.lies_within(inner, outer) for outer in outers)
        (kept if fits else outside).append(text)
    return tuple(kept), outside
