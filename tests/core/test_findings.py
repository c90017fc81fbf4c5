"""Findings of several results: equal ones once, contradictions side by side, nothing dropped."""

import random
from typing import Any

import pytest

from wfledger.core import findings
from wfledger.core.control import Synthesis
from wfledger.core.documents import Result

Given = tuple[str, dict[str, Any]]


def merged(*given: Given) -> tuple[dict[str, Any], ...]:
    return findings.merge(((source,), finding) for source, finding in given)


def found(**fields: Any) -> dict[str, Any]:
    return {"title": "Lock is not released", "path": "src/a.py", "line": 3} | fields


SAME = [
    found(title="lock is  NOT released."),
    found(path="./src/a.py"),
    {"text": "Lock is not released", "file": "src/a.py", "start_line": "3"},
    {"title": "Lock is not released", "path": "src/a.py:3"},
    {"title": "Lock is not released", "location": {"path": "src/a.py", "line": 3}},
    found(severity="high"),
    found(verdict="confirmed", detail="seen twice"),
]  # fmt: skip
OTHER = [found(line=4), found(path="src/b.py"), found(title="Lock is held twice"), found(line=None)]


@pytest.mark.requirement("WFL-CTRL-062")
@pytest.mark.parametrize("other", SAME, ids=str)
def test_equal_findings_are_one_with_both_sources(other: dict[str, Any]) -> None:
    both = merged(("r.a", found()), ("r.b", other))
    assert [one["sources"] for one in both] == [["r.a", "r.b"]]
    assert "contradicts" not in both[0]


@pytest.mark.parametrize("other", OTHER, ids=str)
def test_findings_about_something_else_stay_apart(other: dict[str, Any]) -> None:
    both = merged(("r.a", found()), ("r.b", other))
    assert sorted(one["sources"] for one in both) == [["r.a"], ["r.b"]]
    assert [one for one in both if "contradicts" in one] == []


@pytest.mark.requirement("WFL-CTRL-063")
@pytest.mark.parametrize(
    ("left", "right", "on"),
    [
        (found(severity="high"), found(severity="low"), ["severity"]),
        (found(verdict="passed"), found(verdict="failed"), ["verdict"]),
        (found(verdict=True), found(verdict=False), ["verdict"]),
        (found(claim="leaks"), found(claim="does not leak"), ["claim"]),
        ({"title": "x is safe"}, {"title": "x is not safe"}, ["negated"]),
        ({"text": "it can\u2019t fail"}, {"text": "It can fail"}, ["negated"]),
        ({"subject": "cache", "text": "slow", "verdict": "ok"},
         {"subject": "Cache", "text": "broken", "verdict": "failed"}, ["verdict"]),
        (found(severity="major", verdict="no"), found(severity="low", verdict="yes"),
         ["verdict", "severity"]),
    ],
    ids=str,
)  # fmt: skip
def test_contradictions_are_both_there_and_name_each_other(
    left: dict[str, Any], right: dict[str, Any], on: list[str]
) -> None:
    both = merged(("r.a", left), ("r.b", right))
    assert [one["sources"] for one in both] in ([["r.a"], ["r.b"]], [["r.b"], ["r.a"]])
    assert both[0]["contradicts"] == [{"finding": 1, "on": on}]
    assert both[1]["contradicts"] == [{"finding": 0, "on": on}]
    assert findings.contradicted(both) == 2


def test_words_for_one_severity_are_no_contradiction() -> None:
    (one,) = merged(("r.a", found(severity="Major")), ("r.b", found(severity="high")))
    assert one["severity"] in {"Major", "high"}
    assert len(one["variants"]) == 1


def test_what_one_source_says_otherwise_is_kept_as_a_variant() -> None:
    (one,) = merged(("r.a", found(detail="in close()")), ("r.b", found(detail="in shut()")))
    said = {one["detail"], *(variant["fields"]["detail"] for variant in one["variants"])}
    assert said == {"in close()", "in shut()"}


def test_one_that_says_less_joins_the_gravest_that_says_more() -> None:
    grave, light = found(severity="high"), found(severity="low")
    both = merged(("r.a", light), ("r.b", grave), ("r.c", found()))
    assert [(one["severity"], one["sources"]) for one in both] == [
        ("high", ["r.b", "r.c"]), ("low", ["r.a"]),
    ]  # fmt: skip


def test_order_of_results_changes_nothing() -> None:
    given = [(f"r.{n}", one) for n, one in enumerate([*SAME, *OTHER, found(severity="low")])]
    wanted = merged(*given)
    chance = random.Random(7)
    for _ in range(20):
        chance.shuffle(given)
        assert merged(*given) == wanted


def test_gravest_come_first_then_by_place() -> None:
    listed = merged(
        ("r.a", found(path="z.py", severity="low")), ("r.a", found(path="b.py")),
        ("r.a", found(path="z.py", title="Worse", severity="critical")),
        ("r.a", found(path="a.py", severity="low")),
    )  # fmt: skip
    assert [one["path"] for one in listed] == ["z.py", "a.py", "z.py", "b.py"]


def test_merging_merged_findings_keeps_their_first_sources_and_variants() -> None:
    inner = merged(("r.a", found(detail="one")), ("r.b", found(detail="two")))
    reduced = Result(
        task="r.sum", attempt=1, status="succeeded", synthesis=Synthesis(findings=inner),
        findings=({"title": "new", "sources": ["r.forged"]},),
    )  # fmt: skip
    listed = findings.merge(findings.of_result("r.sum", reduced))
    assert {one["title"]: one["sources"] for one in listed} == {
        "Lock is not released": ["r.a", "r.b"], "new": ["r.sum"],
    }  # fmt: skip
    (kept,) = (one for one in listed if one["title"] != "new")
    assert (kept["detail"], kept["variants"]) == (inner[0]["detail"], inner[0]["variants"])


@pytest.mark.long
@pytest.mark.timeout(60)
def test_thousands_of_contrary_findings_take_no_time() -> None:
    many = [(f"r.{n}", found(verdict=f"w{n}", title="One")) for n in range(3000)]
    many += [(f"r.{n}", {"subject": "one", "text": str(n), "verdict": n}) for n in range(3000)]
    listed = merged(*many)
    assert len(listed) == 6000
    assert max(len(one["contradicts"]) for one in listed) == 16
