"""What expressions see of a run: a record of each node that they name (spec 91, section 2)."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from wfledger.core.documents import Result, Run, Task
from wfledger.core.graph import FINAL_CODES
from wfledger.core.statuses import Status
from wfledger.core.verification import is_pass
from wfledger.plans import conditions
from wfledger.run.workspace import Workspace

_WORD: Final = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*\Z")
_ABSENT: Final[Mapping[str, Any]] = {
    "status": "missing", "summary": "", "outputs": {}, "findings": [], "confidence": None,
    "verdict": None, "score": None, "changed": [], "exit_status": None, "missing": [],
}  # fmt: skip


def variables_for(
    workspace: Workspace, run: Run, text: str, *, nodes: Mapping[str, str],
    values: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Return what *text* may name: records of *nodes* (name -> task), *values*, and `run`.

    Of nodes only those that it names, so that a large run costs no more than a small one.
    """
    named = conditions.names(text)
    records = {name: record_of(workspace, nodes[name]) for name in named if name in nodes}
    words = {name: one for name, one in records.items() if _WORD.match(name)}
    return {**words, **values, "results": records, "run": _spent(workspace, run)}


def record_of(workspace: Workspace, task_id: str) -> dict[str, Any]:
    """Return the record of a task as it stands: its result, or that there is none."""
    entry = workspace.ledger.find(task_id)
    if entry is None or entry.status is Status.CANCELLED:
        return dict(_ABSENT)
    task = entry.task
    attempt = task.accepted.attempt if task.accepted else task.attempt
    result = workspace.ledger.result(task_id, attempt) if attempt else None
    if result is None:
        return {**_ABSENT, "status": _status_of(task, entry.status, None)}
    return {
        "status": _status_of(task, entry.status, result),
        "summary": result.summary,
        "outputs": result.outputs,
        "findings": list(result.findings),
        "confidence": result.confidence,
        "verdict": result.outputs.get("verdict"),
        "score": result.outputs.get("score"),
        "changed": [one.path for one in result.changed],
        "exit_status": result.exit_status,
        "missing": list(result.synthesis.missing if result.synthesis else task.missing),
    }


def _status_of(task: Task, status: Status, result: Result | None) -> str:
    if status is Status.DONE:
        return result.status if result is not None else "succeeded"
    if status is Status.BLOCKED and task.block is not None:
        return "failed" if task.block.code in FINAL_CODES else "blocked"
    return "missing"


def _spent(workspace: Workspace, run: Run) -> dict[str, Any]:
    spent = workspace.spending.look().of_runs({run.id})
    began = datetime.fromisoformat(run.started or run.created)
    seconds = max(0.0, (workspace.clock.now() - began).total_seconds())
    return {"tokens": spent.tokens, "usd": float(spent.usd), "seconds": seconds}


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= _ABSENT.keys()


_NOES: Final = frozenset({"fail", "failed", "no", "reject", "rejected", "refuse", "refused"})


def truth_of(value: Any) -> bool | None:
    """Return whether *value*, what a condition came to, is true; None if it is neither.

    A record is what its verdict says, else whether it has succeeded; a text must be a word for yes
    or for no.
    """
    if isinstance(value, bool):
        return value
    if _is_record(value):
        verdict = value["verdict"]
        return value["status"] == "succeeded" if verdict is None else is_pass(verdict)
    if isinstance(value, str):
        said = value.strip().lower()
        return True if is_pass(said) else False if said in _NOES else None
    return None


def list_of(value: Any) -> list[Any] | None:
    """Return the list that *value*, what a source came to, is or holds; None if there is none.

    A record holds `outputs.items`, else the only list of its outputs, else its findings.
    """
    if isinstance(value, list):
        return value
    if not _is_record(value):
        return None
    outputs = value["outputs"]
    if isinstance(outputs.get("items"), list):
        return list(outputs["items"])
    lists = [one for one in outputs.values() if isinstance(one, list)]
    if len(lists) > 1:
        return None
    return list(lists[0] if lists else value["findings"])
