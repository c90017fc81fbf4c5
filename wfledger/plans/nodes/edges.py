"""Which nodes start together, in what order, and who stands for a node that is not there yet.

A **level** is what is started at once: the nodes of a plan, or of one body that a controller
unfolds. What is inside of a loop, a condition or an expand is of a level of its own; to everybody
outside, the outermost of those that hold it stands for it (WFL-NODE-043).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wfledger.core.control import Condition
from wfledger.plans import conditions
from wfledger.plans.nodes.model import (
    PLAIN,
    UNFOLDING,
    Cond,
    Expand,
    Group,
    Leaf,
    Loop,
    Node,
    Reduce,
    Review,
    inside,
    walk,
)


@dataclass(frozen=True)
class Level:
    """Nodes that are started at once."""

    roots: Sequence[Node]
    #: Each before those inside of it, as declared.
    nodes: list[Node] = field(default_factory=list)
    #: The node right before each in a chain; absent: it waits for nothing by its place.
    before: dict[Node, Node] = field(default_factory=dict)
    #: Id of every node here, and inside of what is here -> who stands for it.
    stands: dict[str, Node] = field(default_factory=dict)


def level_of(nodes: Sequence[Node], *, chained: bool) -> Level:
    """Return the level of *nodes*; *chained*: they run one after the other, as declared."""
    level = Level(nodes)
    pending = list(reversed(_places(nodes, None, chained=chained)))
    while pending:
        node, before = pending.pop()
        level.nodes.append(node)
        level.stands[node.id] = node
        if before is not None:
            level.before[node] = before
        if isinstance(node, UNFOLDING):
            # Where a template has the id of a node outside, that node is meant.
            for one in walk(inside(node)):
                level.stands.setdefault(one.id, node)
        elif isinstance(node, PLAIN):
            one_by_one = not (isinstance(node, Group) and node.parallel)
            pending.extend(reversed(_places(inside(node), before, chained=one_by_one)))
    return level


def _places(
    nodes: Sequence[Node], before: Node | None, *, chained: bool
) -> list[tuple[Node, Node | None]]:
    """Return each of *nodes* with the one that it comes right after."""
    found = []
    for node in nodes:
        found.append((node, before))
        if chained:
            before = node
    return found


def inputs_of(node: Node) -> tuple[str, ...]:
    """Return the names whose results a node is handed, or looks at, as declared."""
    if isinstance(node, Leaf):
        names: Iterable[str] = node.depends_on_results
    elif isinstance(node, Reduce):
        names = node.inputs
    elif isinstance(node, Review):
        names = node.candidates
    else:
        names = asked_of(node)
    return tuple(dict.fromkeys(names))


def asked_of(node: Node) -> tuple[str, ...]:
    """Return the names in the question of a controller, in order; some may be no nodes."""
    if isinstance(node, Expand):
        return tuple(sorted(_named(node.source)))
    if isinstance(node, Loop | Cond):
        return tuple(sorted(_named(expression_of(node.condition))))
    return ()


def expression_of(condition: Condition) -> str:
    """Return the expression of a condition; empty for one that is a command or a judge."""
    return condition.expression or ""


def _named(text: str) -> frozenset[str]:
    return conditions.names(text) if text and conditions.problem(text) is None else frozenset()


def outside_of(node: Node) -> tuple[str, ...]:
    """Return the names outside of a controller that its question or anything inside of it names."""
    within = list(walk(inside(node)))
    own = {node.id, *(one.id for one in within)}
    wanted = [*asked_of(node), *(name for one in within for name in inputs_of(one))]
    return tuple(dict.fromkeys(name for name in wanted if name not in own))
