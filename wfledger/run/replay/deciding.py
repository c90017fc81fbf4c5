"""Takes one controller through all of its steps again, and compares with what is recorded.

It is asked as it was at first, by its own kind's function (`controllers.driving`), and what it
answers is applied to its state in memory alone. People are no part of that: their recorded answers
are given where it asks, and what they lifted is lifted.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.core.control import ControlState
from wfledger.core.documents import Result, Run, Task, TaskSpec
from wfledger.core.keys import spec_digest
from wfledger.core.statuses import Status
from wfledger.run.attempts.handed import landed_result
from wfledger.run.controllers import driving
from wfledger.run.controllers.lifting import retried
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop, Wait
from wfledger.run.replay.then import ThenClock, settled_at
from wfledger.run.workspace import Workspace

#: Steps of one controller; the bounds of rounds and gates are far below.
_STEPS: Final = 10_000
#: Facts that say when and how often a person was asked, and not what was decided.
_OF_PEOPLE: Final = frozenset({"since", "spent", "asked", "heard", "accepted", "allowed", "turn"})
#: What a person allows a loop anew; recorded, and never worked out.
_ALLOWED: Final = ("allowed", "since", "spent")


@dataclass(frozen=True)
class Divergence:
    """One decision that comes out otherwise, or whose record is missing."""

    task: str
    #: The kind of controller, or `task`.
    kind: str
    message: str
    recorded: Any = None
    now: Any = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `replay --json` prints."""
        return {
            "task": self.task, "kind": self.kind, "status": "replay_diverged",
            "message": self.message, "recorded": self.recorded, "now": self.now,
        }  # fmt: skip


@dataclass
class Replayed:
    """What became of one controller."""

    #: Answers that it gave: notes, beginnings, and its end.
    decisions: int = 0
    divergences: list[Divergence] = field(default_factory=list)


@dataclass
class Replay:
    """One controller, as it goes on in memory."""

    workspace: Workspace
    clock: ThenClock
    run: Run
    #: As recorded; with another spec where the plan is another one.
    task: Task
    status: Status
    done: Replayed = field(default_factory=Replayed)

    def go(self) -> Replayed:
        """Replay it to its end, or to where something of it is still open."""
        recorded = self.task.control or ControlState()
        self.clock.reach(recorded.facts.get("since") or self.task.created)
        answers = list(self.task.answers)
        now = self.task.but(control=None, answers=(), missing=())
        for _ in range(_STEPS):
            waited = (*now.spec.after, *(now.control.on if now.control else ()))
            if not self._reach(waited) or self._was_cut_off(now):
                return self.done
            move = self._ask(now)
            self.done.decisions += 1
            if isinstance(move, Note | Start):
                if isinstance(move, Start) and not self._began(move):
                    return self.done
                now = now.but(control=move.state)
                continue
            if isinstance(move, Stop) and (lifted := self._lifted(now, move, answers)) is not None:
                now = lifted
                continue
            self._compare_end(now, move)
            return self.done
        self._diverge("it does not come to an end")
        return self.done

    def _reach(self, names: tuple[str, ...]) -> bool:
        """Go on to when all of *names* were settled; False where one is open."""
        for name in names:
            moment = settled_at(self.workspace, name)
            if moment is None:
                if self.workspace.ledger.find(name) is None:
                    self._diverge(f"there is no record of {name}")
                return False
            self.clock.reach(moment)
        return True

    def _was_cut_off(self, now: Task) -> bool:
        """Whether it came as far as *now* and was given up: what would have come next is unknown.

        That is no decision of its own, by whoever it was.
        """
        block = self.task.block
        given_up = block is not None and block.code == "dependency_cancelled"
        if self.status is not Status.CANCELLED and not given_up:
            return False
        recorded, state = (one.control or ControlState() for one in (self.task, now))
        return recorded.step == state.step and _decided(recorded) == _decided(state)

    def _ask(self, now: Task) -> Move:
        names = (*now.spec.after, *(now.control.on if now.control else ()))
        missing = tuple(name for name in names if landed_result(self.workspace, name) is None)
        return driving.ask(Scene(self.workspace, self.run, now, missing))

    # -- what is begun -----------------------------------------------------------------------------

    def _began(self, move: Start) -> bool:
        """Whether what it begins is on record, and is the same."""
        same = True
        for name, spec in move.tasks:
            entry = self.workspace.ledger.find(name)
            if entry is None:
                self._diverge(f"{move.why}: there is no record of {name}", now=name)
                same = False
            elif _work(entry.task.spec) != _work(spec):
                self._diverge(f"{move.why}: {name} was another task")
                same = False
        return same

    # -- people ------------------------------------------------------------------------------------

    def _lifted(self, now: Task, move: Stop, answers: list[str]) -> Task | None:
        """Return the controller as a person let it go on; None where it has stopped for good."""
        state = move.state or now.control or ControlState()
        recorded = self.task.control or ControlState()
        if answers:
            return now.but(control=state, answers=(*now.answers, answers.pop(0)))
        if self._is_behind(state, recorded):
            again = retried(self.workspace, now.but(control=state))
            state = again.get("control", state)
            allowed = {name: recorded.facts[name] for name in _ALLOWED if name in recorded.facts}
            if state == now.control and not allowed.items() - state.facts.items():
                return None
            return now.but(control=state.but(facts={**state.facts, **allowed}))
        if recorded.facts.get("accepted") and not state.facts.get("accepted"):
            return now.but(control=state.but(facts={**state.facts, "accepted": True}))
        return None

    def _is_behind(self, state: ControlState, recorded: ControlState) -> bool:
        """Whether it went on from here by a person's retry, as its record says."""
        if self.status is Status.BLOCKED and recorded.step <= state.step:
            return False
        turned = recorded.facts.get("turn", 1) > state.facts.get("turn", 1)
        return recorded.step > state.step or turned

    # -- the end -----------------------------------------------------------------------------------

    def _compare_end(self, now: Task, move: Wait | Decide | Stop) -> None:
        last = None if isinstance(move, Wait) else move.state
        self._compare_facts(last or now.control or ControlState())
        if isinstance(move, Decide):
            self._compare_decision(move)
        elif isinstance(move, Stop):
            self._compare_stop(move)
        elif self.status is not Status.WAITING:
            self._diverge(f"it would wait: {move.reason}", recorded=self.status.value)

    def _compare_facts(self, state: ControlState) -> None:
        recorded = self.task.control or ControlState()
        if recorded.step != state.step:
            self._diverge("it would take another number of steps", recorded.step, state.step)
        for name in sorted({*recorded.facts, *state.facts} - _OF_PEOPLE):
            before, after = recorded.facts.get(name), state.facts.get(name)
            if _plain(before) != _plain(after):
                self._diverge(f"{name} would be another", before, after)

    def _compare_decision(self, move: Decide) -> None:
        if self.status is Status.BLOCKED:
            code = self.task.block.code if self.task.block else None
            self._diverge(f"it would be decided: {move.summary}", recorded=code)
            return
        result = self._recorded_result()
        if result is None:
            if self.status is Status.DONE:
                self._diverge("the record of its decision is missing", now=move.summary)
            return
        for name, before, after in _differences(result, move):
            self._diverge(f"its {name} would be others", before, after)

    def _recorded_result(self) -> Result | None:
        if self.status in {Status.WAITING, Status.CANCELLED}:
            return None
        attempt = self.task.accepted.attempt if self.task.accepted else self.task.attempt
        return self.workspace.ledger.result(self.task.id, attempt) if attempt else None

    def _compare_stop(self, move: Stop) -> None:
        if self.status is Status.BLOCKED and self.task.block is not None:
            if self.task.block.code != move.code:
                self._diverge("it would stop otherwise", self.task.block.code, move.code)
        elif self.status is Status.DONE:
            self._diverge(f"it would stop: {move.reason}", "done", move.code)

    def _diverge(self, message: str, recorded: Any = None, now: Any = None) -> None:
        control = self.task.spec.control
        kind = control.kind if control is not None else "task"
        self.done.divergences.append(
            Divergence(self.task.id, kind, message, _plain(recorded), _plain(now))
        )


def _decided(state: ControlState) -> dict[str, Any]:
    """Return what was recorded but for what people have a part in."""
    return {name: _plain(value) for name, value in state.facts.items() if name not in _OF_PEOPLE}


def _work(spec: TaskSpec) -> tuple[str, frozenset[str], frozenset[str]]:
    return spec_digest(spec), frozenset(spec.after), frozenset(spec.inputs)


def _differences(result: Result, move: Decide) -> Iterator[tuple[str, Any, Any]]:
    pairs: Mapping[str, tuple[Any, Any]] = {
        "outputs": (result.outputs, dict(move.outputs)),
        "findings": (result.findings, [dict(one) for one in move.findings]),
        "synthesis": (
            result.synthesis and result.synthesis.model_dump(mode="json"),
            move.synthesis and move.synthesis.model_dump(mode="json"),
        ),
    }  # fmt: skip
    for name, (before, after) in pairs.items():
        if _plain(before) != _plain(after):
            yield name, before, after


def _plain(value: Any) -> Any:
    """Return *value* as JSON would bring it back."""
    return json.loads(json.dumps(value, default=str, sort_keys=True))
