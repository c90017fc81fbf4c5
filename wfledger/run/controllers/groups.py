"""Branches and sequences: they are over when what they are made of is over."""

from wfledger.run.controllers.moves import Decide, Move, Scene


def gather(scene: Scene) -> Move:
    """Sum up the members; those that ended without success make the group partial."""
    members = scene.control.members
    missing = tuple(name for name in scene.missing if name in members)
    states = {
        name: result.status if (result := scene.result(name)) else "missing" for name in members
    }
    done = len(members) - len(missing)
    return Decide(
        summary=f"{done} of {len(members)} members done",
        outputs={"members": states, "partial": bool(missing)},
        missing=missing,
    )
