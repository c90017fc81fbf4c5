"""The candidates of a choice as they stand: results, scores, costs, replays, what judges say."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wfledger.core import promotion as rules
from wfledger.core.choice import Ballot, Tally, read_ballot, tally
from wfledger.core.control import Promotion
from wfledger.core.documents import Result, Task
from wfledger.core.graph import Standing
from wfledger.core.promotion import Contender, Finished, Replay, Score, read_score
from wfledger.core.statuses import Status
from wfledger.run.controllers.moves import Scene
from wfledger.run.refnames import keep_ref
from wfledger.run.reuse.earlier import worked_for
from wfledger.store.entries import Entry

_BRANCHES = frozenset({"branch_set"})


@dataclass(frozen=True)
class Candidate:
    """One candidate; *result* is None where it ended without success."""

    id: str
    entry: Entry | None
    result: Result | None

    @property
    def task(self) -> Task | None:
        """Its document."""
        return self.entry.task if self.entry is not None else None

    @property
    def succeeded(self) -> bool:
        """Whether it may be chosen: one that had nothing to change has made nothing."""
        return self.result is not None and self.result.status == "succeeded"

    @property
    def status(self) -> str:
        """How it has ended."""
        if self.result is not None:
            return self.result.status
        is_cancelled = self.entry is not None and self.entry.status is Status.CANCELLED
        return "cancelled" if is_cancelled and not self._is_superseded else "failed"

    @property
    def _is_superseded(self) -> bool:
        """Whether it had failed, and was given up with the choice."""
        entry = self.entry
        return entry is not None and Standing.of(entry.task, entry.status).is_superseded

    def finished(self) -> Finished:
        """Return what a proposal is made from."""
        control = self.task.spec.control if self.task is not None else None
        kind: rules.NodeKind = "leaf"
        if control is not None:
            kind = "branch" if control.kind in _BRANCHES else "control"
        usage = self.result.usage if self.result is not None else None
        hits = usage.cache_read if usage is not None else None
        return Finished(
            self.id, kind, self.status, tokens=usage.tokens if usage is not None else None,
            cost_microusd=rules.microusd(usage), memo_hits=int(bool(hits)) + self._reused(),
            text=self.text,
        )  # fmt: skip

    def _reused(self) -> int:
        return int(self.result is not None and self.result.reused is not None)

    @property
    def text(self) -> str:
        """What it says of itself, or why it failed."""
        if self.result is not None:
            return self.result.summary
        if self.task is None:
            return ""
        if self._is_superseded and self.task.attempts:
            return self.task.attempts[-1].message
        return self.task.block.reason if self.task.block is not None else ""


@dataclass(frozen=True)
class Candidates:
    """All of one choice, in the order declared."""

    scene: Scene
    every: tuple[Candidate, ...]
    #: Replays that other inputs and judges recorded, and what was wrong with some.
    replays: tuple[Replay, ...] = ()
    troubles: tuple[str, ...] = ()
    ballots: tuple[Ballot, ...] | None = None
    #: What people, judges and replays may call them -> the candidate.
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, scene: Scene) -> "Candidates":
        """Read where everything stands."""
        ledger, control = scene.workspace.ledger, scene.control
        every = tuple(
            Candidate(name, ledger.find(name), _with_cost(scene, name)) for name in control.members
        )
        names = _names(scene)
        judges = scene.state.facts.get("judges")
        others = [name for name in scene.task.spec.inputs if name not in control.members]
        replays, troubles = _replays(scene, [*others, *(judges or ())], names)
        ballots = None if judges is None else tuple(_ballot(scene, one, names) for one in judges)
        return cls(scene, every, replays, troubles, ballots, names)

    # -- what is compared --------------------------------------------------------------------------

    @property
    def policy(self) -> Promotion:
        """Which of them is to be chosen."""
        return self.scene.control.promotion or Promotion()

    @property
    def succeeded(self) -> list[str]:
        """Those that may be chosen."""
        return [one.id for one in self.every if one.succeeded]

    @property
    def are_enough(self) -> bool:
        """Whether there is anything to judge."""
        return len(self.succeeded) >= max(1, self.policy.min_successful_branches or 0)

    def named(self, text: str) -> str | None:
        """Return the candidate that *text* names, if it may be chosen."""
        name = self.names.get(text)
        return name if name in self.succeeded else None

    def tally(self) -> Tally | None:
        """Return what the judges say; None where the plan has none."""
        if self.ballots is None:
            return None
        return tally(self.ballots, self.succeeded)

    def contenders(self, said: Tally | None) -> list[Contender]:
        """Return them as they compare: with the judges' scores, or their own where none judges."""
        return [
            Contender(one.id, one.succeeded, self._score(one, said),
                      rules.microusd(one.result.usage if one.result else None))
            for one in self.every
        ]  # fmt: skip

    def _score(self, one: Candidate, said: Tally | None) -> Score | None:
        if said is not None:
            return said.scores.get(one.id)
        own = one.result.outputs.get("score") if one.result is not None else None
        return read_score(own) or 0

    def refused(self) -> dict[str, str]:
        """Return what the gate has against whom; without any replay it has not been asked."""
        if not self.replays and not self.troubles:
            return {}
        gate = self.policy.promotion_gate
        decided = (rules.gate(gate, name, self.replays) for name in self.succeeded)
        return {one.candidate: "; ".join(one.reasons) for one in decided if not one.promoted}

    # -- what is reported --------------------------------------------------------------------------

    def listed(self) -> list[dict[str, Any]]:
        """Return each with where its result is and the command that shows it."""
        said = self.tally()
        found = {one.id: one for one in self.contenders(said)}
        return [self._listed(one, found[one.id]) for one in self.every]

    def _listed(self, one: Candidate, contender: Contender) -> dict[str, Any]:
        entry: dict[str, Any] = {"task": one.id, "status": one.status}
        known = {"score": contender.score, "cost_microusd": contender.cost_microusd}
        entry |= {name: value for name, value in known.items() if value is not None}
        landed = one.task.landed if one.task is not None else None
        attempts = one.task.attempts if one.task is not None else ()
        if landed is not None and landed.how == "kept":
            entry |= {"ref": landed.target, "commit": landed.commit}
        elif attempts and attempts[-1].kept is not None:
            entry |= {"ref": keep_ref(one.id, attempts[-1].number), "commit": attempts[-1].kept}
        if "ref" in entry:
            entry["command"] = f"wfledger diff {one.id}"
        return entry

    def spoken(self) -> dict[str, Any] | None:
        """Return what the judges have said, as the record of the choice has it."""
        counted = self.tally()
        if counted is None:
            return None
        return {
            "spoke": counted.spoke, "against": counted.against, "votes": dict(counted.votes),
            "scores": dict(counted.scores), "abstained": dict(counted.abstained),
        }  # fmt: skip

    def report(self, winner: str | None) -> dict[str, Any]:
        """Return candidates, proposals and frontier as the outputs of the review have them."""
        frontier = rules.frontier(self.contenders(self.tally()))
        found: dict[str, Any] = {
            "candidates": self.listed(),
            "proposals": [self._proposed(one, winner) for one in self.every],
            "frontier": [one.id for one in frontier],
        }
        if self.troubles:
            found["troubles"] = list(self.troubles)
        return found

    def _proposed(self, one: Candidate, winner: str | None) -> dict[str, Any]:
        made = rules.proposal(self.scene.task.id, one.finished()).as_json()
        if self.replays or self.troubles:
            decision = rules.gate(self.policy.promotion_gate, one.id, self.replays)
            made |= {"status": "promoted" if decision.promoted else "rejected"}
            made["gate"] = decision.as_json()
        elif winner is not None:
            made["status"] = "accepted" if one.id == winner else "rejected"
        return made

    def outputs(self, winner: str | None) -> dict[str, Any]:
        """Return the winner's outputs, which are the review's as well."""
        chosen = next((one.result for one in self.every if one.id == winner), None)
        return dict(chosen.outputs) if chosen is not None else {}

    def over(self) -> tuple[str, ...]:
        """Return what has failed of candidates and judges: after the choice it counts no more."""
        judges = self.scene.state.facts.get("every_judge", ())
        failed = [one.id for one in self.every if one.result is None]
        failed += [name for name in judges if self.scene.result(name) is None]
        return tuple(failed)


def _names(scene: Scene) -> dict[str, str]:
    """Return every name of a candidate: its id, that in the plan, and that of its proposal."""
    prefix, members = f"{scene.run.id}.", scene.control.members
    lasts = Counter(member.rpartition(".")[2] for member in members)
    names: dict[str, str] = {}
    for member in members:
        last = member.rpartition(".")[2]
        names |= {last: member} if lasts[last] == 1 else {}
        names[f"{scene.task.id}:{member}"] = member
    return names | {name.removeprefix(prefix): name for name in members} | {n: n for n in members}


def _with_cost(scene: Scene, name: str) -> Result | None:
    """Return the result of a candidate; a reused one with what it has cost before."""
    result = scene.result(name)
    return None if result is None else worked_for(scene.workspace, result)


def _as_said(result: Result | None, names: Mapping[str, str]) -> Mapping[str, str]:
    """Return *names* with those of the run that a reused result is from (WFL-REUSE-001)."""
    if result is None or result.reused is None:
        return names
    run = result.reused.task.partition(".")[0]
    members = set(names.values())
    return {**{f"{run}.{one.partition('.')[2]}": one for one in members}, **names}


def _ballot(scene: Scene, judge: str, names: Mapping[str, str]) -> Ballot:
    """Return what a judge says; a dead one abstains."""
    result = scene.result(judge)
    if result is not None:
        names = _as_said(result, names)
        replayed, _ = _replays(scene, [judge], names)
        scores = {one.candidate: one.measured.score for one in replayed}
        # Who has replayed the candidates has scored them by that.
        return read_ballot(judge, {"scores": scores, **result.outputs}, names)
    dead = Candidate(judge, scene.workspace.ledger.find(judge), None)
    return Ballot(judge, abstains=dead.text or "it was given up")


def _replays(
    scene: Scene, sources: list[str], names: Mapping[str, str]
) -> tuple[tuple[Replay, ...], tuple[str, ...]]:
    """Return the replays that results of *sources* record, in order, and what is wrong with some.

    No candidate is a source: nobody measures himself.
    """
    found: list[Replay] = []
    troubles: list[str] = []
    for source in sources:
        result = scene.result(source)
        given = result.outputs.get("replays") if result is not None else None
        for one in given if isinstance(given, list) else ():
            read, known = rules.read_replay(one), _as_said(result, names)
            if isinstance(read, str):
                troubles.append(f"{source}: {read}")
            elif read.candidate not in known:
                troubles.append(f"{source}: {read.candidate} is no candidate")
            else:
                found.append(replace(read, candidate=known[read.candidate]))
    return tuple(found), tuple(troubles)
