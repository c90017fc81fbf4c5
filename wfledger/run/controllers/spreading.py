"""`expand`: makes a list when the run is there, and begins its template once for each item."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from wfledger.core.control import Control
from wfledger.core.documents import TaskSpec
from wfledger.core.ids import child_id
from wfledger.core.records import canonical_json
from wfledger.core.text import clean_line
from wfledger.errors import PlanError
from wfledger.run.controllers import asking
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop
from wfledger.run.controllers.parts import noted, sum_up, unfolded

#: Bytes of items that the document keeps; longer lists are worked out again, to the same digest.
_KEPT: Final = 65_536
#: Items that a controller waits for itself; of more it waits for groups of so many, since a task
#: has a bound (`bounds.TASK_BYTES`).
_GROUP: Final = 500
#: Of an item that does not fit, and problems that are shown of it.
_ITEM_CHARS: Final = 200
_SHOWN: Final = 10


def spread(scene: Scene) -> Move:
    """Work out the list, record it, begin an item each, and sum up what came of them."""
    if "items" not in scene.state.facts:
        return _list(scene)
    if scene.state.step == 0 and scene.state.facts["kept"]:
        return _begin(scene)
    return _sum_up(scene)


def _list(scene: Scene) -> Move:
    found = asking.items(scene, {})
    if isinstance(found, Stop):
        return found
    bound = scene.control.bound
    kept = found if bound is None else found[:bound]
    facts: dict[str, Any] = {
        "items": len(found), "kept": len(kept), "sha256": _digest(kept),
    }  # fmt: skip
    if len(canonical_json(kept)) <= _KEPT:
        facts["values"] = kept
    return Note(noted(scene, **facts), why=f"{len(found)} items, {len(found) - len(kept)} dropped")


def _digest(items: Sequence[Any]) -> str:
    return hashlib.sha256(canonical_json(items)).hexdigest()


def _items(scene: Scene) -> list[Any] | Stop:
    """Return the items that were recorded."""
    facts = scene.state.facts
    if "values" in facts:
        return list(facts["values"])
    found = asking.items(scene, {})
    if isinstance(found, Stop):
        return found
    kept = found[: facts["kept"]]
    if _digest(kept) != facts["sha256"]:
        return Stop("control_error", "its source yields another list than when it was recorded")
    return kept


def _begin(scene: Scene) -> Move:
    items = _items(scene)
    if isinstance(items, Stop):
        return items
    tasks: list[tuple[str, TaskSpec]] = []
    exits: list[str] = []
    for index, item in enumerate(items):
        try:
            made = unfolded(
                scene, str(index), scene.control.body, {"item": item, "index": index}
            )
        except PlanError as error:
            return _unfit(scene, index, item, error)
        tasks += made.tasks
        exits += made.exits
    groups = _grouped(scene, exits)
    ids = tuple(task_id for task_id, _ in groups) or tuple(exits)
    state = noted(scene).but(step=len(items), on=ids, exits=ids)
    return Start((*tasks, *groups), state, why=f"begins {len(items)} items")


def _unfit(scene: Scene, index: int, item: Any, error: PlanError) -> Stop:
    """Ask a person for another list, since the same one would be refused again."""
    found = error.facts.get("errors") or error.facts.get("problems") or []
    shown = clean_line(json.dumps(item, ensure_ascii=False), _ITEM_CHARS)
    why = f"item {index}, {shown}, does not fit the template: {error.message}"
    return asking.unfit(scene, why, {"index": index, "errors": found[:_SHOWN]})


def _grouped(scene: Scene, exits: Sequence[str]) -> list[tuple[str, TaskSpec]]:
    """Return the groups that stand for many *exits*; none where they are few."""
    if len(exits) <= _GROUP:
        return []
    parts = [tuple(exits[at : at + _GROUP]) for at in range(0, len(exits), _GROUP)]
    return [
        (
            child_id(scene.task.id, f"group-{number}"),
            TaskSpec(
                title=f"items of {scene.task.id}, part {number + 1} of {len(parts)}",
                control=Control(kind="branch_set", members=part), after=part,
                on_failure="skip_continue",
            ),
        )
        for number, part in enumerate(parts)
    ]  # fmt: skip


def _sum_up(scene: Scene) -> Move:
    facts = scene.state.facts
    summed = sum_up(scene, scene.state.exits)
    dropped = facts["items"] - facts["kept"]
    outputs = {
        "items": facts["items"], "dropped": dropped, "started": facts["kept"], **summed.outputs,
    }  # fmt: skip
    said = f"{facts['kept']} of {facts['items']} items begun"
    said += f", {summed.sentence}" if summed.total else ""
    return Decide(said, outputs=outputs, missing=summed.missing)
