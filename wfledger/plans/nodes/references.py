"""Which results a node may name: what is there when it runs, and what never is (spec 95.3).

Data flows along references, and in a chain from each node to the next. What waits for itself in
this way is a cycle; that can only be among the nodes of the plan itself, which are no chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wfledger.plans import conditions
from wfledger.plans.nodes.model import (
    PLAIN,
    Cond,
    Expand,
    Group,
    Leaf,
    Loop,
    Node,
    Reduce,
    Review,
)
from wfledger.plans.nodes.tree import ROOT, Tree
from wfledger.plans.ordering import components, depth_first
from wfledger.plans.problems import join, quote

#: Names of a cycle that a message repeats.
_SHOWN: Final = 10


@dataclass(frozen=True)
class Reference:
    """A name of a node in a list of another."""

    #: Number of the node that names it.
    by: int
    field: str
    place: int
    name: str
    pointer: str


@dataclass(frozen=True)
class Edge:
    """A reference to a node that can be waited for."""

    reference: Reference
    #: Number of the node that it names.
    to: int


@dataclass(frozen=True)
class Circle:
    """Nodes whose results wait for each other, and the reference that closes the circle."""

    names: tuple[str, ...]
    edge: Edge


def listed(tree: Tree, number: int) -> list[Reference]:
    """Return the references of a node, in the order of their list."""
    node = tree.nodes[number]
    field, names = _list_of(node)
    pointer = join(node.pointer, field)
    return [
        Reference(number, field, place, name, join(pointer, place))
        for place, name in enumerate(names)
    ]


def _list_of(node: Node) -> tuple[str, Sequence[str]]:
    if isinstance(node, Leaf):
        return "depends_on_results", node.depends_on_results
    if isinstance(node, Reduce):
        return "inputs", node.inputs
    if isinstance(node, Review):
        return "candidates", node.candidates
    return "", ()


def question_of(node: Node) -> tuple[str, str] | None:
    """Return the expression of a controller and the field that holds it, if it has one."""
    if isinstance(node, Loop | Cond):
        text = node.condition.expression
        return None if text is None else ("condition", text)
    return ("source", node.source) if isinstance(node, Expand) else None


def named_in(node: Node, field: str, text: str, number: int) -> list[Reference]:
    """Return what an expression that parses names, as references."""
    pointer = join(node.pointer, field)
    names = sorted(conditions.names(text))
    return [Reference(number, field, place, name, pointer) for place, name in enumerate(names)]


def why_never(tree: Tree, by: int, to: int, *, chained: bool) -> str | None:
    """Return why a node can never have the result of another when it runs, or None.

    *chained*: the outermost nodes of *tree* run one after the other.
    """
    if by == to:
        return "itself"
    meet = tree.meet(by, to)
    if meet.right == ROOT:
        return "a node that holds it and ends after it"
    if meet.left == ROOT:
        holds = isinstance(tree.nodes[by], Loop)
        return None if holds else "a node inside it, which begins after it is decided"
    return _why_beside(tree, meet.holder, meet.left, meet.right, chained=chained)


def is_beside(tree: Tree, by: int, to: int) -> bool:
    """Whether two nodes stand in different children of a parallel branch_set, and nothing else."""
    meet = tree.meet(by, to)
    if ROOT in {meet.holder, meet.left, meet.right}:
        return False
    holder = tree.nodes[meet.holder]
    return isinstance(holder, Group) and holder.parallel


def _why_beside(tree: Tree, holder: int, left: int, right: int, *, chained: bool) -> str | None:
    """Return why what is in *left* cannot have a result of what is in *right*, beside it."""
    if holder == ROOT:
        is_chain, node = chained, None
    else:
        node = tree.nodes[holder]
        is_chain = not (isinstance(node, Group) and node.parallel)
    if isinstance(node, Group) and node.parallel:
        return f"a node that runs at the same time in {node.label}"
    if tree.arm[left] != tree.arm[right]:
        return "a node of the other arm, one of which never runs"
    if is_chain and tree.place[right] > tree.place[left]:
        return "a node of a later step"
    return None


class Flow:
    """The graph of what waits for what: each node begins and ends, and ends after what is inside.

    A node that starts what it holds when it decides begins and ends as a whole: whatever is inside
    and names something outside makes all of it wait.
    """

    def __init__(self, tree: Tree, edges: Sequence[Edge], *, chained: bool) -> None:
        self._tree = tree
        self._data: dict[tuple[int, int], Edge] = {}
        count = len(tree.nodes)
        # Vertex 2n is the beginning of node n, 2n + 1 its end.
        self.waits: list[list[int]] = [[] for _ in range(2 * count)]
        for number in range(count):
            self.waits[2 * number + 1].append(2 * number)
            if tree.is_deferred(number):
                continue
            parent = tree.parent[number]
            if parent != ROOT:
                self.waits[2 * number].append(2 * parent)
                self.waits[2 * parent + 1].append(2 * number + 1)
            before = self._before(number, chained=chained)
            if before is not None:
                self.waits[2 * number].append(2 * before + 1)
        for edge in edges:
            self._add(edge)

    def _before(self, number: int, *, chained: bool) -> int | None:
        """Return the node that a node comes right after in its chain."""
        tree = self._tree
        parent, place = tree.parent[number], tree.place[number]
        if place == 0:
            return None
        if parent == ROOT:
            return tree.roots[place - 1] if chained else None
        holder = tree.nodes[parent]
        if not isinstance(holder, PLAIN) or (isinstance(holder, Group) and holder.parallel):
            return None
        return tree.inside[parent][place - 1]

    def _add(self, edge: Edge) -> None:
        start, end = self._whole(edge.reference.by), self._whole(edge.to)
        if start != end:
            self.waits[2 * start].append(2 * end + 1)
            self._data.setdefault((2 * start, 2 * end + 1), edge)

    def _whole(self, number: int) -> int:
        """Return what begins and ends for a node: the outermost that starts it, or itself."""
        unfolder = self._tree.unfolder[number]
        return number if unfolder == ROOT else unfolder

    def circles(self) -> list[Circle]:
        """Return what waits for itself, up to a bound."""
        found = []
        for cycle in depth_first(self.waits).cycles:
            following = (*cycle.nodes[1:], cycle.nodes[0])
            pairs = zip(cycle.nodes, following, strict=True)
            edges = [self._data[pair] for pair in pairs if pair in self._data]
            shown = [self._tree.nodes[edge.reference.by].id for edge in edges[:_SHOWN]]
            shown += ["…"] if len(edges) > _SHOWN else []
            found.append(Circle((*shown, shown[0]), edges[-1]))
        return found

    def forward(self) -> list[Edge]:
        """Return references to what stands later, on a circle: without them there is none.

        What stands earlier and what a chain waits for always begins before.
        """
        part = components(self.waits, depth_first(self.waits).nodes)
        return [
            edge for (start, end), edge in self._data.items()
            if part[start] == part[end] and edge.to > edge.reference.by
        ]  # fmt: skip


def shown_circle(circle: Circle) -> str:
    """Return the names of a circle for a message."""
    return " → ".join(name if name == "…" else quote(name) for name in circle.names)


def is_bare(text: str, name: str) -> bool:
    """Whether an expression is nothing but a name."""
    return text.strip() == name
