"""Verification of a result: the checks of the frozen spec, answered from its snapshot.

What the tree itself answers comes first, then what needs a process for one file, then the commands
on a clean checkout; everything that fails is reported together. Verifiers and people are asked
only about a result that has passed all that: see `merger.verifying`.
"""

import shlex
import threading
from dataclasses import dataclass
from typing import Final

from wfledger.core import verification as rules
from wfledger.core.documents import Artifact, Check, Task
from wfledger.core.records import Command
from wfledger.core.text import clean, clean_line
from wfledger.run.attempts.worktrees import scratch_name
from wfledger.run.merger import probing
from wfledger.run.merger.cleanroom import (
    Question,
    Report,
    Step,
    Trial,
    Verdict,
    hold_trial,
    is_remembered,
    passed_on,
    remember,
)
from wfledger.run.merger.merging import Subject
from wfledger.run.workspace import Workspace
from wfledger.vcs.contents import Contents

#: Seconds for a check when neither it nor any limit says.
DEFAULT_S: Final = 3600.0
#: Files of the deliverables whose sums a result keeps.
_ARTIFACTS: Final = 256
_PASSED: Final = Verdict("passed")


def verify(
    workspace: Workspace, task: Task, subject: Subject, *, stop: threading.Event, report: Report
) -> Verdict:
    """Return whether what *subject* left passes every check that needs nobody else.

    A pass is remembered for the tree. Raises `EnvironmentFailedError` when a check cannot be run.
    """
    looked = _looked_into(workspace, task, subject, stop=stop, report=report)
    trial = trial_of(workspace, task, subject)
    if looked.outcome == "stopped" or trial is None:
        return looked
    verdict = hold_trial(workspace, trial, stop=stop, report=report)
    if verdict.outcome == "stopped" or not looked.reasons:
        return verdict
    return Verdict("failed", (*looked.reasons, *verdict.reasons), verdict.logs)


def _looked_into(
    workspace: Workspace, task: Task, subject: Subject, *, stop: threading.Event, report: Report
) -> Verdict:
    """Return what the end of the worker and the files of the snapshot say."""
    reasons = exit_status_reasons(task, subject)
    contents = _contents(workspace, subject)
    reasons += _missing(task, contents)
    probes = [check for check in task.spec.verify if check.kind in rules.PROBES]
    if contents is not None and probes:
        found = _probed(workspace, task, _Probes(contents, tuple(probes)), stop=stop, report=report)
        if found.outcome == "stopped":
            return found
        reasons += found.reasons
    return Verdict("failed", reasons) if reasons else _PASSED


def exit_status_reasons(task: Task, subject: Subject) -> tuple[str, ...]:
    """Return what is wrong with the worker's exit status.

    What a person has accepted is no longer what that worker left, so its status says nothing.
    """
    if subject.accepted:
        return ()
    status = subject.result.exit_status if subject.result else None
    return rules.exit_status_reasons(task.spec.verify, status)


# -- files of the snapshot -----------------------------------------------------------------------


def _contents(workspace: Workspace, subject: Subject) -> Contents | None:
    if subject.head is None:
        return None
    return Contents(workspace.repo, workspace.repo.tree_of(subject.head))


def _missing(task: Task, contents: Contents | None) -> tuple[str, ...]:
    """Return what the task must have left and has not."""
    wanted = [check for check in task.spec.verify if check.kind == "file_exists"]
    probed = any(check.kind in rules.PROBES for check in task.spec.verify)
    if contents is None:
        asked = wanted or probed or task.spec.deliverables
        return ("the attempt left no snapshot to look into",) if asked else ()
    found = (rules.missing_file(contents, check.path or "") for check in wanted)
    reasons = tuple(reason for reason in found if reason is not None)
    return reasons + rules.delivered(contents, task.spec.deliverables).reasons


def artifacts_of(workspace: Workspace, task: Task, subject: Subject) -> tuple[Artifact, ...]:
    """Return the declared deliverables of *subject* with their sums, in the order of paths."""
    contents = _contents(workspace, subject)
    if contents is None or not task.spec.deliverables:
        return ()
    paths = rules.delivered(contents, task.spec.deliverables).paths[:_ARTIFACTS]
    sums = [(path, contents.digest(path)) for path in sorted(paths)]
    return tuple(Artifact(path=path, sha256=one.sha256, bytes=one.size) for path, one in sums)


@dataclass(frozen=True)
class _Probes:
    contents: Contents
    checks: tuple[Check, ...]


def _probed(
    workspace: Workspace, task: Task, probes: _Probes, *, stop: threading.Event, report: Report
) -> Verdict:
    facts = [check.model_dump(mode="json", exclude_none=True) for check in probes.checks]
    question = Question("probe", probes.contents.tree, {"checks": facts})
    if is_remembered(workspace, question):
        return Verdict("passed", remembered=True)
    reasons = []
    for check in probes.checks:
        what = check.pattern or check.expression or ""
        report(f"verify: looks into {clean_line(f'{check.path} for {what}', 100)}")
        probed = probing.probe(workspace, task, check, contents=probes.contents, stop=stop)
        if probed.stopped:
            return Verdict("stopped")
        if probed.reason is not None:
            reasons.append(clean(probed.reason))
    if reasons:
        return Verdict("failed", tuple(reasons))
    remember(workspace, question, labels=[check.kind for check in probes.checks])
    return _PASSED


# -- commands ------------------------------------------------------------------------------------


def trial_of(workspace: Workspace, task: Task, subject: Subject) -> Trial | None:
    """Return the commands to run, or None when there are none."""
    checks = [check for check in task.spec.verify if check.kind == "command"]
    if not checks or subject.head is None:
        return None
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
        name=scratch_name(workspace, task, "verify"),
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
