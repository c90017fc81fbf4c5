"""The rules of choosing: proposals, the gate over replays, tournament, frontier."""

from typing import Any

import pytest

from wfledger.core.control import PromotionGate
from wfledger.core.promotion import (
    Contender,
    Finished,
    Measured,
    Replay,
    cut,
    frontier,
    gate,
    proposal,
    read_replay,
    tournament,
)

BASE = Measured(10, 100)


def replay(score: int = 12, cost: int = 100, **fields: Any) -> Replay:
    return Replay("c", BASE, Measured(score, cost), **fields)


@pytest.mark.requirement("WFL-CTRL-071")
@pytest.mark.parametrize(
    ("kind", "status", "hits", "wanted"),
    [
        ("branch", "succeeded", 1, "cache_policy_patch"),
        ("branch", "failed", 1, "cache_policy_patch"),
        ("branch", "succeeded", 0, "workflow_recipe"),
        ("branch", "failed", 0, "branch_heuristic"),
        ("leaf", "failed", 1, "regression_test"),
        ("leaf", "failed", 0, "regression_test"),
        ("leaf", "succeeded", 1, "cache_policy_patch"),
        ("leaf", "succeeded", 0, "note"),
        ("leaf", "cancelled", 0, "note"),
        ("control", "failed", 1, "authoring_prompt_patch"),
    ],
)
def test_kind_of_a_proposal(kind: Any, status: str, hits: int, wanted: str) -> None:
    made = proposal("r.rev", Finished("r.a", kind, status, memo_hits=hits))
    assert (made.id, made.source, made.kind) == ("r.rev:r.a", "r.a", wanted)
    assert made.as_json()["status"] == "proposed"


def test_evidence_in_order_with_long_text_cut() -> None:
    finished = Finished(
        "r.a", "leaf", "succeeded", tokens=7, cost_microusd=90, memo_hits=2, text="x" * 241
    )
    assert proposal("r.rev", finished).evidence == (
        "status: succeeded", "tokens: 7, cost: 90 microusd", "memo hits: 2", "x" * 239 + "...",
    )  # fmt: skip
    assert proposal("r.rev", Finished("r.a", "leaf", "failed")).evidence == ("status: failed",)
    assert cut("y" * 240) == "y" * 240


@pytest.mark.requirement("WFL-CTRL-072")
def test_gate_gives_its_reasons_in_order() -> None:
    terms = PromotionGate(max_cost_delta_microusd=5)
    last = replay(
        10, 110, tests=(("t1", False), ("t2", True), ("t3", False)), violations=("net", "fs"),
        stale=True,
    )  # fmt: skip
    decision = gate(terms, "c", [replay(), last])
    assert decision.reasons == (
        "score delta 0 is below 1", "cost delta 10 microusd is above 5",
        "required test t1 failed", "required test t3 failed",
        "policy violation: net", "policy violation: fs", "the replay is stale",
    )  # fmt: skip
    assert (decision.score_delta, decision.cost_delta_microusd, decision.promoted) == (0, 10, False)


@pytest.mark.parametrize(
    ("terms", "last", "promoted"),
    [
        (PromotionGate(), replay(11), True),
        (PromotionGate(), replay(10), False),
        (PromotionGate(min_score_delta=-1), replay(9), True),
        (PromotionGate(), replay(cost=10**9), True),
        (PromotionGate(max_cost_delta_microusd=0), replay(cost=100), True),
        (PromotionGate(max_cost_delta_microusd=0), replay(cost=101), False),
        (PromotionGate(require_all_tests_pass=False), replay(tests=(("t", False),)), True),
        (PromotionGate(reject_policy_violations=False), replay(violations=("v",)), True),
        (PromotionGate(reject_stale_replay=False), replay(stale=True), True),
    ],
)
def test_gate_by_its_terms(terms: PromotionGate, last: Replay, promoted: bool) -> None:
    assert gate(terms, "c", [last]).promoted is promoted


def test_last_replay_counts_and_one_of_another_candidate_does_not() -> None:
    assert gate(PromotionGate(), "c", [replay(0), replay(20)]).promoted
    assert not gate(PromotionGate(), "c", [replay(20), replay(0)]).promoted
    alone = gate(PromotionGate(), "d", [replay(20)])
    assert alone.reasons == ("no replay of it is recorded",)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (3, "an object"), ({}, "candidate_id"), ({"candidate_id": "c"}, "baseline"),
        ({"candidate_id": "c", "baseline": {"score": 1.5}, "candidate": {"score": 1}}, "baseline"),
        ({"candidate_id": "c", "baseline": {"score": 1}, "candidate": {"score": 1},
          "required_tests": ["t"]}, "required test"),
        ({"candidate_id": "c", "baseline": {"score": 1}, "candidate": {"score": 1},
          "policy_violations": "v"}, "lists"),
    ],
)  # fmt: skip
def test_replay_that_cannot_be_read_says_why(given: Any, problem: str) -> None:
    assert problem in str(read_replay(given))


def test_replay_is_read_as_the_original_writes_it() -> None:
    given = {
        "trace_id": "t", "candidate_id": "c", "baseline": {"score": 1, "cost_microusd": 2},
        "candidate": {"score": 3, "cost_microusd": 4},
        "required_tests": [{"name": "a", "passed": True}, {"name": "b"}],
        "policy_violations": ["v"], "stale": True,
    }  # fmt: skip
    assert read_replay(given) == Replay(
        "c", Measured(1, 2), Measured(3, 4), (("a", True), ("b", False)), ("v",), stale=True
    )


def one(name: str, score: float | None, cost: int | None, *, succeeded: bool = True) -> Contender:
    return Contender(name, succeeded, score, cost)


@pytest.mark.requirement("WFL-CTRL-073")
@pytest.mark.parametrize(
    ("contenders", "by_cost", "by_score"),
    [
        ([one("a", 5, 10), one("b", 9, 20)], "a", "b"),
        ([one("a", 5, 10), one("b", 6, 10)], "b", "b"),
        ([one("a", 5, 10), one("b", 5, 10)], "a", "a"),
        ([one("a", 5, 10), one("b", 5, 9)], "b", "b"),
        ([one("a", 9, 1, succeeded=False), one("b", 5, 9)], "b", "b"),
        ([one("a", 5, None), one("b", 1, 10**9)], "b", "a"),
        ([one("a", None, 0), one("b", 0, 5)], "b", "b"),
        ([one("a", -1, 0)], None, None),
        ([], None, None),
    ],
)
def test_tournament(
    contenders: list[Contender], by_cost: str | None, by_score: str | None
) -> None:
    first = tournament(contenders)
    second = tournament(contenders, ordering="score_then_cost")
    assert (first.id if first else None, second.id if second else None) == (by_cost, by_score)


def test_tournament_wants_the_least_score() -> None:
    both = [one("a", 4, 1), one("b", 5, 9)]
    best = tournament(both, min_score=5)
    assert best is not None
    assert best.id == "b"
    assert tournament(both, min_score=6) is None


@pytest.mark.requirement("WFL-CTRL-074")
def test_frontier_holds_who_is_beaten_by_nobody() -> None:
    listed = [
        one("cheap", 1, 1), one("good", 9, 50), one("worse", 8, 60), one("twin", 9, 50),
        one("failed", 99, 0, succeeded=False), one("unknown", 9, None),
    ]  # fmt: skip
    assert [each.id for each in frontier(listed)] == ["good", "twin", "cheap"]
    assert [each.id for each in frontier(listed, most=0)] == ["good"]
    line = [one(str(n), n, n) for n in range(12)]
    assert [each.id for each in frontier(line)] == [str(n) for n in range(11, 3, -1)]
