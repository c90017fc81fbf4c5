"""A tree of nodes by number: who stands inside whom, and where (spec 95.3).

Numbers are places in the declared order, each node before those inside it. Nothing recurses, and
nothing but a way up to the root is walked more than once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wfledger.plans.nodes.model import UNFOLDING, Expand, Node, arms

#: The parent of a node that stands in no other.
ROOT: Final = -1


@dataclass(frozen=True)
class Meet:
    """Where the ways up from two nodes meet."""

    #: The innermost node that holds both; `ROOT` for none.
    holder: int
    #: Of the nodes right inside it, the one that is or holds the first, and the second; `ROOT`
    #: where the holder itself is meant.
    left: int
    right: int


class Tree:
    """The nodes of a document, and how they stand to each other."""

    def __init__(self, roots: Sequence[Node]) -> None:
        self.nodes: list[Node] = []
        #: For each node the number of the one that it stands in.
        self.parent: list[int] = []
        #: For each node the list that it stands in, and its place there.
        self.arm: list[str] = []
        self.place: list[int] = []
        self.depth: list[int] = []
        #: For each node the numbers of those right inside it, as declared.
        self.inside: list[list[int]] = []
        #: The outermost node around it that starts what it holds when it decides; itself where it
        #: is one; `ROOT` where there is none.
        self.unfolder: list[int] = []
        #: The innermost expand around it of whose template it is a part; `ROOT` for none.
        self.template: list[int] = []
        #: For each node the number after the last one inside it.
        self.end: list[int] = []
        #: The first node of each id, one outside of templates before any inside.
        self.ids: dict[str, int] = {}
        #: Numbers of the nodes that stand in no other.
        self.roots: list[int] = []
        pending = [(node, ROOT, "nodes", place) for place, node in enumerate(roots)][::-1]
        while pending:
            node, parent, arm, place = pending.pop()
            number = self._add(node, parent, arm, place)
            found = [
                (child, number, name, index)
                for name, children in arms(node) for index, child in enumerate(children)
            ]  # fmt: skip
            pending.extend(reversed(found))
        for number in reversed(range(len(self.nodes))):
            last = self.inside[number][-1] if self.inside[number] else None
            self.end[number] = number + 1 if last is None else self.end[last]

    def _add(self, node: Node, parent: int, arm: str, place: int) -> int:
        number = len(self.nodes)
        self.nodes.append(node)
        self.parent.append(parent)
        self.arm.append(arm)
        self.place.append(place)
        self.inside.append([])
        self.end.append(number + 1)
        around = ROOT if parent == ROOT else self.unfolder[parent]
        self.unfolder.append(number if around == ROOT and isinstance(node, UNFOLDING) else around)
        if parent == ROOT:
            self.roots.append(number)
            self.depth.append(0)
            self.template.append(ROOT)
        else:
            self.inside[parent].append(number)
            self.depth.append(self.depth[parent] + 1)
            holds = isinstance(self.nodes[parent], Expand)
            self.template.append(parent if holds else self.template[parent])
        known = self.ids.setdefault(node.id, number)
        if self.template[known] != ROOT and self.template[number] == ROOT:
            self.ids[node.id] = number
        return number

    def meet(self, left: int, right: int) -> Meet:
        """Return where the ways up from two nodes meet."""
        below_left, below_right = ROOT, ROOT
        while left != right:
            if right == ROOT or (left != ROOT and self.depth[left] >= self.depth[right]):
                below_left, left = left, self.parent[left]
            else:
                below_right, right = right, self.parent[right]
        return Meet(left, below_left, below_right)

    def is_visible(self, number: int, *, to: int) -> bool:
        """Whether a node has one meaning for another: it is in no template, or in one with it."""
        template = self.template[number]
        if template == ROOT:
            return True
        while to != ROOT:
            if to == template:
                # The expand itself stands outside of its own template.
                return False
            if self.template[to] == template:
                return True
            to = self.template[to]
        return False

    def is_deferred(self, number: int) -> bool:
        """Whether the node is started by a controller around it, and not at submission."""
        return self.unfolder[number] not in {ROOT, number}
