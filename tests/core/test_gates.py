"""Gates: where one stands after each outcome, and what a look finds."""

from typing import Any

import pytest

from wfledger.core.control import GateTerms, Handoff
from wfledger.core.documents import Block, Result
from wfledger.core.gates import GateState, Outcome, Seen, after, look
from wfledger.core.statuses import Status


def terms(on_fail: str = "block", **fields: Any) -> GateTerms:
    return GateTerms(**({"role": "builder", "gate": "review", "on_fail": on_fail} | fields))


P, F, H = "pass", "fail", "human_approve"


@pytest.mark.requirement("WFL-CTRL-040")
@pytest.mark.parametrize(
    ("state", "attempt", "on_fail", "outcome", "expected"),
    [
        ("pending", 0, "block", P, ("passed", 0)),
        ("pending", 0, "block", F, ("blocked", 0)),
        ("pending", 0, "escalate", F, ("escalated", 0)),
        ("pending", 0, "retry", F, ("retrying", 1)),
        ("retrying", 1, "retry", F, ("retrying", 2)),
        ("retrying", 2, "retry", F, ("escalated", 2)),
        ("retrying", 2, "retry", P, ("passed", 2)),
        ("retrying", 1, "retry", H, ("passed", 1)),
        ("blocked", 0, "block", P, ("blocked", 0)),
        ("blocked", 0, "block", F, ("blocked", 0)),
        ("blocked", 0, "block", H, ("passed", 0)),
        ("escalated", 2, "retry", P, ("escalated", 2)),
        ("escalated", 2, "retry", F, ("escalated", 2)),
        ("escalated", 2, "retry", H, ("passed", 2)),
        ("pending", 0, "block", H, ("passed", 0)),
        ("passed", 1, "retry", F, ("passed", 1)),
    ],
)
def test_state_follows_from_the_outcome_alone(
    state: Any, attempt: int, on_fail: str, outcome: Any, expected: tuple[str, int]
) -> None:
    stands = after(GateState(state, attempt), Outcome(outcome), terms(on_fail, max_retries=2))
    assert (stands.state, stands.attempt) == expected


@pytest.mark.requirement("WFL-CTRL-040")
@pytest.mark.parametrize("most", [0, 1, 3])
def test_work_is_sent_back_so_often_and_then_it_is_a_persons_turn(most: int) -> None:
    stands, seen = GateState(), []
    for _ in range(most + 2):
        stands = after(stands, Outcome("fail"), terms("retry", max_retries=most))
        seen.append((stands.state, stands.attempt))
    again = [("retrying", number) for number in range(1, most + 1)]
    assert seen == [*again, ("escalated", most), ("escalated", most)][: most + 2]


@pytest.mark.requirement("WFL-CTRL-041")
@pytest.mark.parametrize("state", ["pending", "retrying", "blocked", "escalated", "passed"])
def test_only_a_gate_that_has_passed_is_open(state: Any) -> None:
    assert GateState(state).blocks is (state != "passed")


def done(**fields: Any) -> Seen:
    result = Result(**({"task": "r1.a", "attempt": 1, "status": "succeeded"} | fields))
    return Seen("r1.a", Status.DONE, result)


FAILED = Seen("r1.a", Status.BLOCKED, None, Block(code="task", reason="exit 1", command="x"))


@pytest.mark.requirement("WFL-CTRL-042")
@pytest.mark.parametrize(
    ("gate", "seen", "reason"),
    [
        ("verify", done(), None),
        ("verify", done(status="no_change"), None),
        ("verify", done(outputs={"verdict": "failed"}), None),
        ("verify", done(status="failed", summary="half of it"), "it has failed: half of it"),
        ("verify", done(checks=({"name": "lint", "outcome": "passed"},)), None),
        ("verify", done(checks=({"name": "lint", "outcome": "failed"},)), "lint did not pass"),
        ("verify", done(checks=({"name": "lint", "ok": False},)), "lint did not pass"),
        ("verify", FAILED, "has not succeeded: exit 1"),
        ("review", done(outputs={"verdict": "pass"}), None),
        ("review", done(outputs={"verdict": True}), None),
        ("review", done(outputs={"verdict": "no"}, summary="too slow"), "r1.a says no: too slow"),
        ("review", done(), None),
        ("review", done(findings=({"message": "a leak"},)), "r1.a: a leak"),
        ("review", FAILED, "has not succeeded: exit 1"),
        ("approve", done(outputs={"verdict": "no"}), None),
        ("approve", FAILED, None),
    ],
)
def test_what_a_look_finds(gate: str, seen: Seen, reason: str | None) -> None:
    found = look(terms(gate=gate), [seen])
    if reason is None:
        assert found == ()
    else:
        assert len(found) == 1
        assert reason in found[0]


@pytest.mark.requirement("WFL-CTRL-042")
def test_verdict_must_be_given_where_that_is_asked_for() -> None:
    strict = terms(require_explicit_verdict=True)
    assert look(strict, [done()]) == ("r1.a gives no verdict",)
    assert look(strict, [done(outputs={"verdict": "yes"})]) == ()


@pytest.mark.requirement("WFL-CTRL-042")
@pytest.mark.parametrize("gate", ["verify", "review", "approve"])
def test_what_must_have_been_handed_over_is_asked_of_all_of_them_together(gate: str) -> None:
    wants = terms(gate=gate, artifact_kind="notes")
    notes = done(handoffs=(Handoff(to_role="writer", kind="notes"),))
    other = done(handoffs=(Handoff(to_role="writer", kind="plan"),))
    assert look(wants, [done(), notes]) == ()
    assert look(wants, [done(), other]) == ("no notes was handed over",)


@pytest.mark.requirement("WFL-CTRL-042")
def test_role_that_nobody_has_played_does_not_pass() -> None:
    assert look(terms(), []) == ("nobody has played the role",)
    assert look(terms(on="role_start"), []) == ()


def test_reasons_are_bounded() -> None:
    found = look(terms("retry"), [FAILED] * 40)
    assert len(found) == 33
    assert found[-1] == "and 8 more"
