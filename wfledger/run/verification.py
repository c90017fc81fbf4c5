"""Verification of a result: the checks of the frozen spec, on a clean checkout of the snapshot."""

import shlex
import threading
from typing import Final

from wfledger.core.documents import Check, Task
from wfledger.core.records import Command
from wfledger.core.text import clean_line
from wfledger.run.cleanroom import Report, Step, Trial, Verdict, hold_trial, passed_on
from wfledger.run.merging import Subject
from wfledger.run.workspace import Workspace

#: Seconds for a check when neither it nor any limit says.
DEFAULT_S: Final = 3600.0
_PASSED: Final = Verdict("passed")


def verify(
    workspace: Workspace, task: Task, subject: Subject, *, stop: threading.Event, report: Report
) -> Verdict:
    """Return whether what *subject* left passes every check of *task*; all that fail are reported.

    A pass is remembered for the tree. Raises `EnvironmentFailedError` when a check cannot be run.
    """
    reasons = exit_status_reasons(task, subject)
    trial = trial_of(workspace, task, subject)
    if trial is None:
        return Verdict("failed", reasons) if reasons else _PASSED
    verdict = hold_trial(workspace, trial, stop=stop, report=report)
    if verdict.outcome == "stopped" or not reasons:
        return verdict
    return Verdict("failed", (*reasons, *verdict.reasons), verdict.logs)


def exit_status_reasons(task: Task, subject: Subject) -> tuple[str, ...]:
    """Return what is wrong with the worker's exit status.

    What a person has accepted is no longer what that worker left, so its status says nothing.
    """
    if subject.accepted:
        return ()
    expected = {check.expect for check in task.spec.verify if check.kind == "exit_code"}
    status = subject.result.exit_status if subject.result else None
    if not expected or status in expected:
        return ()
    said = "none is known" if status is None else f"it was {status}"
    return (f"the worker's exit status must be {' or '.join(map(str, sorted(expected)))}; {said}",)


def trial_of(workspace: Workspace, task: Task, subject: Subject) -> Trial | None:
    """Return the commands to run, or None when there are none."""
    checks = [check for check in task.spec.verify if check.command is not None]
    if not checks or subject.head is None:
        return None
    name = workspace.ledger.layout.attempt_name(task.id, task.attempt)
    extra = passed_on(task.spec.env) | {
        "WFLEDGER_RUN": task.run,
        "WFLEDGER_TASK": task.id,
        "WFLEDGER_ATTEMPT": str(subject.attempt),
    }
    steps = tuple(
        Step(shown(check.command), check.command, _timeout(workspace, task, check))
        for check in checks
        if check.command is not None
    )
    return Trial(
        kind="verify",
        name=f"{name}.verify",
        commit=subject.head,
        tree=workspace.repo.tree_of(subject.head),
        steps=steps,
        extra=extra,
    )


def _timeout(workspace: Workspace, task: Task, check: Check) -> float:
    """Return the seconds that a check may take: its own limit, else the worker's."""
    limits = (check.timeout_s, task.spec.limits.wall_s, workspace.policy().limits.wall_s)
    return next((limit for limit in limits if limit is not None), DEFAULT_S)


def shown(command: Command) -> str:
    """Return a command as people read it, on one line."""
    return clean_line(command if isinstance(command, str) else shlex.join(command))
