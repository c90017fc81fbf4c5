"""What each node may do and use within those around it (spec 95.5).

Permissions and budgets narrow downward, a model policy is handed down where a node names none: from
the plan through branch_sets to leaves. What the plan as a whole may use is kept by its run; it
bounds what nodes say, and is not repeated for each.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from wfledger.core import bounds
from wfledger.core.documents import Check
from wfledger.core.routes import ModelPolicy
from wfledger.core.usage import Budget
from wfledger.plans.nodes import authority
from wfledger.plans.nodes.authority import Access, Limit
from wfledger.plans.nodes.model import (
    Bounds,
    Group,
    Leaf,
    Loop,
    Node,
    Permissions,
    Reduce,
    SpecDoc,
    walk,
)  # fmt: skip
from wfledger.plans.nodes.tree import ROOT, Tree
from wfledger.plans.problems import Problem, join, quote
from wfledger.plans.writing import treated

_Amount = TypeVar("_Amount", int, float)
_MOST: Final[Mapping[str, float]] = {
    "usd": bounds.MAX_USD, "tokens": bounds.MAX_TOKENS, "steps": bounds.MAX_STEPS,
    "time_s": bounds.MAX_SECONDS,
}  # fmt: skip


@dataclass(frozen=True)
class Amounts:
    """Limits of what may be used; None is without limit."""

    usd: float | None = None
    tokens: int | None = None
    steps: int | None = None
    time_s: float | None = None

    def within(self, other: "Amounts") -> "Amounts":
        """Return what both allow."""
        return Amounts(
            _least(self.usd, other.usd), _least(self.tokens, other.tokens),
            _least(self.steps, other.steps), _least(self.time_s, other.time_s),
        )  # fmt: skip

    def at_most(self, other: "Amounts") -> "Amounts":
        """Return the limits that are given here, none of them more than in *other*."""
        least = self.within(other)
        return Amounts(**{
            name: getattr(least, name) for name in _MOST if getattr(self, name) is not None
        })  # fmt: skip

    @property
    def budget(self) -> Budget | None:
        """What all attempts of a task together may use."""
        if self.usd is None and self.tokens is None and self.steps is None:
            return None
        return Budget(usd=self.usd, tokens=self.tokens, steps=self.steps)


def amounts(given: Bounds) -> Amounts:
    """Return what *given* says, without zeros, and within what the ledger can count."""
    found = {
        name: min(value, type(value)(most))
        for name, most in _MOST.items() if (value := getattr(given, name))
    }  # fmt: skip
    return Amounts(**found)


@dataclass(frozen=True)
class Around:
    """What the nodes around a node say for it, and the plan."""

    limit: Limit = field(default_factory=Limit)
    #: What every leaf inside is given, and what none may go beyond.
    given: Amounts = field(default_factory=Amounts)
    ceiling: Amounts = field(default_factory=Amounts)
    policy: ModelPolicy = field(default_factory=ModelPolicy)
    #: Of the plan.
    role: str | None = None
    verify: tuple[Check, ...] = ()
    on_failure: str = "skip_continue"

    def written(self) -> dict[str, Any]:
        """Return it as JSON has it, for a controller that starts what is inside later."""
        limit = self.limit
        return {
            "write": limit.write,
            "network": limit.network,
            "tools": None if limit.tools is None else sorted(limit.tools),
            "scope": list(limit.scope),
            "given": _shown(self.given),
            "ceiling": _shown(self.ceiling),
            "policy": self.policy.model_dump(mode="json"),
            "role": self.role,
            "verify": [check.model_dump(mode="json") for check in self.verify],
            "on_failure": self.on_failure,
        }


def read_around(written: Mapping[str, Any]) -> Around:
    """Return what `Around.written` wrote."""
    tools = written["tools"]
    limit = Limit(
        write=written["write"], network=written["network"], scope=tuple(written["scope"]),
        tools=None if tools is None else frozenset(tools),
    )  # fmt: skip
    return Around(
        limit=limit,
        given=Amounts(**written["given"]),
        ceiling=Amounts(**written["ceiling"]),
        policy=ModelPolicy.model_validate(written["policy"], strict=False),
        role=written["role"],
        verify=tuple(Check.model_validate(check, strict=False) for check in written["verify"]),
        on_failure=written["on_failure"],
    )


def _shown(limits: Amounts) -> dict[str, float]:
    return {name: value for name in _MOST if (value := getattr(limits, name)) is not None}


@dataclass(frozen=True)
class Allowed:
    """What a leaf or a reduce may do and use: everything that is said about it, put together."""

    access: Access = field(default_factory=Access)
    #: Its write scope as it is enforced; empty: it reads only.
    write: tuple[str, ...] = ()
    #: What all of its attempts together may use.
    budget: Budget | None = None
    #: Wall time of an attempt, seconds; None: without limit.
    time_s: float | None = None
    #: None: that of its role.
    model: ModelPolicy | None = None
    #: The role of fleet.toml that the plan names for it: `profile`, `worker`, or the plan's.
    role: str | None = None
    verify: tuple[Check, ...] = ()
    on_failure: str = "skip_continue"

    @property
    def tools(self) -> tuple[str, ...] | None:
        """Tools of a model worker; None: those of its role."""
        return self.access.tools


@dataclass(frozen=True)
class Narrowed:
    """What narrowing comes to."""

    #: Of leaves and reduces.
    allowed: Mapping[Node, Allowed]
    #: What is around each node; of a branch_set, around what is inside of it.
    around: Mapping[Node, Around]
    #: What a node asks for and does not get, for the place where it stands in the order.
    problems: Mapping[Node, tuple[Problem, ...]]

    def network(self, node: Node) -> bool | None:
        """Whether *node* and what it starts may reach the network; None: as their roles say."""
        allowed = self.allowed.get(node)
        return self.around[node].limit.network if allowed is None else allowed.access.network


def of_plan(doc: SpecDoc) -> tuple[Around, list[Problem]]:
    """Return what the plan says for its nodes, and what its permissions say against each other."""
    limit, found = authority.narrowed(doc.permissions, Limit(), "the plan")
    around = Around(
        limit=limit, ceiling=amounts(doc.budget), policy=doc.policy, role=doc.role,
        verify=doc.verify, on_failure=doc.on_failure,
    )  # fmt: skip
    return around, found


def narrow(tree: Tree, plan: Around) -> Narrowed:
    """Return what each node of *tree* may do within those around it, and *plan*."""
    allowed: dict[Node, Allowed] = {}
    kept: dict[Node, Around] = {}
    problems: dict[Node, tuple[Problem, ...]] = {}
    arounds: list[Around] = []
    for number, node in enumerate(tree.nodes):
        parent = tree.parent[number]
        around = plan if parent == ROOT else arounds[parent]
        found: list[Problem] = []
        if isinstance(node, Group):
            around, found = _inside(node, around)
        elif isinstance(node, Leaf):
            access, found = authority.of_leaf(node, around.limit)
            allowed[node] = _allowed(node, around, access)
        elif isinstance(node, Reduce):
            allowed[node] = _allowed(node, around, authority.of_reduce(node, around.limit))
        kept[node] = around
        arounds.append(around)
        if found:
            problems[node] = tuple(found)
    return Narrowed(allowed, kept, problems)


def _inside(node: Group, around: Around) -> tuple[Around, list[Problem]]:
    limit, found = authority.narrowed(node.permissions, around.limit, node.label)
    own = amounts(node.budget).at_most(around.ceiling)
    inner = replace(
        around, limit=limit, given=around.given.within(own),
        ceiling=around.ceiling.within(own), policy=_policy(node.policy, around.policy),
    )  # fmt: skip
    return inner, found


def _allowed(node: Leaf | Reduce, around: Around, access: Access) -> Allowed:
    limits = amounts(node.budget).at_most(around.ceiling).within(around.given)
    terms = node.terms
    policy = _policy(node.policy, around.policy) if terms.starts_agent else ModelPolicy()
    checks = terms.verify
    if checks is None:
        checks = around.verify if access.writes else ()
    return Allowed(
        access=access,
        budget=limits.budget,
        time_s=_wall(node, limits, around),
        model=policy if policy.model is not None else None,
        role=(node.profile or terms.role or around.role) if terms.starts_agent else None,
        verify=checks,
        on_failure=node.on_failure or around.on_failure,
    )


def _wall(node: Leaf | Reduce, limits: Amounts, around: Around) -> float | None:
    """Return the wall time of an attempt: the least of what is said of it."""
    own = node.terms.timeout or (node.terms.limits.wall_s if node.terms.limits else None)
    if node.terms.manual:
        return own
    return Amounts(time_s=_least(own, limits.time_s)).at_most(around.ceiling).time_s


def _policy(own: ModelPolicy, around: ModelPolicy) -> ModelPolicy:
    """Return *own*, and where it names no model that of what is around it."""
    if own.model is not None:
        named = own.provider or (None if "/" in own.model else around.provider)
        return own.but(provider=named)
    return ModelPolicy(
        provider=own.provider or around.provider, model=around.model,
        fallback_models=own.fallback_models or around.fallback_models,
    )  # fmt: skip


def _least(left: _Amount | None, right: _Amount | None) -> _Amount | None:
    if left is None or right is None:
        return right if left is None else left
    return min(left, right)


# --- what is accepted and does not do all that it says


def not_enforced(doc: SpecDoc, tree: Tree, narrowed: Narrowed) -> list[Problem]:
    """Return a warning for each field that is accepted and does not do all that it says."""
    found = _of_bounds("the plan", doc.budget, whole=True)
    found += _of_network("the plan", doc.permissions)
    found += _of_policy("the plan", doc.policy, "/model_policy", _prompted(doc.nodes, narrowed))
    for node in tree.nodes:
        if isinstance(node, Group | Leaf):
            found += _of_network(node.label, node.permissions)
        if isinstance(node, Group):
            found += _of_bounds(node.label, node.budget)
            where = join(node.pointer, "model_policy")
            found += _of_policy(node.label, node.policy, where, _prompted((node,), narrowed))
            if node.budget.names - {"max_parallel"}:
                message = f"the budget of {node.label} holds for each leaf inside, not for all"
                found.append(Problem("not_enforced", message, node.budget.pointer))
        elif isinstance(node, Leaf | Reduce):
            found += _of_bounds(node.label, node.budget)
            found += _of_worker(node, narrowed.allowed[node])
            found += _of_isolation(node) if isinstance(node, Leaf) else []
        elif isinstance(node, Loop):
            found += _of_bounds(node.label, node.budget)
    return found


def _of_network(label: str, given: Permissions) -> list[Problem]:
    if "allow_network" not in given.names:
        return []
    message = (
        f"`allow_network` of {label} grants nothing: its role in fleet.toml says who reaches the "
        "network" if given.allow_network else
        f'`allow_network` of {label} holds where fleet.toml says sandbox = "bwrap", and not for '
        "an agent's program, which reaches its model"
    )
    return [Problem("not_enforced", message, join(given.pointer, "allow_network"))]


def _of_bounds(label: str, given: Bounds, *, whole: bool = False) -> list[Problem]:
    found = []
    if given.max_parallel is not None and not whole:
        message = f"`max_parallel` of {label} is not enforced; `concurrency` of the plan is"
        found.append(Problem("not_enforced", message, join(given.pointer, "max_parallel")))
    for name, most in _MOST.items():
        value = getattr(given, name)
        if value is not None and value > most:
            message = f"the budget of {label} is taken for {most:g} ({name})"
            found.append(Problem("shortened", message, given.pointer))
    return found


def _of_policy(
    label: str, given: ModelPolicy, pointer: str, allowed: Iterable[Allowed | None]
) -> list[Problem]:
    """Say of a policy that it names no model, where one of the prompts inside has none either."""
    if given.model is not None or not (given.provider is not None or given.fallback_models):
        return []
    if all(granted is None or granted.model is not None for granted in allowed):
        return []
    message = f"the model policy of {label} names no model: of what names none, its role's runs"
    return [Problem("not_enforced", message, pointer)]


def _of_no_agent(node: Leaf | Reduce) -> Iterator[Problem]:
    """Yield a warning for each thing that is said to an agent where none is started."""
    why = f"has no effect in {node.label}, which starts no agent"
    if node.policy != ModelPolicy():
        yield Problem("not_enforced", f"`model_policy` {why}", join(node.pointer, "model_policy"))
    given = node.permissions if isinstance(node, Leaf) else Permissions()
    for name in ("allowed_tools", "deny_all_tools"):
        if getattr(given, name):
            yield Problem("not_enforced", f"`{name}` {why}", join(given.pointer, name))


def _prompted(nodes: Sequence[Node], narrowed: Narrowed) -> Iterator[Allowed | None]:
    """Yield what each prompt inside of *nodes* may use."""
    for node in walk(nodes):
        if isinstance(node, Leaf | Reduce) and node.terms.starts_agent:
            yield narrowed.allowed.get(node)


def _of_isolation(node: Leaf) -> list[Problem]:
    if "isolation" not in node.names:
        return []
    said = treated(node.isolation, writes=node.writes, label=node.label, pointer=node.pointer)
    return [] if said is None else [said]


def _of_worker(node: Leaf | Reduce, allowed: Allowed) -> list[Problem]:
    found = []
    if allowed.access.unknown_tools:
        names = ", ".join(quote(name) for name in allowed.access.unknown_tools[:5])
        message = f"{node.label} allows tools that wfledger does not know: {names}"
        found.append(Problem("not_enforced", message, node.pointer))
    if not node.terms.starts_agent:
        found.extend(_of_no_agent(node))
    named = node.policy.provider is not None or node.policy.fallback_models
    if named and allowed.model is None and node.terms.starts_agent:
        message = f"{node.label} names no model, nor does anything around it: its role's runs"
        found.append(Problem("not_enforced", message, join(node.pointer, "model_policy")))
    return found
