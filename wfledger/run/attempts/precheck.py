"""What a landing would refuse, said while the attempt is still open and can be mended.

Scope check and verification of what is in the worktree now, by the lander's own rules; what passes
is remembered for the tree, so that the landing does not ask again. Nothing about the task changes:
killed at any point, the claim stands as before (WFL-MCP-020).
"""

from dataclasses import dataclass
from typing import Any

from wfledger.core.documents import Task
from wfledger.errors import PausedError
from wfledger.run.attempts.handing import Foreground, as_given, held, with_work
from wfledger.run.guard import fingerprints
from wfledger.run.merger.merging import Refusal, Subject
from wfledger.run.merger.scopecheck import judge, record_problem
from wfledger.run.merger.verification import verify
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Checked:
    """What would keep the work of an attempt from landing; no refusal: nothing that is known."""

    task: Task
    refusals: tuple[Refusal, ...] = ()
    #: It was ended before all was looked at; that is no verdict.
    stopped: bool = False

    @property
    def passed(self) -> bool:
        """Whether it may be handed in."""
        return not self.refusals and not self.stopped

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `complete --check --json` prints of a refusal."""
        return {
            "checked": "stopped" if self.stopped else "passed" if self.passed else "failed",
            "attempt": self.task.attempt,
            "reasons": [_shown(one) for one in self.refusals],
        }  # fmt: skip


def _shown(refusal: Refusal) -> dict[str, Any]:
    paths = [one["path"] for one in refusal.facts.get("violations", ())]
    return {
        "code": refusal.code, "reason": refusal.reason, **({"paths": paths} if paths else {}),
    }  # fmt: skip


def check(
    workspace: Workspace, task_id: str, token: str | None, *, envelope: bytes | None,
    waiter: Foreground,
) -> Checked:  # fmt: skip
    """Return what scope check and verification say of the attempt as it is now.

    Raises `StaleError` for a zombie, `InvalidDocumentError` for a bad envelope, `PausedError` under
    an alarm, `EnvironmentFailedError` where nothing can be said.
    """
    task = held(workspace, task_id, token).task
    result = as_given(task, envelope)
    if result.failure is not None:
        return Checked(task)  # by its own word it has failed: nothing of it would land
    alarm = fingerprints.check(workspace)
    if alarm is not None:
        raise PausedError(f"nothing lands: {alarm.reason}", hint=alarm.command)
    result, _ = with_work(workspace, task, result)
    subject = Subject(task.attempt, result.base, result.head, result)
    broken = record_problem(workspace, task, subject)
    if broken is not None:
        return Checked(task, (broken,))
    judged = judge(workspace, task, subject)
    refused = (judged,) if isinstance(judged, Refusal) else ()
    verdict = verify(workspace, task, subject, stop=waiter.stop, report=waiter.report)
    if verdict.outcome == "failed":
        reason = "\n".join(verdict.reasons)
        refused = (*refused, Refusal("verification", reason, facts={"logs": list(verdict.logs)}))
    return Checked(task, refused, stopped=verdict.outcome == "stopped")
