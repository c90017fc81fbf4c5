"""Scripts: run from their start each time one of their tasks ends, with what was delivered so far.

What was delivered, and in which order, is recorded before the script hears of it, so that after a
crash it hears the same again, asks for the same, and finds the tasks that it began by the numbers
of its calls (WFL-CTRL-091 to 095). A script that asks for something else stops.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.control import ControlState
from wfledger.core.documents import Result, Task
from wfledger.core.graph import Standing
from wfledger.core.ids import child_id
from wfledger.core.records import canonical_json
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.plans.frontends.scripts import Delivery, MissingExtraError, Script, require
from wfledger.run.controllers import playing
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop, Wait

#: Tasks of one script that are begun and not settled.
LIVE: Final = 16
#: Lines of what it said that its state keeps, and its result.
_SHOWN: Final = 20
_KEPT: Final = 200
_LINE_CHARS: Final = 200
_WHY_CHARS: Final = 60
#: Bytes of what it may return.
_VALUE_BYTES: Final = bounds.RESULT_BYTES // 2
_SLUG_CHARS: Final = 24


def go_on(scene: Scene) -> Move:
    """Record which of its tasks have ended, or run it up to where it waits for others."""
    state = scene.state
    if not state.facts:
        return Note(_begun(scene), "it begins")
    if state.on:
        return _delivered(scene)
    try:
        require()
    except MissingExtraError as error:
        return Stop("missing_extra", error.message, command=error.hint)
    course = _Course(scene)
    if course.changed is not None:
        return Stop("replay_diverged", course.changed)
    told = playing.play(scene.workspace, scene.task, course.step)
    return _next(course, told)


def _begun(scene: Scene) -> ControlState:
    budget = scene.run.budget
    total = budget.tokens if budget is not None else None
    return ControlState(any_of=True, facts={"total": total, "calls": [], "order": []})


# -- what was delivered ----------------------------------------------------------------------------


def _delivered(scene: Scene) -> Move:
    """Record the ends of tasks that have ended since, in the order of their numbers."""
    state = scene.state
    numbers = {task_id: number for number, task_id in enumerate(state.exits, start=1)}
    ended = [line for one in state.on if (line := _ending(scene, numbers[one], one)) is not None]
    if not ended:
        return Wait("none of its tasks has ended")
    facts = {**state.facts, "order": [*state.facts["order"], *ended]}
    noun = "task has" if len(ended) == 1 else "tasks have"
    return Note(state.but(on=(), facts=facts), f"{len(ended)} of its {noun} ended")


def _ending(scene: Scene, number: int, task_id: str) -> str | None:
    """Return the record of the end of a task; None while it has not come to one."""
    entry = scene.workspace.ledger.find(task_id)
    if entry is None:
        return f"{number} !agent 0 its task is gone"
    standing = Standing.of(entry.task, entry.status)
    used = _tokens(scene, entry.task)
    if standing.status is Status.DONE:
        result = scene.result(task_id)
        if result is None:
            return f"{number} !agent {used} its result is gone"
        return f"{number} {result.attempt} {_digest(_envelope(result))} {used}"
    if not standing.failed_for_good:
        return None
    return f"{number} !{_kind(standing)} {used} {_why(entry.task, standing)}"


def _kind(standing: Standing) -> str:
    if standing.status is Status.CANCELLED:
        return "cancelled"
    return "budget" if standing.block_code == "budget" else "agent"


def _why(task: Task, standing: Standing) -> str:
    if standing.status is Status.CANCELLED or task.block is None:
        return f"{task.id} was cancelled"
    line = clean_line(f"{task.id} ({task.block.code}): {task.block.reason}", _WHY_CHARS)
    return line.encode()[: 2 * _WHY_CHARS].decode("utf-8", "ignore")


def _tokens(scene: Scene, task: Task) -> int:
    ledger = scene.workspace.ledger
    results = (ledger.result(task.id, number) for number in range(1, task.attempt + 1))
    usages = (result.usage for result in results if result is not None)
    return sum(usage.tokens or 0 for usage in usages if usage is not None)


def _envelope(result: Result) -> dict[str, Any]:
    """Return what a script may see of a result."""
    return {
        "id": result.task, "status": result.status, "summary": result.summary,
        "outputs": result.outputs, "findings": list(result.findings),
        "confidence": result.confidence, "changed": [one.path for one in result.changed],
    }  # fmt: skip


def _digest(envelope: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(envelope)).hexdigest()[:12]


# -- where it stands -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Course:
    """What is recorded of a script, read once."""

    scene: Scene

    @cached_property
    def _read(self) -> tuple[tuple[Delivery, ...], str | None]:
        found = []
        for line in self.scene.state.facts["order"]:
            one = self._delivery(line)
            if isinstance(one, str):
                return (), one
            found.append(one)
        return tuple(found), None

    @property
    def changed(self) -> str | None:
        """Say which result is not what the script was told before; None where all of them are."""
        return self._read[1]

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The ends that it was told of, in that order."""
        return self._read[0]

    @property
    def live(self) -> tuple[str, ...]:
        """Its tasks that have not ended, as far as it knows."""
        over = {one.call for one in self.deliveries}
        ids = enumerate(self.scene.state.exits, start=1)
        return tuple(task_id for number, task_id in ids if number not in over)

    @property
    def failed(self) -> tuple[str, ...]:
        """Its tasks without a result."""
        exits = self.scene.state.exits
        return tuple(exits[one.call - 1] for one in self.deliveries if one.result is None)

    @property
    def step(self) -> playing.Step:
        """What the script is run with."""
        control, facts = self.scene.control, self.scene.state.facts
        return playing.Step(
            script=Script(control.script or "", control.args, facts["total"]),
            deliveries=self.deliveries, known=facts["calls"],
            begun=len(self.scene.state.exits), room=LIVE - len(self.live),
        )  # fmt: skip

    def _delivery(self, line: str) -> Delivery | str:
        number, how, *rest = line.split(" ", 3)
        call = int(number)
        if how.startswith("!"):
            return Delivery(call, int(rest[0]), None, how[1:], f"task(): {rest[1]}")
        task_id = self.scene.state.exits[call - 1]
        result = self.scene.workspace.ledger.result(task_id, int(how))
        envelope = None if result is None else _envelope(result)
        if envelope is None or _digest(envelope) != rest[0]:
            return f"the result of {task_id}, attempt {how}, is not what the script was given"
        return Delivery(call, int(rest[1]), envelope)


# -- what comes next -------------------------------------------------------------------------------


def _next(course: _Course, told: playing.Told) -> Move:
    if told.state == "diverged":
        return Stop("replay_diverged", f"the script does not do what it did before: {told.message}")
    state = _noted(course, told)
    has_failed = told.state in {"threw", "stuck"}
    if told.begins and not has_failed:
        return _start(course, told, state)
    if course.live:
        return Note(state.but(on=course.live), f"it waits for {len(course.live)} of its tasks")
    if has_failed:
        return Stop("script", clean_line(f"the script failed: {told.message}", 1000), state=state)
    return _decide(course, told, state)


def _noted(course: _Course, told: playing.Told) -> ControlState:
    state = course.scene.state
    said = [clean_line(line, _LINE_CHARS) for line in told.log[-_SHOWN:]]
    facts = {**state.facts, "calls": list(told.digests), "log": said}
    return state.but(facts=facts)


def _start(course: _Course, told: playing.Told, state: ControlState) -> Start:
    owner = course.scene.task
    priority = owner.spec.priority
    tasks = [(_id(owner.id, one), one.spec.but(priority=priority)) for one in told.begins]
    ids = tuple(task_id for task_id, _ in tasks)
    begun = state.but(
        step=state.step + len(ids), on=(*course.live, *ids), exits=(*state.exits, *ids)
    )
    return Start(tasks, begun, f"calls {told.begins[0].number} to {told.begins[-1].number}")


def _id(owner: str, one: playing.Begun) -> str:
    """Return the id of a call: its number, which says all, and its label for people."""
    slug = re.sub(r"[^a-z0-9_]+", "-", one.label.lower())[:_SLUG_CHARS].strip("-_")
    # A label may be the name of a device, which no part of an id is.
    return child_id(owner, f"{one.number}-{slug}" if slug else str(one.number))


def _decide(course: _Course, told: playing.Told, state: ControlState) -> Move:
    size = len(canonical_json(told.value))
    if size > _VALUE_BYTES:
        reason = f"the script returns {size} bytes; at most {_VALUE_BYTES}"
        return Stop("script", reason, state=state)
    failed = set(course.failed)
    statuses = {one: "missing" if one in failed else "succeeded" for one in state.exits}
    outputs = {"value": told.value, "tasks": statuses, "log": list(_last(told.log))}
    summary = _summary(told.value, len(statuses) - len(failed), len(statuses))
    return Decide(summary=summary, outputs=outputs, missing=course.failed, state=state)


def _last(log: Sequence[str]) -> Iterator[str]:
    return (clean_line(line, _LINE_CHARS) for line in log[-_KEPT:])


def _summary(value: Any, done: int, total: int) -> str:
    said = value.get("summary") if isinstance(value, dict) else value
    counted = f"{done} of {total} tasks done"
    if not isinstance(said, str) or not said.strip():
        return counted
    return clean_line(f"{said} ({counted})", bounds.SUMMARY_CHARS)
