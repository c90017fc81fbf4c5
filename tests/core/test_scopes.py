"""Patterns: what is accepted, what it means, and that git means the same."""

import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.scope_oracles import PATHS, PATTERNS, cases, covers
from tests.support.repos import git, make_repo
from wfledger.core import bounds
from wfledger.core.scopes import (
    covered,
    is_path,
    matches,
    parse,
    parse_all,
    parse_protected,
    warnings,
)
from wfledger.errors import InvalidPatternError


@pytest.mark.parametrize("case", cases("parse"))
def test_vector_of_parsing(case: dict[str, Any]) -> None:
    text, then = case["when"]["pattern"], case["then"]
    if "error" in then:
        with pytest.raises(InvalidPatternError) as caught:
            parse(text)
        assert caught.value.code == then["error"]
        assert caught.value.facts["pattern"] == text
        assert repr(text[:80])[:-1] in caught.value.message
        return
    pattern = parse(text)
    assert (pattern.text, pattern.is_literal) == (then["text"], then["literal"])
    assert pattern.given == text


@pytest.mark.parametrize("case", cases("match"))
def test_vector_of_matching(case: dict[str, Any]) -> None:
    when = case["when"]
    assert matches(parse(when["pattern"]), when["path"]) is case["then"]["match"]


@pytest.mark.requirement("WFL-SCOPE-001")
@pytest.mark.requirement("WFL-SCOPE-015")
def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(InvalidPatternError, match="not Unicode"):
        parse("src/\udcff")


@pytest.mark.requirement("WFL-SCOPE-013")
def test_sixty_four_patterns_are_accepted_and_one_more_is_refused() -> None:
    most = [f"src/{number}" for number in range(bounds.PATTERNS)]
    assert [pattern.text for pattern in parse_all(most)] == most
    with pytest.raises(InvalidPatternError, match="65 patterns") as caught:
        parse_all([*most, "more"])
    assert caught.value.hint


@pytest.mark.requirement("WFL-SCOPE-024")
@pytest.mark.parametrize("text", ["../src", "a**b", ""])
def test_one_pattern_that_cannot_be_parsed_refuses_the_whole_list(text: str) -> None:
    with pytest.raises(InvalidPatternError):
        parse_all(["src/**", text])


@pytest.mark.requirement("WFL-SCOPE-014")
def test_no_patterns_cover_nothing() -> None:
    assert parse_all([]) == ()
    assert covered((), "src/a.py") is None


def test_first_pattern_that_covers_is_named() -> None:
    patterns = parse_all(["docs/**", "src/*.py", "src"])
    assert covered(patterns, "src/a.py") is patterns[1]
    assert covered(patterns, "src/a/b.c") is patterns[2]
    assert covered(patterns, "lib/a") is None


@pytest.mark.requirement("WFL-SCOPE-013")
def test_refusal_of_an_endless_pattern_stays_short() -> None:
    with pytest.raises(InvalidPatternError) as caught:
        parse("x" * 1_000_000)
    assert len(caught.value.message) < 200


@pytest.mark.requirement("WFL-SCOPE-009")
def test_braces_are_warned_of_with_the_patterns_that_were_meant() -> None:
    (warning,) = warnings(parse("src/**/*.{ts,tsx}"))
    assert warning.endswith("write 2 patterns: src/**/*.ts, src/**/*.tsx")


@pytest.mark.requirement("WFL-SCOPE-009")
@pytest.mark.parametrize("text", ["{a", "a}", "{a}", "{}", "".join(["{a,b}"] * 20)])
def test_braces_that_have_no_short_expansion_are_warned_of_without_one(text: str) -> None:
    assert warnings(parse(text)) == (f"{text}: braces are ordinary characters",)


@pytest.mark.requirement("WFL-SCOPE-009")
def test_brackets_are_warned_of_and_plain_patterns_are_not() -> None:
    assert "brackets are ordinary characters" in warnings(parse("app/[slug]/page.tsx"))[0]
    assert warnings(parse("src/**/*.py")) == ()


def test_white_space_around_a_name_is_warned_of() -> None:
    assert "white space" in warnings(parse("src/a.py "))[0]


def test_equal_scopes_are_equal_whatever_was_written() -> None:
    assert len({parse("src/"), parse("./src//"), parse("src/**"), parse("src/**/**")}) == 1


@pytest.mark.requirement("WFL-SCOPE-047")
def test_protected_set_may_name_what_no_scope_may() -> None:
    assert parse_protected(".wfledger/**").segments == (".wfledger", "**")
    assert parse_protected("**/.git").text == "**/.git"
    with pytest.raises(InvalidPatternError):
        parse_protected("../a")


@given(st.text(max_size=40) | st.text("ab./*?\\!:-{}[]~ \u0301\u200d", max_size=20))
@example("\ufeff./")
@example("\u1100\u1161/**/")
def test_any_text_is_refused_with_a_reason_or_has_a_stable_normal_form(text: str) -> None:
    try:
        pattern = parse(text)
    except InvalidPatternError:
        return
    assert parse(pattern.text) == pattern
    assert parse(pattern.text).steps == pattern.steps
    assert unicodedata.is_normalized("NFC", pattern.text)
    assert all(part not in {"", ".", ".."} for part in pattern.segments)
    if pattern.is_literal:
        assert matches(pattern, pattern.text)


@given(PATTERNS, PATHS)
def test_matching_agrees_with_a_regular_expression(text: str, path: str) -> None:
    pattern = parse(text)
    assert matches(pattern, path) is covers(pattern.text, path)


@given(st.text("ab", max_size=6), st.text("ab*?", max_size=8))
def test_matching_of_one_segment_agrees_with_a_regular_expression(name: str, glob: str) -> None:
    if "**" not in glob and glob:
        assert matches(parse(glob), name) is covers(glob, name)


@given(st.text(max_size=20))
def test_whatever_is_covered_is_a_path(path: str) -> None:
    assert matches(parse("**"), path) is is_path(path)


def _glob(chance: random.Random) -> str:
    return "".join(chance.choice(["a", "b", "ab", ".", "*", "?", "{a,b}", "-"]) for _ in range(2))


def _pattern(chance: random.Random) -> str:
    segments = [
        chance.choice(["**", "*", "a", "b", "src", _glob(chance), _glob(chance)])
        for _ in range(chance.randint(1, 4))
    ]
    slash = "/" if chance.random() < 0.1 and not set("*?") & set("".join(segments)) else ""
    return "/".join(segments) + slash


def _path(chance: random.Random) -> str:
    names = ["a", "b", "ab", "abc", "src", ".a", ".ab", "a.b", "b-", "{a,b}", "-a", "a{a,b}"]
    return "/".join(chance.choice(names) for _ in range(chance.randint(1, 4)))


def _without_folders(paths: set[str]) -> list[str]:
    """Leave out the paths that others have as a folder: a tree cannot hold both."""
    folders = {path[:place] for path in paths for place, char in enumerate(path) if char == "/"}
    return sorted(paths - folders)


@pytest.mark.long
@pytest.mark.requirement("WFL-SCOPE-016")
def test_git_lists_the_same_files(tmp_path: Path) -> None:
    chance = random.Random(20_250_101)
    paths = _without_folders({_path(chance) for _ in range(600)})
    repo = make_repo(tmp_path / "repo")
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=b"")
    index = "".join(f"100644 {blob}\t{path}\n" for path in paths)
    git(repo, "update-index", "--index-info", stdin=index.encode())
    compared = 0
    while compared < 400:
        try:
            pattern = parse(_pattern(chance))
        except InvalidPatternError:
            continue
        compared += 1
        listed = git(repo, "ls-files", "-z", "--", f":(top,glob){pattern.given}").split("\0")[:-1]
        mine = [path for path in paths if matches(pattern, path)]
        assert sorted(listed) == sorted(mine), pattern.given
