"""The process that runs a script up to where it waits (WFL-CTRL-096).

It is started by `playing` with two descriptors and limits itself before the first line of the
script is run. The question is a JSON object with `step`, `cpu_s` and `memory`; the answer is what
the script has come to, with the tasks that begin now.
"""

import json
import os
from dataclasses import asdict
from typing import Any

from wfledger.plans.frontends.scripts import Delivery, Past, Played, Script, play
from wfledger.run.processes.limiting import limit_itself


def main(question: int, answer: int) -> int:
    """Answer what stands in the file *question* into the file *answer*; returns 0."""
    with os.fdopen(question, "rb") as source:
        asked = json.load(source)
    limit_itself(asked["cpu_s"], asked["memory"])
    text = json.dumps(_answer(asked["step"]))
    with os.fdopen(answer, "w", encoding="utf-8") as goal:
        goal.write(text)
    return 0


def _answer(step: dict[str, Any]) -> dict[str, Any]:
    script = Script(**step.pop("script"))
    deliveries = [Delivery(**one) for one in step.pop("deliveries")]
    try:
        played = play(script, Past(deliveries=deliveries, **step))
    except (MemoryError, RecursionError) as error:
        played = Played("threw", message=f"{type(error).__name__} while it was run")
    begins = [
        {"number": one.number, "label": one.asked.label,
         "spec": one.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
        for one in played.begins
    ]  # fmt: skip
    shown = asdict(Played(**{**vars(played), "begins": ()}))
    return shown | {"begins": begins}
