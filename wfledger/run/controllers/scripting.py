"""Scripts: run from their start each time one of their tasks ends, with what was delivered so far.

What was delivered, and in which order, is recorded before the script hears of it, so that after a
crash it hears the same again, asks for the same, and finds the tasks that it began by the numbers
of its calls (WFL-CTRL-091 to 095). A script that asks for something else stops.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.control import ControlState
from wfledger.core.documents import Result, Task
from wfledger.core.graph import Standing
from wfledger.core.ids import child_id
from wfledger.core.records import canonical, canonical_json
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.errors import NotFoundError
from wfledger.plans.frontends import scriptcalls
from wfledger.plans.frontends.routing import JAVASCRIPT
from wfledger.plans.frontends.script_options import OptionError
from wfledger.plans.frontends.scripts import (
    Begins,
    Delivery,
    MissingExtraError,
    Past,
    Played,
    Script,
    require,
)
from wfledger.run.controllers import playing
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop, Wait

#: Tasks of one script that are begun and not settled.
LIVE: Final = 16
#: Lines of what it said that its state keeps, and its result.
_SHOWN: Final = 20
_KEPT: Final = 200
_LINE_CHARS: Final = 200
_WHY_BYTES: Final = 120
#: Bytes of what it may return.
_VALUE_BYTES: Final = bounds.RESULT_BYTES // 2
_SLUG_CHARS: Final = 24
#: Bytes of its task beyond which it begins nothing more.
_RECORD_BYTES: Final = bounds.TASK_BYTES - 16 * 1024
#: In the record of an end: there was no task, for no plan could hold it.
_REFUSED: Final = "!admission"


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
        command = f"{error.hint} && wfledger retry {scene.task.id}"
        return Stop("missing_extra", error.message, command=command)
    course = _Course(scene)
    if course.changed is not None:
        return Stop("replay_diverged", course.changed, command=_again(scene))
    told = playing.play(scene.workspace, course.script, course.past)
    return _fitting(scene, _next(course, told))


def _begun(scene: Scene) -> ControlState:
    budget = scene.run.budget
    total = budget.tokens if budget is not None else None
    return ControlState(any_of=True, facts={"total": total, "calls": [], "order": []})


# -- what was delivered ----------------------------------------------------------------------------


def _delivered(scene: Scene) -> Move:
    """Record the ends of tasks that have ended since, in the order of their numbers."""
    state = scene.state
    numbers = {task_id: number for number, task_id in _Course(scene).ids.items()}
    ended = [line for one in state.on if (line := _ending(scene, numbers[one], one)) is not None]
    if not ended:
        return Wait("none of its tasks has ended")
    facts = {**state.facts, "order": [*state.facts["order"], *ended]}
    noun = "task has" if len(ended) == 1 else "tasks have"
    return Note(state.but(on=(), facts=facts), f"{len(ended)} of its {noun} ended")


def _ending(scene: Scene, number: int, task_id: str) -> str | None:
    """Return the record of the end of a task; None while it has not come to one.

    Raises `NotFoundError` for what is gone: that is no end of it, and nothing is recorded for good.
    """
    entry = scene.workspace.ledger.get(task_id)
    standing = Standing.of(entry.task, entry.status)
    used = _tokens(scene, entry.task)
    if standing.status is Status.DONE:
        result = scene.result(task_id)
        if result is None:
            raise NotFoundError(f"{task_id} is done, and its result is gone", task=task_id)
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
    return _short(f"{task.id} ({task.block.code}): {task.block.reason}")


def _short(why: str) -> str:
    """Return *why* for a record that has room for a thousand of them."""
    return clean_line(why, _WHY_BYTES).encode()[:_WHY_BYTES].decode("utf-8", "ignore")


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

    @property
    def _lines(self) -> Sequence[str]:
        found: Sequence[str] = self.scene.state.facts["order"]
        return found

    @cached_property
    def ids(self) -> dict[int, str]:
        """The task of each call that was begun, by its number; one that was refused has none."""
        state = self.scene.state
        heads = [line.split(" ", 2) for line in self._lines]
        refused = {int(head[0]) for head in heads if head[1] == _REFUSED}
        numbers = [number for number in range(1, state.step + 1) if number not in refused]
        return dict(zip(numbers, state.exits, strict=True))

    @cached_property
    def _told(self) -> tuple[tuple[Delivery, ...], str | None]:
        found = []
        for line in self._lines:
            one = self._delivery(line)
            if isinstance(one, str):
                return (), one
            found.append(one)
        return tuple(found), None

    @property
    def changed(self) -> str | None:
        """Say which result is not what the script was told before; None where all of them are."""
        return self._told[1]

    @property
    def live(self) -> tuple[str, ...]:
        """Its tasks that have not ended, as far as it knows."""
        over = {one.call for one in self._told[0]}
        return tuple(task_id for number, task_id in self.ids.items() if number not in over)

    @property
    def failed(self) -> tuple[str, ...]:
        """Its tasks without a result."""
        failed = {one.call for one in self._told[0] if one.result is None}
        return tuple(task_id for number, task_id in self.ids.items() if number in failed)

    @property
    def script(self) -> Script:
        """What is run."""
        control = self.scene.control
        return Script(control.script or "", control.args, self.scene.state.facts["total"])

    @property
    def past(self) -> Past:
        """What it is run with."""
        state = self.scene.state
        return Past(self._told[0], state.facts["calls"], state.step, LIVE - len(self.live))

    def _delivery(self, line: str) -> Delivery | str:
        number, how, *rest = line.split(" ", 3)
        call = int(number)
        if how.startswith("!"):
            return Delivery(call, int(rest[0]), None, how[1:], rest[1])
        task_id = self.ids[call]
        result = self.scene.workspace.ledger.result(task_id, int(how))
        envelope = None if result is None else _envelope(result)
        if envelope is None or _digest(envelope) != rest[0]:
            return f"the result of {task_id}, attempt {how}, is not what the script was given"
        return Delivery(call, int(rest[1]), envelope)


# -- what comes next -------------------------------------------------------------------------------


def _next(course: _Course, told: Played) -> Move:
    if told.state == "diverged":
        reason = f"the script does not do what it did before: {told.message}"
        return Stop("replay_diverged", reason, command=_again(course.scene))
    state = _noted(course, told)
    has_failed = told.state in {"threw", "stuck"}
    if told.begins and not has_failed:
        return _start(course, told, state)
    if course.live:
        return Note(state.but(on=course.live), f"it waits for {len(course.live)} of its tasks")
    if has_failed:
        reason = clean_line(f"the script failed: {told.message}", 1000)
        return Stop("script", reason, command=_again(course.scene), state=state)
    return _decide(course, told, state)


def _again(scene: Scene) -> str | None:
    """Return the call that runs the script anew with the results that it has; None for `retry`.

    To try this one again is to hear the same again.
    """
    source, args = scene.run.plan_source, scene.control.args
    given = "" if args is None else f" --args {shlex.quote(json.dumps(args))}"
    if source is None or not source.endswith(JAVASCRIPT) or len(given) > _LINE_CHARS:
        return None
    return f"wfledger run {shlex.quote(source)} --reuse {scene.run.id}{given}"


def _noted(course: _Course, told: Played) -> ControlState:
    state = course.scene.state
    said = [clean_line(line, _LINE_CHARS) for line in told.log[-_SHOWN:]]
    # One that was ended from outside has said nothing of what it asked for.
    calls = max(list(told.digests), state.facts["calls"], key=len)
    facts = {**state.facts, "calls": calls, "log": said}
    return state.but(facts=facts)


def _start(course: _Course, told: Played, state: ControlState) -> Start | Note:
    """Begin the calls that may; what no plan could hold is refused, which is recorded first."""
    owner, tasks, refused = course.scene.task, [], []
    for one in told.begins:
        try:
            spec = scriptcalls.compiled(one.asked).but(priority=owner.spec.priority)
        except OptionError as error:
            refused.append(f"{one.number} {_REFUSED} 0 {_short(str(error))}")
        else:
            tasks.append((_id(owner.id, one), spec))
    ids = tuple(task_id for task_id, _ in tasks)
    facts = {**state.facts, "order": [*state.facts["order"], *refused]}
    begun = state.but(
        step=state.step + len(told.begins), exits=(*state.exits, *ids), facts=facts,
        on=() if refused else (*course.live, *ids),
    )  # fmt: skip
    why = f"calls {told.begins[0].number} to {told.begins[-1].number}"
    return Start(tasks, begun, why) if tasks else Note(begun, f"{why} are refused")


def _fitting(scene: Scene, move: Move) -> Move:
    """Return *move*, or the end of a script whose record would be longer than a task may be."""
    state = getattr(move, "state", None)
    if state is None or len(canonical(scene.task.next(control=state))) <= _RECORD_BYTES:
        return move
    return Stop("script", "the script has asked for more than can be recorded of it")


def _id(owner: str, one: Begins) -> str:
    """Return the id of a call: its number, which says all, and its label for people."""
    slug = re.sub(r"[^a-z0-9_]+", "-", one.asked.label.lower())[:_SLUG_CHARS].strip("-_")
    # A label may be the name of a device, which no part of an id is.
    return child_id(owner, f"{one.number}-{slug}" if slug else str(one.number))


def _decide(course: _Course, told: Played, state: ControlState) -> Move:
    size = len(canonical_json(told.value))
    if size > _VALUE_BYTES:
        reason = f"the script returns {size} bytes; at most {_VALUE_BYTES}"
        return Stop("script", reason, state=state)
    failed = set(course.failed)
    statuses = {one: "missing" if one in failed else "succeeded" for one in course.ids.values()}
    outputs = {"value": told.value, "tasks": statuses, "log": list(_last(told.log))}
    summary = _summary(told.value, len(statuses) - len(failed), len(statuses))
    return Decide(summary=summary, outputs=outputs, missing=course.failed, state=state)


def _last(log: Sequence[str]) -> Iterator[str]:
    return (clean_line(line, _LINE_CHARS) for line in log[-_KEPT:])


def _summary(value: Any, done: int, total: int) -> str:
    """Say what a script returned: its own summary, or what fits of the rest."""
    counted = f"{done} of {total} tasks done"
    said = value.get("summary") if isinstance(value, dict) else value
    if not isinstance(said, str):
        said = None if value is None else f"returned {json.dumps(value, ensure_ascii=False)}"
    return clean_line(f"{counted}; {said}" if said else counted, bounds.SUMMARY_CHARS)
