"""Overlap: exact, symmetric, with a witness, and bounded."""

import random
import sys
from collections.abc import Callable
from itertools import combinations_with_replacement, product
from types import FrameType
from typing import Any

import pytest
from hypothesis import given

from tests.core.scope_oracles import PATHS, PATTERNS, cases, covers, expression
from wfledger.core.scopes import Collision, Pattern, collide, matches, overlap, parse, parse_all
from wfledger.core.segments import fold_fully, fold_simply, meet


def test_vectors_are_named_once_and_have_both_answers() -> None:
    listed = [case.values[0] for case in cases("overlap")]
    assert len({case["id"] for case in listed}) == len(listed)
    assert {case["then"]["overlap"] for case in listed} == {True, False}


@pytest.mark.parametrize("case", cases("overlap"))
def test_vector_of_overlap(case: dict[str, Any]) -> None:
    when, then = case["when"], case["then"]
    a, b, fold = parse(when["a"]), parse(when["b"]), when.get("fold", False)
    for witness in (overlap(a, b, fold=fold), overlap(b, a, fold=fold)):
        assert (witness is not None) is then["overlap"]
        if witness is not None:
            assert _cover(a, b, witness, fold=fold)
    if then["witness"] is not None:
        assert _cover(a, b, then["witness"], fold=fold)


def _cover(a: Pattern, b: Pattern, witness: str, *, fold: bool) -> bool:
    """Return whether the expressions of both match *witness*, folded one way or not at all."""
    foldings: list[Callable[[str], str]] = [str]
    if fold:
        foldings += [fold_simply, fold_fully]
    return any(
        covers(folding(a.text), folding(witness)) and covers(folding(b.text), folding(witness))
        for folding in foldings
    )


@pytest.mark.long
@pytest.mark.requirement("WFL-SCOPE-020")
@pytest.mark.requirement("WFL-SCOPE-021")
def test_every_pair_of_short_globs_meets_as_brute_force_says() -> None:
    names = ["".join(chars) for n in range(1, 7) for chars in product("ab.", repeat=n)]
    globs = [
        glob
        for n in range(1, 5)
        for glob in ("".join(chars) for chars in product("a.?*", repeat=n))
        if "**" not in glob and glob not in {".", ".."}
    ]
    matched = {glob: {name for name in names if _name(glob, name)} for glob in globs}
    for left, right in combinations_with_replacement(globs, 2):
        common = matched[left] & matched[right]
        found = meet(left, right)
        assert (found is None) is (not common), (left, right, found)
        assert (meet(right, left) is None) is (found is None)
        assert found is None or (_name(left, found) and _name(right, found)), (left, right)


def _name(glob: str, name: str) -> bool:
    # A literal covers what lies below as well; a name has nothing below.
    return name not in {".", ".."} and expression(glob).fullmatch(name) is not None


@pytest.mark.requirement("WFL-SCOPE-020")
@pytest.mark.requirement("WFL-SCOPE-006")
def test_pairs_of_patterns_overlap_as_brute_force_says() -> None:
    paths = ["/".join(parts) for n in range(1, 7) for parts in product(["a", "b", "ab"], repeat=n)]
    texts = [
        "/".join(p) for n in range(1, 4) for p in product(["a", "*", "**", "a*", "?b"], repeat=n)
    ]
    patterns = sorted({parse(text) for text in texts}, key=lambda pattern: pattern.text)
    matched = {p: {path for path in paths if covers(p.text, path)} for p in patterns}
    pairs = list(combinations_with_replacement(patterns, 2))
    overlapping = 0
    for a, b in random.Random(7).sample(pairs, min(len(pairs), 6000)):
        found = overlap(a, b)
        assert (found is not None) is bool(matched[a] & matched[b]), (a, b, found)
        overlapping += found is not None
    assert overlapping > 1000


@pytest.mark.requirement("WFL-SCOPE-021")
@given(PATTERNS, PATTERNS)
def test_overlap_is_symmetric_and_its_witness_is_covered_by_both(left: str, right: str) -> None:
    a, b = parse(left), parse(right)
    found, back = overlap(a, b), overlap(b, a)
    assert (found is None) is (back is None)
    for witness in filter(None, (found, back)):
        assert covers(a.text, witness)
        assert covers(b.text, witness)
        assert matches(a, witness)
        assert matches(b, witness)


@pytest.mark.requirement("WFL-SCOPE-020")
@given(PATTERNS, PATTERNS, PATHS)
def test_patterns_that_cover_one_path_overlap(left: str, right: str, path: str) -> None:
    a, b = parse(left), parse(right)
    if matches(a, path) and matches(b, path):
        assert overlap(a, b) is not None


@given(PATTERNS, PATHS)
def test_pattern_overlaps_a_literal_that_it_covers(text: str, path: str) -> None:
    pattern, literal = parse(text), parse(path)
    if matches(pattern, path):
        assert overlap(pattern, literal) is not None


@pytest.mark.requirement("WFL-SCOPE-020")
@given(PATTERNS)
def test_pattern_overlaps_itself_and_the_whole(text: str) -> None:
    pattern = parse(text)
    assert overlap(pattern, pattern) is not None
    assert overlap(pattern, parse("**")) is not None


@pytest.mark.requirement("WFL-SCOPE-022")
@given(PATTERNS, PATTERNS)
def test_folding_never_takes_an_overlap_away(left: str, right: str) -> None:
    a, b = parse(left), parse(right.upper())
    if overlap(a, b) is not None:
        assert overlap(a, b, fold=True) is not None
    folded = overlap(a, parse(right)) is not None
    assert (overlap(a, b, fold=True) is not None) is folded


@pytest.mark.requirement("WFL-SCOPE-011")
@pytest.mark.requirement("WFL-SCOPE-012")
@pytest.mark.parametrize(
    ("left", "right"),
    [
        (".g*", "*it"),
        (".git*", ".git*"),
        (".wf*", ".wfledger*"),
        (".git*:*", ".git*"),
        (".git??", "*:*"),
    ],
)
def test_witness_is_no_reserved_name_where_there_is_another(left: str, right: str) -> None:
    a, b = parse(left), parse(right)
    witness = overlap(a, b)
    assert witness is not None
    assert matches(a, witness)
    assert matches(b, witness)


def test_first_pair_that_collides_is_reported_with_its_witness() -> None:
    left, right = parse_all(["docs/**", "src/*.py"]), parse_all(["lib", "src/a*"])
    assert collide(left, right) == Collision(left[1], right[1], "src/a.py")
    assert collide(left, right[:1]) is None
    assert collide((), right) is None


def test_folding_is_passed_on_to_every_pair() -> None:
    left, right = parse_all(["SRC"]), parse_all(["src"])
    assert collide(left, right) is None
    assert collide(left, right, fold=True) is not None


def _lines(work: Callable[[], object]) -> int:
    """Return how many lines of wfledger *work* runs: a measure that no machine load changes."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        if "wfledger" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


ADVERSARIES = {
    "deep": ("**/a*b/" * 15 + "z", "**/*a?b*/" * 15 + "q"),
    "deep and one name": ("**/a/" * 15 + "b", "**/*/" * 15 + "a"),
    "stars": ("*a" * 255, "*b" * 255),
    "stars against questions": ("*a" * 255, "?" * 510),
    "stars against questions, short": ("*a" * 255, "?" * 254),
    "long parts": ("a" * 511, "*" + "a" * 250 + "b*"),
    "long parts of questions": ("?" * 255 + "a" * 255, "*" + "?" * 250 + "b*"),
    "witness to trim": ("*a" * 31 + "*", "*?" * 30 + "*b"),
    "segments": ("*a*/" * 31 + "x", "*b*/" * 31 + "y"),
}


@pytest.mark.requirement("WFL-SCOPE-023")
@pytest.mark.parametrize("name", ADVERSARIES)
def test_the_worst_pairs_take_a_bounded_number_of_steps(name: str) -> None:
    a, b = (parse(text) for text in ADVERSARIES[name])
    meet.cache_clear()
    overlap.cache_clear()
    assert _lines(lambda: overlap(a, b)) < 400_000


@pytest.mark.requirement("WFL-SCOPE-023")
def test_pair_of_positions_is_looked_at_once() -> None:
    a, b = (parse(text) for text in ADVERSARIES["deep"])
    overlap.cache_clear()
    before = meet.cache_info()
    overlap(a, b)
    after = meet.cache_info()
    asked = after.hits + after.misses - before.hits - before.misses
    assert asked <= (len(a.steps) + 1) * (len(b.steps) + 1)
