"""What judges say of candidates, and the choice that is made of it (spec 92, "Choice").

Pure. A judge that is dead, or says nothing that can be counted, abstains; where none has spoken,
a person is asked, for silence is no vote.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wfledger.core.control import Condition, Control, Promotion
from wfledger.core.documents import TaskSpec
from wfledger.core.promotion import Contender, Score, read_score, tournament
from wfledger.core.verification import is_pass

# -- judges --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ballot:
    """What one judge says. It abstains where it gives neither scores nor a choice nor a no."""

    judge: str
    scores: Mapping[str, Score] = field(default_factory=dict)
    selected: str | None = None
    #: None of them is fit.
    refuses: bool = False
    #: Why it counts for nothing.
    abstains: str | None = None


def read_ballot(judge: str, outputs: Mapping[str, Any], names: Mapping[str, str]) -> Ballot:
    """Return the ballot in a judge's outputs; *names* leads from what it may say to candidates."""
    given = outputs.get("scores")
    scores = {
        names[name]: score for name, value in given.items()
        if name in names and (score := read_score(value)) is not None
    } if isinstance(given, Mapping) else {}  # fmt: skip
    chosen = outputs.get("selected")
    selected = names.get(chosen) if isinstance(chosen, str) else None
    verdict = outputs.get("verdict")
    refuses = verdict is not None and not is_pass(verdict)
    if scores or selected is not None or refuses:
        return Ballot(judge, scores, None if refuses else selected, refuses)
    stranger = f"it has selected {chosen!r}, which is none of them" if chosen is not None else None
    return Ballot(judge, abstains=stranger or "it gives neither scores nor a choice")


@dataclass(frozen=True)
class Tally:
    """What the judges say together."""

    #: Candidate -> the middle of its scores, the lower of two.
    scores: Mapping[str, Score] = field(default_factory=dict)
    #: Candidate -> judges that chose it.
    votes: Mapping[str, int] = field(default_factory=dict)
    #: Judges that find none fit.
    against: int = 0
    spoke: int = 0
    #: Judge -> why it counts for nothing.
    abstained: Mapping[str, str] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether more than half of those that spoke find none fit."""
        return 2 * self.against > self.spoke


def tally(ballots: Sequence[Ballot], order: Sequence[str]) -> Tally:
    """Count *ballots* on the candidates *order*.

    A judge that gives scores and names nobody votes for its best, the first of equals.
    """
    spoke = [one for one in ballots if one.abstains is None]
    scores: dict[str, Score] = {}
    votes: dict[str, int] = {}
    for name in order:
        given = sorted(one.scores[name] for one in spoke if name in one.scores)
        if given:
            scores[name] = given[(len(given) - 1) // 2]
    for one in spoke:
        choice = _choice(one, order)
        if choice is not None:
            votes[choice] = votes.get(choice, 0) + 1
    silent = {one.judge: one.abstains for one in ballots if one.abstains is not None}
    against = sum(1 for one in spoke if one.refuses)
    return Tally(scores, votes, against, len(spoke), silent)


def _choice(ballot: Ballot, order: Sequence[str]) -> str | None:
    if ballot.refuses or ballot.selected is not None:
        return ballot.selected
    scored = [name for name in order if name in ballot.scores]
    return max(scored, key=lambda name: ballot.scores[name]) if scored else None


# -- the choice ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """What came of a choice: a winner, or why there is none, or that a person is asked."""

    winner: str | None
    reason: str
    asks: bool = False
    #: Nothing is held back and nobody has to be chosen, so that none is a choice as well.
    agreed: bool = False

    @property
    def holds(self) -> bool:
        """Whether anything follows from it."""
        return self.winner is not None or self.agreed


def choose(
    policy: Promotion, contenders: Sequence[Contender], said: Tally | None,
    refused: Mapping[str, str],
) -> Choice:  # fmt: skip
    """Choose among *contenders*, in the order declared.

    *said* is None where the plan has no judges; *refused* says what the gate has against whom.
    """
    count = sum(1 for one in contenders if one.succeeded)
    wanted = policy.min_successful_branches or 0
    if count < wanted:
        return Choice(None, f"{count} of {len(contenders)} succeeded, {wanted} must")
    if policy.strategy == "all":
        return _all(policy, said, count, len(contenders))
    if count == 0:
        return Choice(None, f"none of {len(contenders)} candidates succeeded")
    fit = [one for one in contenders if one.succeeded and one.id not in refused]
    if not fit:
        return Choice(None, "; ".join(f"{name}: {why}" for name, why in refused.items()))
    return _unspoken(policy, said) or _picked(policy, fit, said)


def _unspoken(policy: Promotion, said: Tally | None) -> Choice | None:
    """Return what follows where no judge has spoken that should have, or they refuse."""
    needed = policy.require_teacher_review or policy.strategy == "teacher_selected"
    if (said is None and needed) or (said is not None and said.spoke == 0):
        why = "the plan has no judge" if said is None else "no judge has spoken"
        return Choice(None, why, asks=True)
    if said is not None and said.refused:
        return Choice(None, f"{said.against} of {said.spoke} judges find none of them fit")
    return None


def _all(policy: Promotion, said: Tally | None, succeeded: int, total: int) -> Choice:
    if policy.require_teacher_review and (said is None or said.spoke == 0):
        return Choice(None, "the policy wants a review, and no judge has spoken", asks=True)
    if said is not None and said.refused:
        return Choice(None, f"{said.against} of {said.spoke} judges refuse")
    return Choice(None, f"{succeeded} of {total} candidates succeeded", agreed=True)


def _picked(policy: Promotion, fit: Sequence[Contender], said: Tally | None) -> Choice:
    if policy.strategy == "first_success":
        return Choice(fit[0].id, "the first that succeeded")
    if policy.strategy == "teacher_selected" or (said is not None and not said.scores):
        return _elected(fit, said or Tally())
    ordering = policy.ordering
    best = tournament(fit, min_score=policy.min_score, ordering=ordering)
    if best is None:
        return Choice(None, f"no candidate has a score of {policy.min_score} or more")
    return Choice(best.id, f"score {best.score}, by {ordering.replace('_', ' ')}")


def _elected(fit: Sequence[Contender], said: Tally) -> Choice:
    """Return the one with most votes, of equals that with the highest score, then the first."""
    chosen = [one for one in fit if said.votes.get(one.id)]
    if not chosen:
        return Choice(None, "no judge has chosen a candidate that may be taken", asks=True)
    best = max(chosen, key=lambda one: (said.votes[one.id], said.scores.get(one.id, -math.inf)))
    return Choice(best.id, f"{said.votes[best.id]} of {said.spoke} judges chose it")


# -- best of several -----------------------------------------------------------------------------


@dataclass(frozen=True)
class BestOf:
    """One piece of work done several times: each try by the name it has, and the choice."""

    tries: Mapping[str, TaskSpec]
    review: TaskSpec


def best_of(
    name: str, spec: TaskSpec, count: int, *, policy: Promotion | None = None,
    judges: Sequence[Condition] = (),
) -> BestOf:  # fmt: skip
    """Return *count* tries of the work *name* and the choice among them, which takes its name.

    The tries are kept and hold nothing; the choice lands the winner's change and holds what they
    may write. People look at the winner alone. Without a policy judges choose, and where there are
    none the best score by itself.
    """
    policy = policy or Promotion(strategy="teacher_selected" if judges else "best_score")
    names = tuple(f"{name}.try{number}" for number in range(1, count + 1))
    held = name if spec.writes else None
    control = Control(
        kind="teacher_review", members=names, promotion=policy, judges=tuple(judges)
    )
    review = TaskSpec(
        title=spec.title, control=control, plays=spec.plays, after=names, inputs=names,
        write=spec.write, contracts=spec.contracts, on_failure=spec.on_failure,
        priority=spec.priority, retry=spec.retry, limits=spec.limits, env=spec.env,
        depth=spec.depth, allow_no_change=True,
        verify=tuple(check for check in spec.verify if held and check.kind == "manual"),
    )  # fmt: skip
    # Whoever waits for the work waits for the choice; a try that fails is one candidate less.
    checks = tuple(check for check in spec.verify if check not in review.verify)
    one = spec.but(candidate_of=held, on_failure="skip_continue", verify=checks)
    return BestOf(dict.fromkeys(names, one), review)
