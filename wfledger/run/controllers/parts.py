"""What controllers that start tasks share: beginning nodes, and summing up what came of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wfledger.core.control import ControlState
from wfledger.core.graph import Standing
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
    """Say what each of *members* has come to.

    Those without success make the result partial, and so does one that is partial itself.
    """
    names = tuple(dict.fromkeys(members))
    results = {name: scene.result(name) for name in names}
    states = {
        name: one.status if one is not None else _without_result(scene, name)
        for name, one in results.items()
    }
    missing = tuple(name for name in names if states[name] == "missing")
    partial = any(one is not None and one.outputs.get("partial") is True
                  for one in results.values())  # fmt: skip
    outputs = {"members": states, "partial": bool(missing) or partial}
    return Summed(outputs, missing, len(names) - len(missing), len(names))


def _without_result(scene: Scene, name: str) -> str:
    """Return `superseded` for what something else was done in place of."""
    entry = scene.workspace.ledger.find(name)
    if entry is not None and Standing.of(entry.task, entry.status).is_superseded:
        return "superseded"
    return "missing"


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
