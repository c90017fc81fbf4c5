"""What waits for what among imported tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.run.exchange.imported import Imported, Item, State
from wfledger.run.exchange.relating import Related, relate


def item(
    name: str, *after: str, parent: str | None = None, state: State = "open"
) -> Item:
    return Item(name, name, "", state, state, after=after, parent=parent)


def related(*items: Item, done_here: tuple[str, ...] = (), lenient: bool = False) -> Related:
    return relate(Imported("beads", "x", items), done_here=done_here, lenient=lenient)


def test_whole_comes_after_its_parts_and_parts_wait_for_what_it_waits_for() -> None:
    found = related(
        item("epic", "setup"), item("a", parent="epic"), item("b", "a", parent="epic"),
        item("setup"), item("later", "epic"),
    )  # fmt: skip
    assert found.troubles == []
    assert found.after == {
        "epic": ("setup", "a", "b"), "a": ("setup",), "b": ("a", "setup"), "setup": (),
        "later": ("epic",),
    }  # fmt: skip


def test_whole_that_waits_for_its_own_part_is_no_ring() -> None:
    found = related(item("epic", "a"), item("a", parent="epic"), item("b", parent="epic"))
    assert found.troubles == []
    assert found.after["b"] == ()


def test_what_is_over_there_is_settled_and_stays_an_input_where_it_was_done_here() -> None:
    items = (item("a", state="done"), item("b", "a"), item("c", state="dropped"), item("d", "c"))
    assert related(*items).after == {"b": (), "d": ()}
    assert related(*items, done_here=("a",)).after == {"b": ("a",), "d": ()}
    assert [(edge.item, edge.on) for edge in related(*items).settled] == [("b", "a"), ("d", "c")]


def test_rings_doubles_and_edges_to_nothing_are_troubles() -> None:
    found = related(item("a", "b"), item("b", "a"), item("b"), item("c", "nowhere"))
    assert sorted(trouble.kind for trouble in found.troubles) == ["cycle", "dangling", "duplicate"]
    lenient = related(item("a", "b"), item("b", "a"), item("c", "nowhere"), lenient=True)
    assert [trouble.kind for trouble in lenient.troubles] == ["cycle"]


def test_ids_that_differ_in_case_alone_are_found() -> None:
    assert related(item("TASK-1"), item("TASK-2", "task-1")).after["TASK-2"] == ("TASK-1",)


NAMES = ["a", "b", "c", "d", "e"]


@pytest.mark.long
@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.tuples(
            st.lists(st.sampled_from([*NAMES, "gone"]), max_size=3),
            st.none() | st.sampled_from(NAMES),
            st.sampled_from(["open", "held", "done", "dropped"]),
        ),
    )
)
def test_without_troubles_every_task_stands_after_those_it_waits_for(
    drawn: dict[str, tuple[list[str], str | None, State]]
) -> None:
    items = [item(n, *after, parent=up, state=state) for n, (after, up, state) in drawn.items()]
    found = related(*items, lenient=True)
    if found.troubles:
        return
    placed: set[str] = set()
    for one in found.items:
        assert set(found.after[one.id]) <= placed
        placed.add(one.id)
    assert placed == {one.id for one in items if one.state in {"open", "held"}}
