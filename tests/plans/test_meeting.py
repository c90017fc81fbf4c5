from hypothesis import given, settings
from hypothesis import strategies as st

from wfledger.core import scopes
from wfledger.plans.meeting import Meeting
from wfledger.plans.ordering import members

segments = st.sampled_from(["a", "b", "ab", "*", "**", "a*", "*b", "?", "a?b", "*.py", "x.py"])
texts = st.lists(segments, min_size=1, max_size=4).map("/".join)
owners = st.lists(st.lists(texts, max_size=3), min_size=1, max_size=6)


@settings(max_examples=300)
@given(owners)
def test_index_finds_exactly_the_pairs_that_meet(lists: list[list[str]]) -> None:
    parsed = [scopes.parse_all(patterns) for patterns in lists]
    meeting = Meeting(parsed)
    for left, one in enumerate(parsed):
        expected = {right for right, two in enumerate(parsed) if scopes.collide(one, two)}
        assert set(members(meeting.met_by(left))) == expected


def compared(meeting: Meeting, owner_count: int) -> int:
    before = scopes.overlap.cache_info()
    for owner in range(owner_count):
        meeting.met_by(owner)
    after = scopes.overlap.cache_info()
    return after.hits + after.misses - before.hits - before.misses


def test_scopes_that_look_alike_are_not_compared_pair_by_pair() -> None:
    for pattern in ("src/m{}", "**/f{}.py", "src/*/m{}/**/f{}.py", "*_{}_x.py"):
        lists = [scopes.parse_all([pattern.format(n, n) + "_"]) for n in range(1000, 2000)]
        assert compared(Meeting(lists), 1000) <= 10_000


def test_equal_scopes_are_compared_once() -> None:
    lists = [scopes.parse_all(["src", "tests/**"])] * 1000
    meeting = Meeting(lists)
    assert compared(meeting, 1000) <= 10
    assert meeting.met_by(0) == (1 << 1000) - 1
