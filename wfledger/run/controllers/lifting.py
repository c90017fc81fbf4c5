"""What a person's decision on a blocked controller changes in its state (WFL-CTRL-015)."""

from typing import Any, Final

from wfledger.clock import iso
from wfledger.core.control import ControlState
from wfledger.core.documents import Task
from wfledger.core.looping import allowed_rounds
from wfledger.run.workspace import Workspace

#: Blocks of controllers that no answer lifts.
ASKS_NOTHING: Final = frozenset(
    {"undone", "control_error", "script", "replay_diverged", "missing_extra"}
)
#: What was asked for and has to be asked again, by someone else: facts of `choosing`.
_ASKED: Final = ("questioned", "asked")
#: What a source came to, where nothing was begun with it: facts of `spreading`.
LISTED: Final = ("items", "kept", "sha256", "values")


def retried(workspace: Workspace, task: Task, *, has_more: bool = False) -> dict[str, Any]:
    """Return what a retry changes in a task's document besides: of a controller, its state.

    A loop may have as many rounds, as much money and as much time again; where it *has_more* by
    its new budget, what it has used counts on.
    """
    control, state = task.spec.control, task.control or ControlState()
    if control is None:
        return {}
    facts = {name: value for name, value in state.facts.items() if name != "accepted"}
    if control.kind == "loop_until":
        facts = _more_rounds(workspace, task, facts, has_more=has_more)
    elif control.kind == "cond" and "arm" not in facts:
        facts = {name: value for name, value in facts.items() if name not in _ASKED}
        facts["turn"] = state.facts.get("turn", 1) + 1
        state = state.but(on=())
    elif control.kind == "expand" and state.step == 0:
        facts = {name: value for name, value in facts.items() if name not in LISTED}
    return {"control": state.but(facts=facts)}


def _more_rounds(
    workspace: Workspace, task: Task, facts: dict[str, Any], *, has_more: bool
) -> dict[str, Any]:
    control, state = task.spec.control, task.control
    stop = facts.pop("stop", None)
    if stop is None or control is None or state is None:
        return facts
    if stop["reason"] in {"iterations", "failed"}:
        facts["allowed"] = state.step + allowed_rounds(control.bound)
    if not has_more:
        facts["since"] = iso(workspace.clock.now())
        facts["spent"] = dict(vars(workspace.spending.look().of_task(task.id)))
    return facts


def has_result(task: Task) -> bool:
    """Whether the landing of a result that a controller has chosen was refused (WFL-CTRL-067)."""
    return task.block is not None and task.block.facts.get("head") is not None


def accepted(task: Task) -> dict[str, Any]:
    """Return what changes in the document of a controller that goes on as it is."""
    state = task.control or ControlState()
    return {"control": state.but(facts={**state.facts, "accepted": True})}
