"""`cond`: asks once, and begins one of two arms (spec 92)."""

from wfledger.run.controllers import asking
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop
from wfledger.run.controllers.parts import ends, noted, sum_up, unfolded

_ARMS = {True: "then", False: "else"}


def choose(scene: Scene) -> Move:
    """Ask, record the answer, begin the arm that it chooses, and sum up what came of it."""
    facts = scene.state.facts
    if "arm" not in facts:
        return _ask(scene)
    if scene.state.step == 0:
        return _begin(scene)
    return _sum_up(scene)


def _ask(scene: Scene) -> Move:
    turn = f"ask-{scene.state.facts.get('turn', 1)}"
    if "questioned" not in scene.state.facts:
        tasks = asking.questions(scene, turn, about=scene.task.spec.inputs)
        if tasks:
            state = noted(scene, questioned=turn).but(on=tuple(task_id for task_id, _ in tasks))
            return Start(tasks, state, why="asks for its condition", asks=True)
    answer = asking.answer(scene, turn, {})
    if isinstance(answer, Stop):
        return answer
    if answer is None:
        return asking.undecided(scene, turn, "its judge abstains")
    said = "holds" if answer else "does not hold"
    return Note(
        noted(scene, arm=_ARMS[answer], condition=answer).but(on=()),
        why=f"its condition {said}",
    )


def _begin(scene: Scene) -> Move:
    arm = scene.state.facts["arm"]
    body = scene.control.body if arm == "then" else scene.control.otherwise
    if not body:
        return _sum_up(scene)
    made = unfolded(scene, arm, body, {})
    state = noted(scene, nodes=dict(made.nodes)).but(step=1, on=made.exits, exits=ends(made))
    return Start(made.tasks, state, why=f"begins {arm}")


def _sum_up(scene: Scene) -> Move:
    facts = scene.state.facts
    nodes = facts.get("nodes", {})
    summed = sum_up(scene, scene.state.exits)
    outputs = {
        "condition": facts["condition"], "verdict": facts["condition"], "arm": facts["arm"],
        "nodes": nodes, **summed.outputs,
    }  # fmt: skip
    said = summed.sentence if summed.total else "nothing to do"
    return Decide(f"{facts['arm']}: {said}", outputs=outputs, missing=summed.missing)
