"""Whether the tasks of a plan fit into documents of the ledger, asked before anything is begun."""

from collections.abc import Iterable
from typing import Final

from wfledger.core import bounds
from wfledger.core.documents import TaskSpec
from wfledger.core.records import canonical
from wfledger.plans.compiling import Plan
from wfledger.plans.problems import Findings

#: Bytes of a task's document that are left for what becomes of it.
_SPARE: Final = 16 * 1024
#: Bytes that the id of a run adds to the name of each task that a spec names.
_PREFIX: Final = 9
#: Small as compact JSON, a spec fits with its white space and full ids.
_SURELY: Final = bounds.TASK_BYTES // 4


def refuse_too_large(plan: Plan, findings: Findings) -> None:
    """Report each task that no document can hold (WFL-NODE-048)."""
    for task in plan.tasks:
        spec = task.spec
        if len(spec.model_dump_json(by_alias=True, exclude_defaults=True)) <= _SURELY:
            continue
        size = len(canonical(spec)) + _PREFIX * sum(1 for _ in _named(spec))
        if size > bounds.TASK_BYTES - _SPARE:
            message = f"{task.given} would be a task of {size} bytes; at most "
            findings.error("too_large", f"{message}{bounds.TASK_BYTES - _SPARE}", "")


def _named(spec: TaskSpec) -> Iterable[str]:
    yield from spec.after
    yield from spec.inputs
    if spec.control is not None:
        yield from spec.control.members
        yield from spec.control.outer.values()
