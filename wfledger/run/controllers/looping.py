"""`loop_until`: begins round after round until its condition holds, or enough is used (spec 92)."""

from collections.abc import Sequence
from typing import Any, Final

from wfledger.clock import iso, parse_iso
from wfledger.core.documents import TaskSpec
from wfledger.core.looping import Progress, allowed_rounds, ended, spent_since
from wfledger.core.usage import Spent
from wfledger.run.controllers import asking
from wfledger.run.controllers.descent import failures_below
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop
from wfledger.run.controllers.parts import ends, given_up, noted, sum_up, unfolded

#: Rounds whose outcome the document keeps; the tasks of all of them have their own results.
_KEPT: Final = 200
#: Results of a round that the next one is given.
_HANDED_ON: Final = 32


def loop(scene: Scene) -> Move:
    """Begin a round, ask when it is over, record the answer, and begin the next one or end."""
    state = scene.state
    if "stop" in state.facts:
        return _end(scene)
    if state.facts.get("answered", 0) == state.step:
        return _begin(scene, state.step + 1)
    return _ask(scene)


# -- rounds --------------------------------------------------------------------------------------


def _begin(scene: Scene, number: int) -> Move:
    made = unfolded(scene, str(number), scene.control.body, {"round": number})
    facts = {"nodes": dict(made.nodes)}
    if number == 1:
        facts |= _beginning(scene)
    state = noted(scene, **facts).but(step=number, on=made.exits, exits=ends(made))
    tasks = _handed_on(made.tasks, _round_before(scene))
    return Start(tasks, state, why=f"begins round {number}")


def _round_before(scene: Scene) -> tuple[str, ...]:
    """Return what of the round that is over has a result, with what was asked after it."""
    nodes = scene.state.facts.get("nodes", {})
    asked = asking.asked_id(scene, _turn(scene.state.step))
    names = dict.fromkeys((*nodes.values(), asked)) if nodes else {}
    return tuple(name for name in names if scene.result(name) is not None)[:_HANDED_ON]


def _turn(number: int) -> str:
    return f"ask-{number}"


def _handed_on(
    tasks: Sequence[tuple[str, TaskSpec]], before: tuple[str, ...]
) -> tuple[tuple[str, TaskSpec], ...]:
    """Give what begins a round the results of the round before."""
    inside = {task_id for task_id, _ in tasks}
    return tuple(
        (task_id, spec) if spec.control is not None or inside.intersection(spec.after) else
        (task_id, spec.but(after=(*spec.after, *before), inputs=(*spec.inputs, *before)))
        for task_id, spec in tasks
    )  # fmt: skip


def _beginning(scene: Scene) -> dict[str, Any]:
    return {"since": iso(scene.workspace.clock.now())}


def _ask(scene: Scene) -> Move:
    state, number = scene.state, scene.state.step
    turn = _turn(number)
    if state.facts.get("questioned") != number:
        tasks = asking.questions(scene, turn, about=state.facts["nodes"].values())
        if tasks:
            ids = tuple(task_id for task_id, _ in tasks)
            asked = noted(scene, questioned=number).but(on=(*state.on, *ids))
            return Start(tasks, asked, why=f"asks after round {number}", asks=True)
    answer = asking.answer(scene, turn, state.facts["nodes"], round=number)
    return answer if isinstance(answer, Stop) else _note(scene, answer=answer)


def _note(scene: Scene, *, answer: bool | None) -> Note:
    """Record what the condition came to, and with it whether the loop is over."""
    state, number = scene.state, scene.state.step
    summed = sum_up(scene, state.facts["nodes"].values())
    rounds = [
        *state.facts.get("rounds", ()),
        {"round": number, "answer": answer, "done": summed.done, "total": summed.total},
    ]
    facts: dict[str, Any] = {"answered": number, "rounds": rounds[-_KEPT:]}
    over = ended(_progress(scene, answer=answer))
    if over is not None:
        facts["stop"] = {"reason": over.reason, "said": over.said}
    said = {True: "yes", False: "no", None: "no answer"}[answer]
    return Note(
        noted(scene, **facts), why=over.said if over else f"{said} after round {number}"
    )


def _progress(scene: Scene, *, answer: bool | None) -> Progress:
    control, facts, number = scene.control, scene.state.facts, scene.state.step
    spent = Spent()
    if control.budget is not None:
        used = scene.workspace.spending.look().of_task(scene.task.id)
        spent = spent_since(used, Spent(**facts.get("spent", {})))
    elapsed = scene.workspace.clock.now() - parse_iso(facts["since"])
    return Progress(
        number, answer, facts.get("allowed", allowed_rounds(control.bound)),
        budget=control.budget, spent=spent,
        time_s=control.time_s, elapsed_s=elapsed.total_seconds(),
        given_up=given_up(scene, facts["nodes"].values()),
    )  # fmt: skip


# -- the end -------------------------------------------------------------------------------------


def _end(scene: Scene) -> Move:
    stop = scene.state.facts["stop"]
    if stop["reason"] == "condition":
        return _decide(scene, stop["said"])
    more = f"; `wfledger accept {scene.task.id}` goes on with what there is"
    return Stop(
        "undone", stop["said"] + more, facts={"stop": stop["reason"], "rounds": scene.state.step}
    )


def _decide(scene: Scene, said: str) -> Decide:
    """Sum up the last round; what failed in those before it has been made good."""
    state, nodes = scene.state, scene.state.facts["nodes"]
    summed = sum_up(scene, nodes.values())
    outputs = {
        "rounds": state.step, "stop": state.facts["stop"]["reason"], "nodes": nodes,
        "verdict": state.facts["stop"]["reason"] == "condition",
        "history": state.facts["rounds"], **summed.outputs,
    }  # fmt: skip
    return Decide(
        said, outputs=outputs, missing=summed.missing,
        supersedes=failures_below(scene, besides=str(state.step)),
    )  # fmt: skip
