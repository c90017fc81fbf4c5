"""What the end of a worker means: from how its process ended and what its envelope says.

Prose is never read. An exit status of 0 proves nothing by itself, and another one is a failure
whatever the envelope claims, unless the task expects it (spec 60, "Failure classes").
"""

from typing import Final

from wfledger.core.documents import Result, Task
from wfledger.run.attempts.closing import failure
from wfledger.run.attempts.envelope import Envelope
from wfledger.run.processes.process import Ended

#: Exit status by which a program says "try again": EX_TEMPFAIL of sysexits.
TEMPORARY: Final = 75
#: Exit statuses by which a probe says no; 126 and 127 are the shell's: it could not be run.
_NO: Final = range(1, 126)
_ENDED_BY_US: Final = {
    "wall": "timeout",
    "idle": "idle",
    "silence": "silence",
    "halted": "lost",
    "stopped": "stopped",
    "spawn_failed": "environment",
}


def judge(task: Task, envelope: Envelope, ended: Ended) -> Result:
    """Return the result of an attempt, with a failure in it unless the worker is finished."""
    result = envelope.result.but(
        exit_status=ended.status, wall_s=round(ended.wall_s, 3), output_bytes=ended.output_bytes
    )
    problem = _problem(task, envelope, ended)
    if problem is None:
        return _answered(task, result, ended).but(failure=None)
    failure_class, message = problem
    status = "blocked" if failure_class == "question" else "failed"
    return result.but(status=status, failure=failure(failure_class, message))


def _answered(task: Task, result: Result, ended: Ended) -> Result:
    """Return *result* with the answer that the exit status of a probe is (WFL-EXPR-021)."""
    if not task.spec.probe:
        return result
    said = {**result.outputs, "verdict": ended.status == 0}
    return result.but(outputs=said, summary=result.summary or ended.message)


def _problem(task: Task, envelope: Envelope, ended: Ended) -> tuple[str, str] | None:
    """Return class and message of the failure: what the process says goes before its envelope."""
    if ended.left:
        return "environment", f"processes {ended.left} could not be ended"
    if ended.reason != "exited":
        return _ENDED_BY_US[ended.reason], ended.message
    return _said(envelope.result) or _shown(task, envelope, ended)


def _said(given: Result) -> tuple[str, str] | None:
    """Return the failure that the worker itself names."""
    if given.status == "blocked":
        return "question", "; ".join(given.open_questions) or given.summary or "a question"
    if given.failure is not None:
        return given.failure.failure_class, given.failure.message or given.summary
    return None


def _shown(task: Task, envelope: Envelope, ended: Ended) -> tuple[str, str] | None:
    """Return the failure that the exit status or the envelope shows."""
    if ended.status == TEMPORARY and not task.spec.probe:
        return "transport", "exit status 75: a passing trouble"
    if ended.status not in _expected(task):
        says_no = task.spec.probe and ended.status in _NO
        return None if says_no else ("task", ended.message)
    if envelope.problem is not None:
        return "task", envelope.problem
    if envelope.result.status == "failed":
        return "task", envelope.result.summary or "the worker says that it failed"
    return None


def _expected(task: Task) -> set[int]:
    checks = {check.expect for check in task.spec.verify if check.kind == "exit_code"}
    return checks or {0}
