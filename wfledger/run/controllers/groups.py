"""Branches and sequences: they are over when what they are made of is over."""

from wfledger.run.controllers.moves import Decide, Move, Scene
from wfledger.run.controllers.parts import sum_up


def gather(scene: Scene) -> Move:
    """Sum up the members; those that ended without success make the group partial."""
    summed = sum_up(scene, scene.control.members)
    return Decide(
        f"{summed.done} of {summed.total} members done", outputs=summed.outputs,
        missing=summed.missing,
    )  # fmt: skip
