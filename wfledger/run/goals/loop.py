"""Draft, ask, run, judge, and again with what is missing, until one of the reasons to stop.

Each step is saved before the next begins. A run is found again by its name, so none is submitted
twice, and going on with it repeats nothing that is done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from wfledger.core import goals
from wfledger.core.documents import Run
from wfledger.core.goals import Stop
from wfledger.core.statuses import Status
from wfledger.core.usage import Budget
from wfledger.errors import NotFoundError
from wfledger.plans.budgets import Allowance
from wfledger.plans.checking import check_text
from wfledger.plans.compiling import Plan
from wfledger.plans.printing import to_yaml
from wfledger.run.attempts.nesting import nest
from wfledger.run.goals import judging
from wfledger.run.goals.asking import Asker, NoAnswerError
from wfledger.run.goals.drafting import Draft, Order, draft
from wfledger.run.goals.state import Goal, GoalRound, Place
from wfledger.run.goals.surroundings import describe
from wfledger.run.looks.naming import find_run
from wfledger.run.money.raising import raise_run, with_budget
from wfledger.run.people import cancel
from wfledger.run.session import Outcome, reopen
from wfledger.run.submit import Submission, submit
from wfledger.run.workspace import Workspace
from wfledger.vcs.contents import Contents

#: The least that a round's plan may be allowed, so that it is a plan at all.
_LEAST_USD: Final = 0.01


class Host(Protocol):
    """Who shows things to people and runs what they have agreed to."""

    def confirm(self, plan: Plan, path: Path) -> None:
        """Show a plan, and return when a person says yes; raises `UnconfirmedError`."""

    def drive(self, run: Run, is_over: Callable[[], bool]) -> Outcome:
        """Work on a run until its verdict, or until *is_over*, with its work kept."""

    def tell(self, text: str) -> None:
        """Say what happens."""


@dataclass(frozen=True)
class Ended:
    """Where a goal stands when nothing more is done for it now."""

    goal: Goal
    #: None where somebody interrupted it.
    stop: Stop | None
    spent: "Money"
    #: Why, where that is not said by the stop itself.
    reason: str = ""
    #: What its last run needs of people.
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Money:
    """Dollars that are known of, and whether there are others."""

    usd: float
    is_all: bool

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `goal --json` prints: no number where there may be more."""
        return {"usd": round(self.usd, 6) if self.is_all else None, "known_usd": round(self.usd, 6)}


class Pursuit:
    """One process's work on a goal. Hold `Place.alone` meanwhile."""

    def __init__(self, workspace: Workspace, goal: Goal, asker: Asker, host: Host) -> None:
        self._workspace, self._asker, self._host = workspace, asker, host
        self._place = Place(workspace, goal.id)
        self.goal = goal
        self._before_s = goal.elapsed_s
        self._before_usd, self._before_unpriced = goal.asked_usd, goal.unpriced
        self._began = workspace.clock.elapsed()

    def pursue(self) -> Ended:
        """Work until a reason to stop; raises what asking, confirming and submitting raise.

        What a worker may not start is refused before a model is asked (WFL-AUTH-006).
        """
        nest(self._workspace, (), Budget(usd=self.goal.usd))
        self._save(stop=None)
        while True:
            stop = self._decide()
            if stop is not None:
                return self._end(stop)
            ended = self._round(self._open_round())
            if ended is not None:
                return ended

    def _decide(self) -> Stop | None:
        over = [one.as_round() for one in self.goal.rounds if one.is_over]
        used = goals.Used(self.spent().usd, self._elapsed())
        return goals.decide(over, used, self.goal.limits)

    def _round(self, one: GoalRound) -> Ended | None:
        """Bring a round to its end; None where that is what it came to."""
        run = self._run_of(one)
        if run is None:
            plan = self._plan(one)
            if isinstance(plan, Ended):
                return plan
            run = self._submit(one, plan)
        one = self._update(one.but(run=run.id))
        run = self._funded(reopen(self._workspace, run))
        outcome = self._host.drive(run, self._is_late)
        codes = tuple(dict.fromkeys(need.code for need in outcome.needs))
        if self._is_late() and outcome.verdict.state != "succeeded":
            return self._end(Stop.TIME, outcome=outcome)
        if outcome.interrupted:
            self._save()
            return Ended(self.goal, None, self.spent(), outcome=outcome)
        if goals.SPENT in codes:
            return self._end(Stop.BUDGET, outcome=outcome)
        if goals.wants_person(codes):
            return self._end(Stop.BLOCKED, outcome=outcome)
        return self._judge(one, outcome, codes)

    # -- a round ---------------------------------------------------------------------------------

    def _open_round(self) -> GoalRound:
        """Return the round that is under way, or begin the next one where the last ended."""
        rounds = self.goal.rounds
        if rounds and not rounds[-1].is_over:
            return rounds[-1]
        base = self._tip(rounds[-1]) if rounds else self.goal.since
        return self._update(GoalRound(number=len(rounds) + 1, base=base))

    def _tip(self, one: GoalRound) -> str:
        """Return the commit that a round's run has come to."""
        run = self._run_of(one)
        return (self._workspace.repo.tip(run.branch) if run else None) or one.base

    def _run_of(self, one: GoalRound) -> Run | None:
        """Return the round's run, also one that a crash kept from being noted."""
        try:
            return find_run(self._workspace, one.run or self._name(one))
        except NotFoundError:
            return None

    def _name(self, one: GoalRound) -> str:
        return f"goal-{self.goal.id}-{one.number}"

    def _plan(self, one: GoalRound) -> Plan | Ended:
        """Return the round's plan, as it stands in its file; draft it where there is none yet."""
        path = self._place.plan(one.number)
        if not path.exists():
            self._host.tell(f"round {one.number}: asking {self._asker.model} for a plan")
            try:
                found = self._draft(one)
            except NoAnswerError as error:
                mended = f" ({error.hint})" if error.hint else ""
                return self._end(Stop.BLOCKED, f"there is no plan: {error.message}{mended}")
            self._place.write_plan(one.number, self._text(found))
            self._save()
        checked = check_text(path.read_bytes(), str(path))
        if checked.plan is None:
            said = f"{checked.errors[0].message}; mend {path}, or remove it for another draft"
            return self._end(Stop.BLOCKED, f"the plan of round {one.number} needs a hand: {said}")
        return checked.plan

    def _draft(self, one: GoalRound) -> Draft:
        goal, fleet = self.goal, self._workspace.fleet()
        contents = Contents(self._workspace.repo, self._workspace.repo.tree_of(one.base))
        order = Order(
            goal=goal.text, around=describe(contents, fleet), role=goal.role,
            max_tasks=goal.max_tasks, verify=goal.verify, so_far=self._so_far(),
        )  # fmt: skip
        return draft(self._asker, order, fleet)

    def _so_far(self) -> str:
        over = [one for one in self.goal.rounds if one.is_over]
        if not over:
            return ""
        last = over[-1]
        missing = "\n".join(f"- {text}" for text in last.missing) or "- nobody could say"
        done = judging.results(self._workspace, last.run) if last.run else ""
        return f"{len(over)} rounds. The last:\n{done}\n\nStill missing:\n{missing}"

    def _text(self, found: Draft) -> str:
        said = f"Drafted by {self._asker.model} for a goal; nothing of it was started yet."
        problems = "".join(f"\nIt cannot be run: {one}" for one in found.problems)
        return to_yaml(found.document, comment=said + problems)

    def _funded(self, run: Run) -> Run:
        """Let a run use what is left of the goal's money; it may have been raised since.

        Not one that a worker has started: what it may use was decided with that. Time is kept by
        `Host.drive`: a run's own would go on while nobody works on the goal.
        """
        if self._workspace.within is not None:
            return run
        own = self._workspace.spending.look().of_runs({run.id}).usd
        allowed = self._allowance(own)
        return run if allowed is None else raise_run(self._workspace, run.id, allowed)

    def _allowance(self, own_usd: float = 0.0) -> Allowance | None:
        """Return what is left of the money, for a run that has used *own_usd* of it already."""
        if self.goal.usd is None:
            return None
        left = max(self.goal.usd - self.spent().usd + own_usd, _LEAST_USD)
        return Allowance(Budget(usd=round(left, 4)))

    def _submit(self, one: GoalRound, plan: Plan) -> Run:
        path = self._place.plan(one.number)
        plan = with_budget(plan, self._allowance())
        self._host.confirm(plan, path)
        self._give_up_leftovers(one)
        return submit(self._workspace, Submission(
            plan=plan, text=path.read_text("utf-8"), source=str(path), name=self._name(one),
            target=self.goal.target, role=self.goal.role, base=one.base,
        ))  # fmt: skip

    def _give_up_leftovers(self, one: GoalRound) -> None:
        """Cancel what the round before left undone: this one is planned in its place."""
        before = self._run_of(self.goal.rounds[-2]) if one.number > 1 else None
        for status in (Status.BLOCKED, Status.WAITING) if before else ():
            for name in self._workspace.ledger.names(status, run=before.id if before else None):
                cancel(self._workspace, name, reason=f"round {one.number} takes its place")

    def _judge(self, one: GoalRound, outcome: Outcome, codes: tuple[str, ...]) -> Ended | None:
        """Judge a round and end it; it stays open where all is done and nobody could judge."""
        run, repo = outcome.run, self._workspace.repo
        tip = repo.tip(run.branch) or one.base
        self._host.tell(f"round {one.number}: asking {self._asker.model} for a verdict")
        case = judging.Case(self.goal.text, run.id, self.goal.since, tip)
        found = judging.judge(self._asker, self._workspace, case)
        is_done = outcome.verdict.state == "succeeded"
        if is_done and found.reached is None:
            return self._end(Stop.BLOCKED, f"nobody could judge: {found.reason}", outcome)
        failed = () if is_done else judging.failures(self._workspace, run.id)
        self._update(one.but(
            run=run.id, is_over=True, before=repo.tree_of(one.base), after=repo.tree_of(tip),
            is_done=is_done, codes=codes, reached=found.reached, reason=found.reason,
            missing=tuple(dict.fromkeys((*found.missing, *failed))),
        ))  # fmt: skip
        self._host.tell(_verdict_text(self.goal.rounds[-1]))
        return None

    # -- accounts --------------------------------------------------------------------------------

    def spent(self) -> Money:
        """Return what all rounds have cost: drafts, verdicts and attempts."""
        runs = {one.run for one in self.goal.rounds if one.run}
        attempts = self._workspace.spending.look().of_runs(runs)
        asked = self._asked()
        return Money(asked.usd + attempts.usd, asked.is_all and not attempts.unpriced)

    def _asked(self) -> Money:
        meter = self._asker.meter
        unpriced = self._before_unpriced or meter.usd is None
        return Money(self._before_usd + (meter.usd or 0.0), not unpriced)

    def _elapsed(self) -> float:
        return self._before_s + self._workspace.clock.elapsed() - self._began

    def _is_late(self) -> bool:
        return self.goal.time_s is not None and self._elapsed() >= self.goal.time_s

    def _end(self, stop: Stop, reason: str = "", outcome: Outcome | None = None) -> Ended:
        self._save(stop=stop.value)
        return Ended(self.goal, stop, self.spent(), reason, outcome)

    def _update(self, one: GoalRound) -> GoalRound:
        others = [each for each in self.goal.rounds if each.number != one.number]
        self._save(rounds=tuple(sorted([*others, one], key=lambda each: each.number)))
        return one

    def _save(self, **changes: Any) -> None:
        asked = self._asked()
        self.goal = self.goal.but(
            asked_usd=asked.usd, unpriced=not asked.is_all, elapsed_s=self._elapsed(), **changes
        )
        self._place.save(self.goal)


def _verdict_text(one: GoalRound) -> str:
    if one.reached is None:
        return f"round {one.number}: nobody could judge: {one.reason}"
    said = "reached" if one.reached else "not reached"
    missing = [f"  missing: {text}" for text in one.missing]
    return "\n".join([f"round {one.number}: {said}", *missing])
