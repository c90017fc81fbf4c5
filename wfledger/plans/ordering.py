"""Graphs of phases and tasks: order, cycles and reachability, without recursion.

Nodes are indices; `edges[n]` lists what node n waits for. Sets of nodes are whole numbers used as
bit sets: for 10,000 nodes all ancestors of all nodes fit into 12 MB.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

#: Cycles that one walk reports.
_CYCLES: Final = 50

Edges = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Cycle:
    """Nodes that wait for each other: the first is the one that was entered again."""

    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Order:
    """A linear extension that stays close to the declared order, and what stands against it."""

    nodes: tuple[int, ...]
    cycles: tuple[Cycle, ...]


def depth_first(edges: Edges) -> Order:
    """Order the nodes: depth-first post-order, nodes as declared, edges as listed (WFL-PLAN-018).

    Each edge that closes a cycle is reported, once for each node that it enters, and not followed.
    """
    state = bytearray(len(edges))  # 0 unseen, 1 open, 2 finished
    order: list[int] = []
    cycles: dict[int, Cycle] = {}
    for root in range(len(edges)):
        if not state[root]:
            _walk(root, edges, state, order=order, cycles=cycles)
    return Order(tuple(order), tuple(cycles.values()))


def _walk(
    root: int, edges: Edges, state: bytearray, *, order: list[int], cycles: dict[int, Cycle]
) -> None:
    path = [root]
    pending: list[Iterator[int]] = [iter(edges[root])]
    state[root] = 1
    while path:
        following = next(pending[-1], None)
        if following is None:
            pending.pop()
            done = path.pop()
            state[done] = 2
            order.append(done)
        elif state[following] == 0:
            state[following] = 1
            path.append(following)
            pending.append(iter(edges[following]))
        elif state[following] == 1 and following not in cycles and len(cycles) < _CYCLES:
            cycles[following] = Cycle(tuple(path[path.index(following) :]))


def ancestors(edges: Edges, order: Sequence[int]) -> list[int]:
    """Return for each node the bit set of all nodes that it waits for, at any distance.

    *order* is a linear extension of the whole graph.
    """
    sets = [0] * len(edges)
    for node in order:
        gathered = 0
        for before in edges[node]:
            gathered |= sets[before] | (1 << before)
        sets[node] = gathered
    return sets


def depths(edges: Edges, order: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Return for each node the weight of the heaviest chain that ends with it."""
    result = [0] * len(edges)
    for node in order:
        result[node] = weights[node] + max((result[before] for before in edges[node]), default=0)
    return result


def members(bits: int) -> Iterator[int]:
    """Yield the nodes of a bit set in rising order."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def components(edges: Edges, order: Sequence[int]) -> list[int]:
    """Return for each node the number of its circle: nodes that wait for each other share it.

    *order* is that of `depth_first`, whatever cycles it found.
    """
    backwards: list[list[int]] = [[] for _ in edges]
    for node, befores in enumerate(edges):
        for before in befores:
            backwards[before].append(node)
    part = [-1] * len(edges)
    for number, root in enumerate(reversed(order)):
        pending = [root]
        while pending:
            node = pending.pop()
            if part[node] < 0:
                part[node] = number
                pending.extend(backwards[node])
    return part
