"""What a worker may do and hand on: a child never exceeds its parent (spec 66, WFL-AUTH-001).

Pure. Absent is without limit, so that what bounds an authority is always a value. A child is a task
that a worker adds, or a run that it starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from wfledger.core.scopes import Pattern, lies_within, overlap, parse
from wfledger.core.usage import Budget

#: Tools of a model worker that can be granted or withheld; submitting its result it always may.
TOOLS: Final = ("list", "read", "search", "edit", "write", "run")
#: Of these, what changes files by itself.
WRITING: Final = frozenset({"edit", "write"})
_AMOUNTS: Final = (("usd", "dollars"), ("tokens", "tokens"), ("steps", "steps"))


@dataclass(frozen=True)
class Authority:
    """What a task or a run may do at most."""

    #: Patterns of spec 40; empty: it reads only.
    write: tuple[str, ...] = ()
    tools: frozenset[str] | None = None
    network: bool = True
    #: Names of variables that it is given besides the standing list.
    env: frozenset[str] | None = None
    #: What it may still use.
    budget: Budget = field(default_factory=Budget)
    #: Generations below it.
    depth: int | None = None


def inherited(parent: Authority, wanted: Authority) -> Authority:
    """Return *wanted*, and what it says nothing of as the parent has it, a generation below."""
    filled = {
        name: getattr(parent.budget, name)
        for name, _ in _AMOUNTS if getattr(wanted.budget, name) is None
    }  # fmt: skip
    return replace(
        wanted,
        tools=parent.tools if wanted.tools is None else wanted.tools,
        env=parent.env if wanted.env is None else wanted.env,
        budget=wanted.budget.but(**filled),
        depth=_below(parent) if wanted.depth is None else wanted.depth,
    )


def child_of(
    parent: Authority, wanted: Authority, protected: Sequence[Pattern] = ()
) -> Authority:
    """Return what *wanted* and *parent* both allow, a generation below (WFL-AUTH-001)."""
    depths = [depth for depth in (_below(parent), wanted.depth) if depth is not None]
    return Authority(
        write=tuple(
            text for text in wanted.write if _outside(parent.write, text, protected) is None
        ),
        tools=_both(parent.tools, wanted.tools),
        network=parent.network and wanted.network,
        env=_both(parent.env, wanted.env),
        budget=parent.budget.within(wanted.budget),
        depth=min(depths, default=None),
    )


def exceeds(
    parent: Authority, child: Authority, protected: Sequence[Pattern] = ()
) -> list[str]:
    """Return one sentence for each thing that *child* may and *parent* may not; empty: none.

    *protected* are the ledger's protected areas: only a literal pattern grants them, so that a
    child may not spell out what its parent's wildcards did not grant.
    """
    found = [said for text in child.write if (said := _outside(parent.write, text, protected))]
    found += _beyond("tool", parent.tools, child.tools)
    if child.network and not parent.network:
        found.append("it reaches the network, and its parent does not")
    found += _beyond("variable", parent.env, child.env)
    for name, noun in _AMOUNTS:
        least, wanted = getattr(parent.budget, name), getattr(child.budget, name)
        if least is not None and (wanted is None or wanted > least):
            asked = "without limit" if wanted is None else f"{wanted:g}"
            found.append(f"it may use {asked} {noun}, and its parent has {least:g} left")
    return found + _too_deep(parent, child)


def contradictions(authority: Authority) -> list[str]:
    """Return one sentence for each two parts that cannot both be meant (WFL-AUTH-004)."""
    tools = authority.tools
    if tools is None:
        return []
    found = [f"there is no tool {name}" for name in sorted(tools - set(TOOLS))]
    if not authority.write and tools & WRITING:
        found.append(f"it writes nothing and has the tools {_named(tools & WRITING)}")
    if authority.write and not tools & (WRITING | {"run"}):
        found.append("it may write and has no tool that does")
    return found


def can_descend(authority: Authority) -> bool:
    """Whether a worker of that authority may start anything below itself (WFL-AUTH-003)."""
    return authority.depth is None or authority.depth > 0


def _below(parent: Authority) -> int | None:
    return None if parent.depth is None else max(0, parent.depth - 1)


def _both(left: frozenset[str] | None, right: frozenset[str] | None) -> frozenset[str] | None:
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _beyond(
    noun: str, least: frozenset[str] | None, wanted: frozenset[str] | None
) -> list[str]:
    if least is None:
        return []
    if wanted is None:
        return [f"it has every {noun}, and its parent only {_named(least) or 'none'}"]
    return [f"its parent has not the {noun} {name}" for name in sorted(wanted - least)]


def _too_deep(parent: Authority, child: Authority) -> list[str]:
    if parent.depth is None:
        return []
    if parent.depth <= 0:
        return ["its parent may start nothing (depth 0)"]
    if child.depth is None or child.depth >= parent.depth:
        return [f"its depth must be less than that of its parent, {parent.depth}"]
    return []


def _outside(
    parent: Sequence[str], text: str, protected: Sequence[Pattern]
) -> str | None:
    """Return why *text* is more than the patterns of *parent* grant, or None."""
    inner, outers = parse(text), [parse(pattern) for pattern in parent]
    granting = [outer for outer in outers if lies_within(inner, outer)]
    if not granting:
        return f"it may write {text}, which no one pattern of its parent covers ({_list(parent)})"
    if not inner.is_literal or any(outer.is_literal for outer in granting):
        return None
    area = next((area for area in protected if overlap(inner, area) is not None), None)
    return None if area is None else f"it names {text}, and its parent's wildcards grant no {area}"


def _named(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _list(patterns: Sequence[str]) -> str:
    return ", ".join(patterns[:5]) if patterns else "it reads only"
