"""Asking whether a condition holds, and which items a source yields (spec 91).

An expression is worked out at once. A command and a judge are tasks of their own, which the
controller starts first (`questions`) and then asks for their verdict. What cannot be decided is
asked of a person, and an answer counts for the asking it was given for and no other.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.control import Condition
from wfledger.core.documents import Limits, TaskSpec
from wfledger.core.ids import child_id
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.core.verification import is_pass
from wfledger.plans.nodes.placeholders import fill_command, fill_text
from wfledger.run.controllers.evaluating import Trouble, Worth, work_out
from wfledger.run.controllers.lifting import LISTED
from wfledger.run.controllers.moves import Scene, Stop
from wfledger.run.controllers.recorded import list_of, truth_of, variables_for
from wfledger.run.controllers.saying import asking, yes_or_no
from wfledger.run.controllers.saying import said as answered

_SOURCE: Final = "source"
_LIST: Final = "answer with a JSON list of items"
_REASON_CHARS: Final = 1000
_HOW: Final = """## How you answer

Change nothing. Write to the file named by $WFLEDGER_RESULT_FILE:
{"status": "succeeded", "summary": "WHY", "outputs": {"verdict": "passed"}}, with "failed" in place
of "passed" when the answer is no."""


def asked_id(scene: Scene, step: str | int) -> str:
    """Return the id of the task that answers the condition of *scene* at *step*."""
    return child_id(scene.task.id, f"{step}.asks")


def questions(
    scene: Scene, step: str | int, *, about: Iterable[str] = ()
) -> tuple[tuple[str, TaskSpec], ...]:
    """Return the task that is to be done before the condition is asked; none for an expression.

    A probe's exit status answers, and a judge's `outputs.verdict`. It is given the results of
    *about*, as far as there are any. Raises `PlanError` where a placeholder cannot be filled in.
    """
    condition = _condition(scene)
    if condition.expression is not None:
        return ()
    given = tuple(dict.fromkeys(name for name in about if scene.result(name) is not None))
    inputs = given[: bounds.TASK_EDGES]
    common: dict[str, Any] = {
        "title": f"whether {scene.task.id} is answered yes", "agent_type": "verifier",
        "after": inputs, "inputs": inputs, "limits": Limits(wall_s=condition.timeout_s),
        "on_failure": "skip_continue", "priority": scene.task.spec.priority,
        "env": scene.task.spec.env, "network": scene.task.spec.network,
    }  # fmt: skip
    values = dict(scene.control.values)
    if scene.control.kind == "loop_until":
        values["round"] = scene.state.step
    if condition.command is not None:
        command = fill_command(condition.command, values)
        return ((asked_id(scene, step), TaskSpec(command=command, probe=True, **common)),)
    prompt = f"{fill_text(condition.prompt or '', values)}\n\n{_HOW}"
    return ((asked_id(scene, step), TaskSpec(prompt=prompt, role=condition.role, **common)),)


def answer(
    scene: Scene, step: str | int, nodes: Mapping[str, str], **values: Any
) -> bool | Stop | None:
    """Return whether the condition of *scene* holds at *step*; None: its judge abstains.

    *nodes*: name in the plan -> task, besides those that the controller knows; *values*: `round`,
    `item`, `index`. A `Stop` asks a person; its state must be kept, for the answer is found by it.
    """
    said = answered(scene, str(step))
    if said is not None:
        verdict, _ = yes_or_no(said)
        return _again(scene, step, said, "yes or no") if verdict is None else verdict
    condition = _condition(scene)
    if condition.expression is None:
        return _verdict(scene, step, condition)
    found = _work_out(scene, condition.expression, nodes, values)
    if isinstance(found, Trouble):
        return _stop(scene, str(step), condition.expression, found)
    truth = truth_of(found.value)
    if truth is None:
        shown = clean_line(json.dumps(found.value, ensure_ascii=False), 200)
        neither = Trouble("expression", f"it is neither true nor false, but {shown}")
        return _stop(scene, str(step), condition.expression, neither)
    return truth


def items(scene: Scene, nodes: Mapping[str, str], **values: Any) -> list[Any] | Stop:
    """Return the items that the source of *scene* yields, in its order."""
    source = scene.control.source or ""
    said = answered(scene, _SOURCE)
    if said is not None:
        given = _listed(said)
        return _again(scene, _SOURCE, said, "a JSON list") if given is None else given
    found = _work_out(scene, source, nodes, values)
    if isinstance(found, Trouble):
        return _stop(scene, _SOURCE, source, found)
    listed = list_of(found.value)
    if listed is None:
        trouble = Trouble("expression", "it is neither a list nor a result with one list")
        return _stop(scene, _SOURCE, source, trouble)
    return listed


def unfit(scene: Scene, why: str, facts: Mapping[str, Any]) -> Stop:
    """Return the question to a person for items that cannot be begun: for other ones."""
    state = asking(scene, _SOURCE)
    kept = {name: value for name, value in state.facts.items() if name not in LISTED}
    return Stop(
        "expression", clean_line(f"{why}; {_LIST}", _REASON_CHARS), facts=facts,
        command=f"wfledger answer {scene.task.id} '[\"ITEM\"]'", state=state.but(facts=kept),
    )  # fmt: skip


def undecided(scene: Scene, step: str | int, why: str) -> Stop:
    """Return the question to a person for a condition whose judge gave no answer at *step*."""
    return _stop(scene, str(step), "its condition", Trouble("unresolved", why))


def _condition(scene: Scene) -> Condition:
    if scene.control.condition is None:
        raise AssertionError(f"{scene.task.id} asks nothing")
    return scene.control.condition


def _work_out(
    scene: Scene, text: str, nodes: Mapping[str, str], values: Mapping[str, Any]
) -> Worth | Trouble:
    known = {**scene.control.outer, **nodes}
    seen = {**scene.control.values, **values}
    variables = variables_for(scene.workspace, scene.run, text, nodes=known, values=seen)
    return work_out(scene.workspace, text, variables)


def _verdict(scene: Scene, step: str | int, condition: Condition) -> bool | Stop | None:
    """Return what the task that was asked has come to; a judge that is dead says nothing."""
    task_id = asked_id(scene, step)
    result = scene.result(task_id)
    verdict = result.outputs.get("verdict") if result is not None else None
    if verdict is not None:
        return is_pass(verdict)
    if condition.command is None:
        return None
    entry = scene.workspace.ledger.find(task_id)
    block = entry.task.block if entry and entry.status is Status.BLOCKED else None
    why = block.reason if block is not None else "it is gone"
    shown = condition.command
    text = shown if isinstance(shown, str) else shlex.join(shown)
    return _stop(scene, str(step), text, Trouble("unresolved", f"it gave no answer: {why}"))


# -- people --------------------------------------------------------------------------------------


def _stop(scene: Scene, step: str, text: str, trouble: Trouble) -> Stop:
    """Ask a person in place of *text*, which cannot be decided."""
    wanted = "yes" if step != _SOURCE else "'[\"ITEM\"]'"
    how = "answer yes or no in its place" if step != _SOURCE else _LIST
    return Stop(
        code="question" if trouble.kind == "unresolved" else "expression",
        reason=clean_line(f"`{text}` cannot be decided: {trouble.reason}; {how}", _REASON_CHARS),
        command=f"wfledger answer {scene.task.id} {wanted}",
        state=asking(scene, step),
    )


def _again(scene: Scene, step: str | int, said: str, wanted: str) -> Stop:
    shown = clean_line(said, 100)
    trouble = Trouble("unresolved", f"the answer must be {wanted}, and was {shown}")
    return _stop(scene, str(step), "the question", trouble)


def _listed(said: str) -> list[Any] | None:
    try:
        given = json.loads(said)
    except ValueError:
        return None
    return given if isinstance(given, list) else None
