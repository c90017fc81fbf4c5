"""The node shape as values: what a document says, before any rule is applied (spec 95.2).

Nodes are compared by identity, so that the deepest tree can be a key and no comparison recurses;
`walk` goes through a tree without recursion. A field that could not be read has its default.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from wfledger.core.control import Condition, Promotion
from wfledger.core.documents import Check, Gate
from wfledger.core.records import Command
from wfledger.core.routes import ModelPolicy
from wfledger.plans.problems import Problem
from wfledger.plans.terms import Terms
from wfledger.plans.words import is_blank

NodeKind = Literal[
    "branch_set", "leaf", "sequence", "reduce", "teacher_review", "loop_until", "cond", "expand",
]  # fmt: skip
NODE_KINDS: Final[tuple[NodeKind, ...]] = get_args(NodeKind)
#: Nodes that one stands inside of.
DEPTH: Final = 200
#: Strategies of promotion that pick one candidate, so that the others do not land.
PICKING: Final = ("first_success", "best_score", "teacher_selected")


@dataclass(frozen=True)
class Bounds:
    """A `budget`, in the original's spelling (`max_steps` …) or ours (`steps` …).

    Zeros are kept, and mean nothing but that strict refuses them: `narrowing` leaves them out.
    """

    pointer: str = ""
    names: frozenset[str] = frozenset()
    usd: float | None = None
    tokens: int | None = None
    steps: int | None = None
    #: `timeout_secs` or `time`.
    time_s: float | None = None
    max_parallel: int | None = None


@dataclass(frozen=True)
class Permissions:
    """A `permissions` object. What is not in `names` was not said."""

    pointer: str = ""
    names: frozenset[str] = frozenset()
    allow_write: bool = False
    allow_network: bool = False
    #: Names of the original's tools, or ours; empty is the role's default, not nothing.
    allowed_tools: tuple[str, ...] = ()
    deny_all_tools: bool = False
    file_scope: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judge:
    """Who judges results: a command, or a prompt for a role; *count* of them, one by one."""

    command: Command | None = None
    prompt: str | None = None
    role: str | None = None
    timeout_s: float | None = None
    count: int = 1

    @property
    def asks(self) -> bool:
        """Whether anything is asked at all."""
        return self.command is not None or self.prompt is not None


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeBase:
    """What every node has."""

    #: JSON pointer of the `spec` object, and of the node.
    pointer: str
    place: str
    #: How messages call it, such as "leaf `scan`".
    label: str
    #: Fields that were given and are not null.
    names: frozenset[str]
    unknown: tuple[str, ...]
    late: tuple[Problem, ...]
    #: The node as it stands in the document: `{"kind": …, "spec": …}`.
    raw: Mapping[str, Any] = field(repr=False)
    id: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Leaf(NodeBase):
    """One task: an agent's, a command's, or a person's."""

    terms: Terms
    prompt: str | None = None
    agent_type: str = "general"
    mode: str = "read_only"
    isolation: str = "auto"
    file_scope: tuple[str, ...] = ()
    depends_on_results: tuple[str, ...] = ()
    budget: Bounds = Bounds()
    permissions: Permissions = Permissions()
    #: `model_policy`, or `model`; empty where neither was given.
    policy: ModelPolicy = field(default_factory=ModelPolicy)
    #: `role`: what it is in its plan, for gates and handoffs. `worker` is `terms.role`.
    plays: str | None = None
    #: The role of fleet.toml, before any that follows from `plays`.
    profile: str | None = None
    #: None: as its document says.
    on_failure: str | None = None
    #: That many attempts side by side, of which `judge` picks one.
    best_of: int | None = None
    judge: Judge | None = None

    @property
    def writes(self) -> bool:
        """Whether it asks to change anything; `narrowing` says whether it may."""
        return self.mode == "read_write"


@dataclass(frozen=True, eq=False, kw_only=True)
class Group(NodeBase):
    """A branch_set: children that run at once, or as declared."""

    description: str | None = None
    parallel: bool = False
    budget: Bounds = Bounds()
    permissions: Permissions = Permissions()
    policy: ModelPolicy = field(default_factory=ModelPolicy)
    children: "tuple[Node, ...]" = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Chain(NodeBase):
    """A sequence: children one after the other, as declared."""

    children: "tuple[Node, ...]" = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduce(NodeBase):
    """Puts the results of its inputs together, by a prompt, a command, or (`merge`) by itself."""

    terms: Terms
    inputs: tuple[str, ...] = ()
    prompt: str | None = None
    policy: ModelPolicy = field(default_factory=ModelPolicy)
    budget: Bounds = Bounds()
    plays: str | None = None
    profile: str | None = None
    on_failure: str | None = None
    #: It says itself that it has neither a prompt nor a command.
    merge: bool = False

    @property
    def is_neutral(self) -> bool:
        """Whether nobody is asked: equal findings are merged, and that is all."""
        return self.terms.starts_agent and is_blank(self.prompt or "")


@dataclass(frozen=True, eq=False, kw_only=True)
class Review(NodeBase):
    """A teacher_review: looks at candidates, proposes, and with a picking strategy chooses one."""

    candidates: tuple[str, ...] = ()
    promotion: Promotion = field(default_factory=Promotion)
    judge: Judge = Judge()

    def policy(self, outer: Promotion) -> Promotion:
        """Return its own policy, or *outer*, that of the plan, where it names none."""
        return self.promotion if "promotion_policy" in self.names else outer


@dataclass(frozen=True, eq=False, kw_only=True)
class Loop(NodeBase):
    """A loop_until: its children as a chain, again, until the condition holds."""

    condition: Condition = field(default_factory=Condition)
    max_iterations: int | None = None
    #: What all rounds together may use before no further one begins.
    budget: Bounds = Bounds()
    children: "tuple[Node, ...]" = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Cond(NodeBase):
    """One of two arms, each a chain."""

    condition: Condition = field(default_factory=Condition)
    then_nodes: "tuple[Node, ...]" = ()
    else_nodes: "tuple[Node, ...]" = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Expand(NodeBase):
    """One instance of a template for each item of its source."""

    source: str = ""
    max_children: int | None = None
    template: "Node | None" = None


Node = Leaf | Group | Chain | Reduce | Review | Loop | Cond | Expand
#: Nodes whose children start at submission. Those of the others are started by their controller.
PLAIN: Final = (Group, Chain)
#: Nodes whose content is started by their controller, as often as it decides.
UNFOLDING: Final = (Loop, Cond, Expand)


@dataclass(frozen=True)
class GateDoc:
    """A gate between roles."""

    pointer: str
    label: str
    unknown: tuple[str, ...]
    late: tuple[Problem, ...]
    id: str
    role: str = "?"
    on: str = "role_complete"
    gate: str = "verify"
    on_fail: str = "block"
    blocks_role: str | None = None
    max_retries: int = 1
    artifact_kind: str | None = None
    require_explicit_verdict: bool = False


@dataclass(frozen=True)
class SpecDoc:
    """A whole document of the node shape."""

    names: frozenset[str]
    unknown: tuple[str, ...]
    late: tuple[Problem, ...]
    raw: Mapping[str, Any] = field(repr=False)
    id: str | None = None
    goal: str = "?"
    name: str | None = None
    description: str | None = None
    budget: Bounds = Bounds()
    permissions: Permissions = Permissions()
    policy: ModelPolicy = field(default_factory=ModelPolicy)
    promotion: Promotion = field(default_factory=Promotion)
    #: How many tasks may run at once; None: as many as there are slots.
    concurrency: int | None = None
    #: A command that must pass on every tree that lands.
    gate: Gate | None = None
    on_failure: str = "skip_continue"
    #: For every leaf that writes and says nothing of its own.
    verify: tuple[Check, ...] = ()
    #: The role of fleet.toml for every leaf and reduce that names none.
    role: str | None = None
    nodes: tuple[Node, ...] = ()
    gates: tuple[GateDoc, ...] = ()


def arms(node: Node) -> tuple[tuple[str, tuple[Node, ...]], ...]:
    """Return the lists of nodes inside *node*, with the name of the field that holds each."""
    if isinstance(node, Group | Chain | Loop):
        return (("children", node.children),)
    if isinstance(node, Cond):
        return (("then_nodes", node.then_nodes), ("else_nodes", node.else_nodes))
    if isinstance(node, Expand) and node.template is not None:
        return (("template", (node.template,)),)
    return ()


def inside(node: Node, *, templates: bool = True) -> tuple[Node, ...]:
    """Return the nodes right inside *node*, as declared; *templates*: also that of an expand."""
    if isinstance(node, Expand) and not templates:
        return ()
    return tuple(child for _, children in arms(node) for child in children)


def walk(nodes: Sequence[Node], *, templates: bool = True) -> Iterator[Node]:
    """Yield every node of a tree, each before those inside it, as declared."""
    pending = list(reversed(nodes))
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(inside(node, templates=templates)))


def kind_of(node: Node) -> NodeKind:
    """Return the kind of *node* as it is written."""
    return _KINDS[type(node)]


_KINDS: Final[Mapping[type, NodeKind]] = {
    Leaf: "leaf", Group: "branch_set", Chain: "sequence", Reduce: "reduce",
    Review: "teacher_review", Loop: "loop_until", Cond: "cond", Expand: "expand",
}  # fmt: skip
