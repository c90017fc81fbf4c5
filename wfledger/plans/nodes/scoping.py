"""What leaves may write, and which of them meet where nodes run at the same time (spec 95.5)."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

from wfledger.core.control import Promotion
from wfledger.core.scopes import Pattern, collide
from wfledger.plans.checks import uncovered
from wfledger.plans.nodes.compiling import contenders
from wfledger.plans.nodes.model import PICKING, Group, Leaf, Node, Review
from wfledger.plans.nodes.narrowing import Narrowed
from wfledger.plans.nodes.placeholders import mentions
from wfledger.plans.nodes.tree import ROOT, Tree
from wfledger.plans.problems import REPORTED, Findings, quote
from wfledger.plans.writing import (
    Scope,
    Writer,
    hint_scopes,
    meeting_pairs,
    read_scope,
    where_they_meet,
)


@dataclass(frozen=True)
class _Part:
    """What one child of a parallel branch_set writes."""

    scope: Scope
    #: The leaves that write, with scopes that were declared.
    leaves: tuple[int, ...]


class Scoping:
    """The write scopes of a tree, reported as its nodes are walked in declared order."""

    def __init__(
        self, tree: Tree, narrowed: Narrowed, findings: Findings, promotion: Promotion
    ) -> None:
        self._tree = tree
        self._narrowed = narrowed
        self._findings = findings
        #: Of leaves, by number.
        self.scopes: dict[int, Scope] = {}
        self._writers = [
            number for number, node in enumerate(tree.nodes)
            if isinstance(node, Leaf) and narrowed.allowed[node].access.writes
        ]  # fmt: skip
        self._beside = _beside(tree)
        self._picked = _picked(tree, promotion)
        #: Parallel branch_sets that were entered and not left: the number after the last inside.
        self._open: list[int] = []

    def enter(self, number: int) -> None:
        """Report what is wrong with the scope of a node; call it for each node in order."""
        self.leave(number)
        node = self._tree.nodes[number]
        if isinstance(node, Leaf):
            self._leaf(number, node)
        elif isinstance(node, Group) and node.parallel:
            self._open.append(number)

    def leave(self, number: int) -> None:
        """Report which writers meet in each branch_set that ends before *number*."""
        while self._open and self._tree.end[self._open[-1]] <= number:
            self._report_overlaps(self._open.pop())

    def _leaf(self, number: int, leaf: Leaf) -> None:
        access = self._narrowed.allowed[leaf].access
        pointer = access.scope_pointer
        writer = Writer(leaf.id, pointer, access.scope, access.writes)
        scope = read_scope(writer, self._findings, missing=self._missing(number))
        if leaf.file_scope or access.writes:
            plain = tuple(one for one in scope.patterns if not mentions(one.text))
            hint_scopes(writer, replace(scope, patterns=plain), self._findings)
        wanted = leaf.terms.deliverables
        allowed = access.scope if access.writes else ()
        self._findings.extend(uncovered(wanted, allowed, leaf.pointer, leaf.label))
        self.scopes[number] = scope

    def _missing(self, number: int) -> str | None:
        """Return the kind of error where that leaf writes and declares no scope."""
        if self._beside[number] and not self._findings.lenient:
            return "missing_parallel_write_scope"
        # Nothing of its own plan can meet the scope of a lone writer; a template is many writers.
        lone = len(self._writers) <= 1 and self._tree.template[number] == ROOT
        return None if lone else "missing_write_scope"

    def _report_overlaps(self, group: int) -> None:
        """Report each pair of children that write the same, by one pair of their leaves."""
        tree = self._tree
        parts = [part for child in tree.inside[group] if (part := self._part(child)).leaves]
        pairs = (
            pair
            for left, right in meeting_pairs([part.scope for part in parts])
            if (pair := self._meeting(parts[left], parts[right])) is not None
        )
        for one, two in islice(pairs, REPORTED + 1):
            left, right = tree.nodes[one], tree.nodes[two]
            where = where_they_meet(self.scopes[one], self.scopes[two])
            message = (
                f"leaves {quote(left.id)} and {quote(right.id)} of the parallel "
                f"{tree.nodes[group].label} both write{where}"
            )
            pointer = self._pointer(right)
            self._findings.error("overlapping_parallel_write_scope", message, pointer)

    def _part(self, child: int) -> _Part:
        leaves = tuple(
            number for number in self._between(child, self._tree.end[child])
            if self.scopes[number].patterns or self.scopes[number].outside
        )  # fmt: skip
        found = [self.scopes[number] for number in leaves]
        return _Part(_together(found), leaves)

    def _between(self, first: int, end: int) -> Iterator[int]:
        """Yield the writers from *first* to before *end*."""
        for place in range(bisect_left(self._writers, first), len(self._writers)):
            if self._writers[place] >= end:
                break
            yield self._writers[place]

    def _meeting(self, left: _Part, right: _Part) -> tuple[int, int] | None:
        """Return two leaves that meet, of which both may land; None where there are none."""
        lone = len(left.leaves) == len(right.leaves) == 1
        if not lone and not any(number in self._picked for number in left.leaves):
            left, right = self._witnesses(left, right)
        for one, two in product(left.leaves, right.leaves):
            meets = lone or any(meeting_pairs([self.scopes[one], self.scopes[two]]))
            if meets and not self._are_rivals(one, two):
                return one, two
        return None

    def _witnesses(self, left: _Part, right: _Part) -> tuple[_Part, _Part]:
        """Return one leaf of each part that meets one of the other, without trying every pair."""
        collision = collide(left.scope.patterns, right.scope.patterns)
        if collision is None:
            return left, right
        return (
            replace(left, leaves=(self._who_has(collision.left, left),)),
            replace(right, leaves=(self._who_has(collision.right, right),)),
        )

    def _who_has(self, pattern: Pattern, part: _Part) -> int:
        return next(n for n in part.leaves if pattern in self.scopes[n].patterns)

    def _are_rivals(self, one: int, two: int) -> bool:
        """Whether at most one of two leaves lands: candidates of a review that picks one."""
        left, right = self._picked.get(one), self._picked.get(two)
        return (
            left is not None and right is not None and left[0] == right[0] and left[1] != right[1]
        )

    def _pointer(self, node: Node) -> str:
        assert isinstance(node, Leaf)  # noqa: S101 - only leaves write
        return self._narrowed.allowed[node].access.scope_pointer


def _together(found: Sequence[Scope]) -> Scope:
    if len(found) == 1:
        return found[0]
    patterns = dict.fromkeys(pattern for scope in found for pattern in scope.patterns)
    outside = dict.fromkeys(text for scope in found for text in scope.outside)
    return Scope((), tuple(patterns), tuple(outside))


def _beside(tree: Tree) -> list[bool]:
    """Return for each node whether it is inside a parallel branch_set."""
    found: list[bool] = []
    for number in range(len(tree.nodes)):
        parent = tree.parent[number]
        holder = tree.nodes[parent] if parent != ROOT else None
        here = isinstance(holder, Group) and holder.parallel
        found.append(here or (parent != ROOT and found[parent]))
    return found


def _picked(tree: Tree, promotion: Promotion) -> Mapping[int, tuple[int, int]]:
    """Return for each leaf that may not land the review that picks one, and its place there.

    *promotion* is the policy of reviews that name none.
    """
    found: dict[int, tuple[int, int]] = {}
    for number, node in enumerate(tree.nodes):
        if not isinstance(node, Review) or node.policy(promotion).strategy not in PICKING:
            continue
        named = [tree.nodes[tree.ids[name]] for name in node.candidates if name in tree.ids]
        for place, rival in enumerate(one for whole in named for one in contenders(whole)):
            found.setdefault(tree.ids[rival.id], (number, place))
    return found
