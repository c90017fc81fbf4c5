"""What is on offer at one time never shares a path, whatever the plan says."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.scope_oracles import PATHS, PATTERNS, covers
from wfledger.core.admission import Claimed, Room, admit
from wfledger.core.documents import Task, TaskSpec
from wfledger.core.scopes import parse_all
from wfledger.core.statuses import Status

SCOPES = st.lists(PATTERNS, max_size=3).map(tuple)
LABELS = st.sets(st.sampled_from("xyz"), max_size=1).map(lambda labels: tuple(sorted(labels)))


def task(number: int, write: tuple[str, ...], contracts: tuple[str, ...]) -> Task:
    spec = TaskSpec(manual=True, write=write, contracts=contracts)
    return Task(
        id=f"r.t{number}", run="r", seq=1, attempt=0, created="2025-01-01T00:00:00.000Z",
        spec=spec, spec_sha256=spec.digest(),
    )  # fmt: skip


@pytest.mark.requirement("WFL-SCOPE-030")
@given(
    st.lists(st.tuples(SCOPES, LABELS), max_size=6), st.integers(0, 3), st.sets(PATHS, max_size=8)
)
def test_no_two_tasks_on_offer_cover_one_path_or_hold_one_label(
    scopes: list[tuple[tuple[str, ...], tuple[str, ...]]], already: int, paths: set[str]
) -> None:
    tasks = [task(number, *scope) for number, scope in enumerate(scopes)]
    first = admit(tasks[:already], [], room=Room(10), overtake=2).promote
    later = admit(tasks[already:], [Claimed.of(one) for one in first], room=Room(10), overtake=2)
    for mine, other in combinations((*first, *later.promote), 2):
        assert not set(mine.spec.contracts) & set(other.spec.contracts)
        assert not _both_cover(mine, other, paths)


def _both_cover(mine: Task, other: Task, paths: set[str]) -> set[str]:
    left, right = ({p.text for p in parse_all(one.spec.write)} for one in (mine, other))
    return {
        path
        for path in paths
        if any(covers(text, path) for text in left) and any(covers(text, path) for text in right)
    }


@pytest.mark.requirement("WFL-SCOPE-030")
def test_scope_is_held_from_the_offer_until_the_result_has_landed() -> None:
    holding = {status for status in Status if status.holds_scope}
    assert holding == {Status.PENDING, Status.IN_PROGRESS, Status.MERGING}


@pytest.mark.requirement("WFL-SCOPE-030")
def test_scope_is_reserved_whole_or_not_at_all() -> None:
    both, other = task(1, ("a/**", "b/**"), ()), task(2, ("b/x",), ())
    third = task(3, ("a/x",), ())
    held = [Claimed.of(other)]
    decided = admit([both, third], held, room=Room(10), overtake=2)
    assert decided.promote == (third,)
    assert decided.waits["r.t1"].witness == "b/x"
