"""The process that runs a script up to where it waits (WFL-CTRL-096).

It is started by `playing` with two descriptors and limits itself before the first line of the
script is run. The question is a JSON object with `script`, `past`, `cpu_s` and `memory`; the answer
is what the script has come to (`plans.frontends.scripts.Played`).
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
    text = json.dumps(_answer(asked["script"], asked["past"]), ensure_ascii=False)
    # Half of a surrogate pair is a text of JavaScript, and none that can be written down.
    with os.fdopen(answer, "w", encoding="utf-8", errors="replace") as goal:
        goal.write(text)
    return 0


def _answer(script: dict[str, Any], past: dict[str, Any]) -> dict[str, Any]:
    deliveries = [Delivery(**one) for one in past.pop("deliveries")]
    try:
        played = play(Script(**script), Past(deliveries=deliveries, **past))
    except Exception as error:  # noqa: BLE001 - a script may make anything of what it is asked by
        played = Played("threw", message=f"{type(error).__name__} while it was run: {error}"[:300])
    return asdict(played)
