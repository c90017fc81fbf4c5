from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wfledger.plans import ordering


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    size = draw(st.integers(1, 8))
    lists = st.lists(st.integers(0, size - 1), max_size=4)
    return [[other for other in draw(lists) if other != node] for node in range(size)]


def recursive(edges: list[list[int]]) -> list[int] | int:
    """The order as the original computes it, or the node that is entered again."""
    state: dict[int, int] = {}
    order: list[int] = []

    def visit(node: int) -> int | None:
        state[node] = 1
        for before in edges[node]:
            if state.get(before) == 1:
                return before
            if before not in state:
                again = visit(before)
                if again is not None:
                    return again
        state[node] = 2
        order.append(node)
        return None

    for node in range(len(edges)):
        if node not in state:
            again = visit(node)
            if again is not None:
                return again
    return order


@given(graphs())
def test_order_and_first_cycle_are_those_of_the_recursive_walk(edges: list[list[int]]) -> None:
    found, expected = ordering.depth_first(edges), recursive(edges)
    if isinstance(expected, int):
        assert found.cycles[0].nodes[0] == expected
    else:
        assert list(found.nodes) == expected
        assert found.cycles == ()


@given(graphs())
def test_each_cycle_is_one(edges: list[list[int]]) -> None:
    for cycle in ordering.depth_first(edges).cycles:
        ring = (*cycle.nodes, cycle.nodes[0])
        assert all(after in edges[node] for node, after in pairwise(ring))


@given(graphs())
def test_ancestors_are_what_can_be_reached(edges: list[list[int]]) -> None:
    order = ordering.depth_first(edges)
    if order.cycles:
        return
    sets = ordering.ancestors(edges, order.nodes)
    for node in range(len(edges)):
        reached, todo = set(), list(edges[node])
        while todo:
            before = todo.pop()
            reached.add(before)
            todo.extend(edges[before])
        assert set(ordering.members(sets[node])) == reached


def test_depth_is_the_longest_chain() -> None:
    assert ordering.depths([[], [0], [0, 1], []], [0, 1, 2, 3], [1, 1, 0, 1]) == [1, 2, 2, 1]
    assert list(ordering.members(0b1010010)) == [1, 4, 6]


def test_long_chain_needs_no_recursion() -> None:
    size = 10_000
    chain = [[node + 1] for node in range(size - 1)] + [[]]
    assert ordering.depth_first(chain).nodes == tuple(reversed(range(size)))
