"""What judges say, and the choice that is made of it."""

from typing import Any

import pytest

from wfledger.core.choice import Ballot, Tally, best_of, choose, read_ballot, tally
from wfledger.core.control import Condition, Promotion
from wfledger.core.documents import Check, TaskSpec
from wfledger.core.promotion import Contender

NAMES = {"a": "r.a", "b": "r.b", "r.a": "r.a", "r.b": "r.b"}
ORDER = ["r.a", "r.b"]


@pytest.mark.requirement("WFL-CTRL-068")
@pytest.mark.parametrize(
    ("outputs", "wanted"),
    [
        ({"selected": "b"}, Ballot("j", selected="r.b")),
        ({"scores": {"a": 3, "r.b": 7.5}}, Ballot("j", {"r.a": 3, "r.b": 7.5})),
        ({"verdict": "failed"}, Ballot("j", refuses=True)),
        ({"verdict": "failed", "selected": "a"}, Ballot("j", refuses=True)),
        ({"verdict": "passed", "selected": "a"}, Ballot("j", selected="r.a")),
    ],
)
def test_ballot_is_read(outputs: dict[str, Any], wanted: Ballot) -> None:
    assert read_ballot("j", outputs, NAMES) == wanted


@pytest.mark.parametrize(
    "outputs",
    [{}, {"verdict": "passed"}, {"scores": {"z": 1}}, {"scores": {"a": "high"}}, {"scores": 3},
     {"scores": {"a": True}}, {"scores": {"a": float("nan")}}, {"selected": "z"},
     {"selected": 3}],
)  # fmt: skip
def test_judge_that_says_nothing_of_use_abstains(outputs: dict[str, Any]) -> None:
    ballot = read_ballot("j", outputs, NAMES)
    assert ballot.abstains
    counted = tally([ballot], ORDER)
    assert (counted.spoke, counted.votes, list(counted.abstained)) == (0, {}, ["j"])


def test_middle_score_counts_and_the_lower_of_two() -> None:
    ballots = [Ballot(str(n), {"r.a": score}) for n, score in enumerate((1, 90, 3))]
    assert tally(ballots, ORDER).scores == {"r.a": 3}
    assert tally(ballots[:2], ORDER).scores == {"r.a": 1}


def test_who_names_nobody_votes_for_his_best() -> None:
    ballots = [Ballot("1", {"r.a": 2, "r.b": 5}), Ballot("2", {"r.a": 5, "r.b": 5})]
    assert tally(ballots, ORDER).votes == {"r.b": 1, "r.a": 1}


def three(*failed: str) -> list[Contender]:
    own = {"r.a": 1, "r.b": 7, "r.c": 7}
    return [Contender(name, name not in failed, score) for name, score in own.items()]


def said(**fields: Any) -> Tally:
    return Tally(**({"spoke": 2} | fields))


PICK: dict[str, Any] = {"strategy": "teacher_selected"}
BEST: dict[str, Any] = {"strategy": "best_score"}
FIRST: dict[str, Any] = {"strategy": "first_success"}


@pytest.mark.requirement("WFL-CTRL-069")
@pytest.mark.parametrize(
    ("policy", "contenders", "votes", "winner"),
    [
        (FIRST, three(), None, "r.a"),
        (FIRST, three("r.a"), None, "r.b"),
        (BEST, three(), None, "r.b"),
        (BEST | {"min_score": 8}, three(), None, None),
        (BEST, three(), said(votes={"r.a": 2}), "r.a"),
        (PICK, three(), said(votes={"r.a": 1, "r.c": 1}, scores={"r.c": 5}), "r.c"),
        (PICK, three(), said(votes={"r.b": 1, "r.c": 1}), "r.b"),
        (PICK, three("r.a"), said(votes={"r.a": 2, "r.c": 1}), "r.c"),
        (FIRST, three("r.a", "r.b", "r.c"), None, None),
        (FIRST | {"min_successful_branches": 3}, three("r.c"), None, None),
        (FIRST | {"min_successful_branches": 2}, three("r.c"), None, "r.a"),
        (PICK, three(), said(against=2), None),
        (PICK, three(), said(against=1, votes={"r.a": 1}), "r.a"),
    ],
)
def test_choice(
    policy: dict[str, Any], contenders: list[Contender], votes: Tally | None, winner: str | None
) -> None:
    made = choose(Promotion(**policy), contenders, votes, {})
    assert (made.winner, made.asks) == (winner, False)


@pytest.mark.requirement("WFL-CTRL-070")
@pytest.mark.parametrize(
    ("policy", "votes"),
    [
        (PICK, None), (PICK, Tally()), (BEST, Tally()), (FIRST, Tally()),
        (FIRST | {"require_teacher_review": True}, None), (PICK, said()),
        ({"require_teacher_review": True}, None), ({"require_teacher_review": True}, Tally()),
    ],
)  # fmt: skip
def test_person_is_asked_where_nobody_has_spoken(
    policy: dict[str, Any], votes: Tally | None
) -> None:
    made = choose(Promotion(**policy), three(), votes, {})
    assert (made.winner, made.asks, made.holds) == (None, True, False)


def test_who_fails_the_gate_is_not_chosen() -> None:
    made = choose(Promotion(**BEST), three(), None, {"r.b": "stale", "r.c": "stale"})
    assert made.winner == "r.a"
    nobody = dict.fromkeys(("r.a", "r.b", "r.c"), "stale")
    assert choose(Promotion(**BEST), three(), None, nobody).reason.startswith("r.a: stale")


def test_all_holds_nothing_back_and_counts() -> None:
    made = choose(Promotion(), three("r.c"), None, {})
    assert (made.winner, made.holds, made.reason) == (None, True, "2 of 3 candidates succeeded")
    few = choose(Promotion(min_successful_branches=3), three("r.c"), None, {})
    assert not few.holds
    assert not choose(Promotion(), three(), said(against=2), {}).holds


@pytest.mark.requirement("WFL-CTRL-067")
def test_best_of_is_tries_and_a_choice_that_takes_the_name() -> None:
    spec = TaskSpec(command="make", write=("src",), contracts=("db",), on_failure="hold", after=("p",))
    checks = (Check(kind="command", command="t"), Check(kind="manual", prompt="look"))
    spec = spec.but(verify=checks)
    judges = (Condition(prompt="which?"),)
    made = best_of("x", spec, 2, judges=judges)
    assert list(made.tries) == ["x.try1", "x.try2"]
    tried = made.tries["x.try1"]
    assert (tried.candidate_of, tried.on_failure, tried.after) == ("x", "skip_continue", ("p",))
    control = made.review.control
    assert control is not None
    assert control.promotion is not None
    assert (control.members, control.judges) == (("x.try1", "x.try2"), judges)
    assert (control.promotion.strategy, made.review.on_failure) == ("teacher_selected", "hold")
    assert (made.review.write, made.review.contracts) == (("src",), ("db",))
    assert ([one.kind for one in tried.verify], [one.kind for one in made.review.verify]) == (
        ["command"], ["manual"],
    )  # fmt: skip
    reader = best_of("x", TaskSpec(command="look"), 2)
    assert {one.candidate_of for one in reader.tries.values()} == {None}
    assert reader.review.control is not None
    assert reader.review.control.promotion is not None
    assert reader.review.control.promotion.strategy == "best_score"
