"""What controllers that start tasks share: beginning nodes, and summing up what came of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wfledger.core.control import ControlState
from wfledger.core.statuses import Status
from wfledger.run.controllers.moves import Decide, Scene

if TYPE_CHECKING:
    from wfledger.plans.nodes.bodies import Unfolded


def unfolded(
    scene: Scene, step: str, body: Sequence[Mapping[str, Any]], values: Mapping[str, Any]
) -> "Unfolded":
    """Return the tasks of *body* in one step of the controller.

    Raises `PlanError` with every problem of them.
    """
    from wfledger.plans.nodes import bodies  # reads documents of plans, which few steps need

    return bodies.unfold(
        scene.control, owner=scene.task.id, step=step, body=body, values=values
    )


def ends(made: "Unfolded") -> tuple[str, ...]:
    """Return the tasks whose results are those of a step: each of its nodes."""
    return tuple(dict.fromkeys((*made.nodes.values(), *made.exits)))


@dataclass(frozen=True)
class Summed:
    """What has come of some tasks."""

    outputs: Mapping[str, Any]
    missing: tuple[str, ...]
    done: int
    total: int

    @property
    def sentence(self) -> str:
        """Say how many are done."""
        return f"{self.done} of {self.total} done"


def sum_up(scene: Scene, members: Iterable[str]) -> Summed:
    """Say what each of *members* has come to; those without success make the result partial."""
    names = tuple(dict.fromkeys(members))
    states = {name: _state(scene, name) for name in names}
    missing = tuple(name for name in names if states[name] == "missing")
    outputs = {"members": states, "partial": bool(missing)}
    return Summed(outputs, missing, len(names) - len(missing), len(names))


def _state(scene: Scene, name: str) -> str:
    result = scene.result(name)
    return "missing" if result is None else result.status


def as_it_is(scene: Scene) -> Decide:
    """Return that a person takes what a controller has come to so far."""
    nodes = scene.state.facts.get("nodes", {})
    summed = sum_up(scene, (*scene.control.members, *nodes.values(), *scene.state.exits))
    outputs = {"accepted": True, "verdict": False, "nodes": nodes, **summed.outputs}
    return Decide(
        f"accepted as it is: {summed.sentence}", outputs=outputs, missing=summed.missing
    )


def given_up(scene: Scene, names: Iterable[str]) -> str | None:
    """Return the first of these tasks that was cancelled, or None."""
    layout = scene.workspace.ledger.layout
    return next((one for one in names if layout.task(Status.CANCELLED, one).exists()), None)


def noted(scene: Scene, **facts: Any) -> ControlState:
    """Return the state with more *facts*."""
    return scene.state.but(facts={**scene.state.facts, **facts})
