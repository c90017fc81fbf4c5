"""The process that works one expression out (WFL-EXPR-030).

It is started by `evaluating` with two descriptors and limits itself before it works anything out.
The question is a JSON object with `text`, `variables`, `cpu_s` and `memory`; the answer is one with
`value`, or with `kind` and `reason` where there is none.
"""

import json
import os
from typing import Any, Final

from wfledger.plans.conditions import EvaluationError, evaluate
from wfledger.run.processes.limiting import limit_itself

#: Characters of the JSON text of an answer.
_ANSWER_CHARS: Final = 8 * 2**20


def main(question: int, answer: int) -> int:
    """Answer what stands in the file *question* into the file *answer*; returns 0."""
    with os.fdopen(question, "rb") as source:
        asked = json.load(source)
    limit_itself(asked["cpu_s"], asked["memory"])
    text = _answer(asked["text"], asked["variables"])
    with os.fdopen(answer, "w", encoding="utf-8") as goal:
        goal.write(text)
    return 0


def _answer(text: str, variables: dict[str, Any]) -> str:
    try:
        said = json.dumps({"value": evaluate(text, variables)})
    except EvaluationError as error:
        return json.dumps({"kind": error.kind, "reason": str(error)})
    except MemoryError:
        return json.dumps({"kind": "expression", "reason": "it takes too much memory"})
    if len(said) > _ANSWER_CHARS:
        reason = f"it comes to more than {_ANSWER_CHARS} characters"
        return json.dumps({"kind": "expression", "reason": reason})
    return said
