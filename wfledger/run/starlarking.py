"""The process that evaluates one Starlark plan (spec 94.3); see `run.plantexts` for who asks it.

It may be ended at any moment, by its own limits among others: it writes nothing but its answer.
"""

import json
import os
from dataclasses import asdict
from typing import Any

from wfledger.plans.frontends.fronts import Evaluated
from wfledger.plans.frontends.starlark import evaluate
from wfledger.run.processes.limiting import limit_itself


def main(question: int, answer: int) -> int:
    """Evaluate the text in the file *question*; write what comes of it into *answer*."""
    with os.fdopen(question, "rb") as source:
        asked = json.load(source)
    allowed = asked["cpu_s"]
    # It is asked to stop first, for then it can say where it is; a second later it is ended.
    limit_itself(allowed + 1, asked["memory"])
    found = evaluate(asked["text"], asked["source"], lambda: sum(os.times()[:2]) > allowed)
    with os.fdopen(answer, "w", encoding="utf-8") as goal:
        json.dump(_plain(found), goal)
    return 0


def _plain(found: Evaluated) -> dict[str, Any]:
    problem = found.problem and asdict(found.problem)
    return {"document": found.document, "problem": problem, "repaired": found.repaired}
