"""What a worker hands on never exceeds what it has (spec 66, WFL-AUTH)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core.authority import (
    TOOLS,
    Authority,
    can_descend,
    child_of,
    contradictions,
    exceeds,
    inherited,
)
from wfledger.core.scopes import lies_within, matches, parse, parse_protected
from wfledger.core.usage import Budget

_SEGMENTS = st.sampled_from(["a", "b", "ab", "*", "?", "a*", "*b", "?b", "**"])
_PATTERNS = st.lists(_SEGMENTS, min_size=1, max_size=4).map("/".join)
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "aab", "ba"]), min_size=1, max_size=5).map("/".join)
_AMOUNTS = st.none() | st.integers(1, 9)
_BUDGETS = st.builds(Budget, usd=st.none() | st.floats(0.01, 9), tokens=_AMOUNTS, steps=_AMOUNTS)
_NAMES = st.none() | st.frozensets(st.sampled_from(["A", "B", "C"]))
_AUTHORITIES = st.builds(
    Authority,
    write=st.lists(_PATTERNS, max_size=3).map(tuple),
    tools=st.none() | st.frozensets(st.sampled_from(TOOLS)),
    network=st.booleans(), env=_NAMES, budget=_BUDGETS, depth=st.none() | st.integers(0, 3),
)
PROTECTED = (parse_protected("**/.git*"), parse_protected(".github/workflows/**"))


@given(_AUTHORITIES, _AUTHORITIES)
@pytest.mark.requirement("WFL-AUTH-001")
def test_child_never_exceeds_its_parent(parent: Authority, wanted: Authority) -> None:
    child = child_of(parent, wanted)
    said = exceeds(parent, child)
    assert said == ([] if can_descend(parent) else ["its parent may start nothing (depth 0)"])


@pytest.mark.long
@given(_AUTHORITIES, _AUTHORITIES)
@pytest.mark.requirement("WFL-AUTH-001")
def test_what_a_child_wants_within_its_parent_it_gets_whole(parent: Authority, wanted: Authority) -> None:
    filled = inherited(parent, wanted)
    if not exceeds(parent, filled):
        assert child_of(parent, filled) == filled


@given(_PATTERNS, _PATTERNS, _PATHS)
@pytest.mark.requirement("WFL-AUTH-002")
def test_pattern_within_another_covers_no_path_that_the_other_does_not(inner: str, outer: str, path: str) -> None:
    if lies_within(parse(inner), parse(outer)) and matches(parse(inner), path):
        assert matches(parse(outer), path)


@pytest.mark.requirement("WFL-AUTH-002")
@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        ("src/app", "src", True),
        ("src/app/*.py", "src/**", True),
        ("src/a*/x.py", "src/*/x.py", True),
        ("src", "src/**", False),
        ("srcs", "src", False),
        ("**", "src", False),
        ("src/?.py", "src/*.py", True),
        ("src/*.py", "src/?.py", False),
        ("src/**/x", "**/x", True),
        ("src/*/**", "src/**", True),
    ],
)
def test_what_lies_within_is_seen(inner: str, outer: str, *, within: bool) -> None:
    assert lies_within(parse(inner), parse(outer)) is within


@pytest.mark.requirement("WFL-AUTH-002")
def test_a_child_may_not_spell_out_a_protected_path_that_wildcards_did_not_grant() -> None:
    child = Authority(write=(".github/workflows/ci.yml",))
    assert exceeds(Authority(write=("**",)), child, PROTECTED)
    assert not exceeds(Authority(write=(".github",)), child, PROTECTED)
    assert not exceeds(Authority(write=("**",)), Authority(write=("src",)), PROTECTED[1:])


@pytest.mark.requirement("WFL-AUTH-001")
def test_everything_that_exceeds_is_said_at_once() -> None:
    parent = Authority(
        write=("src",), tools=frozenset({"read"}), network=False, env=frozenset(),
        budget=Budget(usd=1.0, tokens=10), depth=2,
    )
    child = Authority(
        write=("src/a", "docs"), tools=frozenset({"read", "run"}), env=frozenset({"KEY"}),
        budget=Budget(usd=2.0), depth=2,
    )
    assert exceeds(parent, child) == [
        "it may write docs, which no one pattern of its parent covers (src)",
        "its parent has not the tool run",
        "it reaches the network, and its parent does not",
        "its parent has not the variable KEY",
        "it may use 2 dollars, and its parent has 1 left",
        "it may use without limit tokens, and its parent has 10 left",
        "its depth must be less than that of its parent, 2",
    ]


@pytest.mark.requirement("WFL-AUTH-003")
def test_nothing_descends_from_depth_nought() -> None:
    assert exceeds(Authority(depth=0), Authority(depth=0))
    assert not exceeds(Authority(depth=1), Authority(depth=0))


@pytest.mark.requirement("WFL-AUTH-004")
@pytest.mark.parametrize(
    ("authority", "count"),
    [
        (Authority(), 0),
        (Authority(tools=frozenset({"read", "edit"})), 1),
        (Authority(write=("src",), tools=frozenset({"read"})), 1),
        (Authority(write=("src",), tools=frozenset({"run"})), 0),
        (Authority(tools=frozenset({"fly"})), 1),
    ],
)
def test_contradictions_are_found(authority: Authority, count: int) -> None:
    assert len(contradictions(authority)) == count
