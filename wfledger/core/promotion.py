"""Which of several candidates is chosen, and what is proposed of all of them.

Pure: proposals of a review, the gate over replays, tournament, and Pareto frontier, by the rules of
the original's WhaleFlow (spec 92, "Choice"). Where those are defects they are not kept: a replay
counts only for the candidate that it names, an unknown candidate is an error of the plan, and a
cost that nobody knows is not zero. Judges, and what is made of all this, are in `core.choice`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from wfledger.core.control import Ordering, PromotionGate
from wfledger.core.text import clean_line
from wfledger.core.usage import Usage

#: Characters of one line of evidence; a longer one is cut to one less, and three dots.
_EVIDENCE_CHARS: Final = 240
#: Candidates of a Pareto frontier.
FRONTIER: Final = 8

#: Higher is better.
Score = float
NodeKind = Literal["branch", "leaf", "control"]
ProposalKind = Literal[
    "note", "workflow_recipe", "regression_test", "cache_policy_patch", "branch_heuristic",
    "authoring_prompt_patch",
]  # fmt: skip


# -- proposals -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """What a review sees of one of its candidates."""

    id: str
    kind: NodeKind
    #: Status of its envelope; `failed` or `cancelled` where it has none.
    status: str
    tokens: int | None = None
    cost_microusd: int | None = None
    #: Prompts that a provider had in its cache, or results that were taken over.
    memo_hits: int = 0
    text: str = ""


@dataclass(frozen=True)
class Proposal:
    """A lesson that a review proposes; it may be promoted after replay."""

    id: str
    source: str
    kind: ProposalKind
    evidence: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the shape in which a review's outputs have it."""
        return {
            "id": self.id, "source": self.source, "kind": self.kind, "status": "proposed",
            "evidence": list(self.evidence),
        }  # fmt: skip


def proposal(review: str, finished: Finished) -> Proposal:
    """Return what the review *review* proposes of one candidate."""
    kind = _proposal_kind(finished)
    return Proposal(f"{review}:{finished.id}", finished.id, kind, _evidence(finished))


def _proposal_kind(finished: Finished) -> ProposalKind:
    succeeded = finished.status in {"succeeded", "no_change"}
    if finished.kind == "control":
        return "authoring_prompt_patch"
    if finished.kind == "leaf" and finished.status == "failed":
        return "regression_test"
    if finished.memo_hits > 0:
        return "cache_policy_patch"
    if finished.kind == "leaf":
        return "note"
    return "workflow_recipe" if succeeded else "branch_heuristic"


def _evidence(finished: Finished) -> tuple[str, ...]:
    lines = [f"status: {finished.status}"]
    if finished.tokens or finished.cost_microusd:
        tokens = "unknown" if finished.tokens is None else str(finished.tokens)
        cost = "unknown" if finished.cost_microusd is None else f"{finished.cost_microusd}"
        lines.append(f"tokens: {tokens}, cost: {cost} microusd")
    if finished.memo_hits > 0:
        lines.append(f"memo hits: {finished.memo_hits}")
    if finished.text:
        lines.append(cut(finished.text))
    return tuple(lines)


def cut(text: str) -> str:
    """Return *text*, or its first 239 characters and three dots where it has more than 240."""
    if len(text) <= _EVIDENCE_CHARS:
        return text
    return f"{text[: _EVIDENCE_CHARS - 1]}..."


# -- the gate over replays -----------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """What one run of a candidate came to, or of what it is to replace."""

    score: int
    cost_microusd: int


@dataclass(frozen=True)
class Replay:
    """One replay of a candidate by a student, beside the baseline."""

    candidate: str
    baseline: Measured
    measured: Measured
    #: Names of required tests, and whether they passed.
    tests: tuple[tuple[str, bool], ...] = ()
    violations: tuple[str, ...] = ()
    stale: bool = False


@dataclass(frozen=True)
class Decision:
    """What the gate says of one candidate; no reasons: it is promoted."""

    candidate: str
    score_delta: int | None = None
    cost_delta_microusd: int | None = None
    reasons: tuple[str, ...] = ()

    @property
    def promoted(self) -> bool:
        """Whether nothing stands against it."""
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """Return the shape in which a review's outputs have it."""
        return {
            "promoted": self.promoted, "score_delta": self.score_delta,
            "cost_delta_microusd": self.cost_delta_microusd, "reasons": list(self.reasons),
        }  # fmt: skip


def gate(terms: PromotionGate, candidate: str, replays: Iterable[Replay]) -> Decision:
    """Return what the last of *replays* that names *candidate* says of it, reasons in order."""
    mine = [one for one in replays if one.candidate == candidate]
    if not mine:
        return Decision(candidate, reasons=("no replay of it is recorded",))
    last = mine[-1]
    score = last.measured.score - last.baseline.score
    cost = last.measured.cost_microusd - last.baseline.cost_microusd
    return Decision(candidate, score, cost, tuple(_objections(terms, last, score, cost)))


def _objections(terms: PromotionGate, last: Replay, score: int, cost: int) -> list[str]:
    reasons = []
    if score < terms.min_score_delta:
        reasons.append(f"score delta {score} is below {terms.min_score_delta}")
    limit = terms.max_cost_delta_microusd
    if limit is not None and cost > limit:
        reasons.append(f"cost delta {cost} microusd is above {limit}")
    if terms.require_all_tests_pass:
        reasons += [f"required test {name} failed" for name, passed in last.tests if not passed]
    if terms.reject_policy_violations:
        reasons += [f"policy violation: {said}" for said in last.violations]
    if terms.reject_stale_replay and last.stale:
        reasons.append("the replay is stale")
    return reasons


def read_replay(given: Any) -> Replay | str:
    """Return a replay as an envelope has it in `outputs.replays`, or what is wrong with it."""
    if not isinstance(given, Mapping):
        return "a replay is an object"
    name = given.get("candidate_id")
    if not isinstance(name, str):
        return "a replay names its candidate_id"
    baseline, measured = _measured(given.get("baseline")), _measured(given.get("candidate"))
    if baseline is None or measured is None:
        return f"the replay of {name} has a baseline and a candidate, each {{score, cost_microusd}}"
    tests, violations = given.get("required_tests", []), given.get("policy_violations", [])
    if not isinstance(tests, list) or not isinstance(violations, list):
        return f"required_tests and policy_violations of the replay of {name} are lists"
    named = tuple(
        (str(one.get("name", "?")), one.get("passed") is True)
        for one in tests if isinstance(one, Mapping)
    )  # fmt: skip
    if len(named) != len(tests):
        return f"each required test of the replay of {name} is {{name, passed}}"
    said = tuple(clean_line(str(one), _EVIDENCE_CHARS) for one in violations)
    stale = given.get("stale", False) is not False
    return Replay(name, baseline, measured, named, said, stale)


def _measured(given: Any) -> Measured | None:
    if not isinstance(given, Mapping):
        return None
    score, cost = _whole(given.get("score")), _whole(given.get("cost_microusd", 0))
    if score is None or cost is None or cost < 0:
        return None
    return Measured(score, cost)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# -- which is best -------------------------------------------------------------------------------


def read_score(value: Any) -> Score | None:
    """Return *value* if it counts as a score: a number that is finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Contender:
    """A candidate as it is compared with others."""

    id: str
    succeeded: bool
    #: None where nobody has scored it.
    score: Score | None = 0
    #: None where nobody knows it, which comes after every known cost.
    cost_microusd: int | None = None

    @property
    def cost(self) -> float:
        """The cost as it compares."""
        return math.inf if self.cost_microusd is None else self.cost_microusd


def tournament(
    contenders: Sequence[Contender], *, min_score: int = 0,
    ordering: Ordering = "cost_then_score",
) -> Contender | None:  # fmt: skip
    """Return the best of those that succeeded with enough score; None where none did.

    The lowest cost, then the highest score, or the other way round; then the first declared.
    """
    fit = [one for one in contenders if one.succeeded and (one.score or 0) >= min_score]
    fit = [one for one in fit if one.score is not None]
    return min(fit, key=lambda one: _order(one, ordering)) if fit else None


def _order(one: Contender, ordering: Ordering) -> tuple[float, float]:
    score = -(one.score or 0)
    return (one.cost, score) if ordering == "cost_then_score" else (score, one.cost)


def frontier(contenders: Sequence[Contender], *, most: int = FRONTIER) -> tuple[Contender, ...]:
    """Return those that no other one beats on score and cost, best score first.

    Equal ones both stay. At least one place and at most *most*.
    """
    fit = [one for one in contenders if one.succeeded and one.score is not None]
    best = [one for one in fit if not any(_dominates(other, one) for other in fit)]
    best.sort(key=lambda one: (-(one.score or 0), one.cost))
    return tuple(best[: max(1, most)])


def _dominates(other: Contender, one: Contender) -> bool:
    mine, theirs = (one.score or 0, -one.cost), (other.score or 0, -other.cost)
    return theirs != mine and theirs[0] >= mine[0] and theirs[1] >= mine[1]


# -- numbers of an envelope ----------------------------------------------------------------------


def microusd(usage: Usage | None) -> int | None:
    """Return the money of an attempt in millionths of a dollar; None where nobody knows."""
    if usage is None or usage.cost_usd is None:
        return None
    return round(usage.cost_usd * 1_000_000)
