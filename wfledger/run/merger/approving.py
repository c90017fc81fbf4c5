"""A person's verdict on a result that waits for one: `answer TASK yes` or `no`.

It holds for exactly the result that was shown, by its commit; another attempt, or the same one
mended, is asked about anew (WFL-RESULT-042). Yes sends the result on to merging without another
attempt; no is a failure of verification, whose reason the next attempt is given as an answer.
"""

from typing import Any, Final, Literal

from wfledger.clock import iso
from wfledger.core import outcome
from wfledger.core.documents import Accepted, Approval, Attempt, Block, Failure, Task
from wfledger.core.statuses import Actor, Status
from wfledger.core.text import clean_line
from wfledger.errors import StaleError, TransitionError, UsageError
from wfledger.run.workspace import Workspace
from wfledger.store.transaction import Transaction

#: The code of a block that asks for a verdict.
CODE: Final = "approval"
Verdict = Literal["yes", "no"]
VERDICTS: Final[dict[str, Verdict]] = {"yes": "yes", "no": "no"}
_BY: Final = "person"


def is_asked(task: Task) -> bool:
    """Whether a blocked task waits for a person's verdict on its result."""
    return task.block is not None and task.block.code == CODE


def give_verdict(
    workspace: Workspace, task_id: str, verdict: Verdict, *, who: str, reason: str = ""
) -> Task:
    """Record what *who* says about the result that a blocked task shows; durable on return.

    Raises `TransitionError` when the task waits for no verdict.
    """
    if verdict == "yes" and reason:
        raise UsageError("a reason is for a no; a yes lets the result land as it is")
    with workspace.ledger.transaction(_BY) as changes:
        entry = changes.get(task_id)
        task, block = entry.task, entry.task.block
        if entry.status is not Status.BLOCKED or block is None or block.code != CODE:
            raise TransitionError(
                f"{task_id} waits for no verdict: it is {entry.status.value}",
                hint=f"wfledger why {task_id}", task=task_id, status=entry.status.value,
            )
        if task.spec.digest() != task.spec_sha256:
            raise StaleError(
                f"the spec of {task_id} was changed past the verbs",
                hint=f"wfledger accept {task_id}", task=task_id,
            )
        shown = _Shown(workspace, task, block)
        accepted = shown.accepted()
        said = Approval(
            attempt=shown.attempt, head=accepted.head, verdict=verdict, by=who, reason=reason,
            at=iso(workspace.clock.now()),
        )
        approvals = (*task.approvals, said)
        if verdict == "yes":
            return changes.move(
                task_id, Status.WAITING, actor=Actor.PERSON, why=f"approved by {who}",
                approvals=approvals, accepted=accepted, block=None, hold=None, claim=None,
            )  # fmt: skip
        return _refused(changes, shown, approvals=approvals, reason=reason)


class _Shown:
    """The result that a block asks about."""

    def __init__(self, workspace: Workspace, task: Task, block: Block) -> None:
        self.workspace = workspace
        self.task = task
        self._facts: dict[str, Any] = block.facts
        self.attempt = int(self._facts.get("attempt", task.attempt))
        self.head: str | None = self._facts.get("head")

    def accepted(self) -> Accepted:
        """Return the result as one that goes on to merging; what left no commit changed nothing."""
        base = self._facts.get("base") or self.head or self._tip()
        return Accepted(
            attempt=self.attempt, head=self.head or base, base=base,
            waive=tuple(self._facts.get("waive", ())),
            unheard=tuple(self._facts.get("unheard", ())),
        )

    def _tip(self) -> str:
        run = self.workspace.ledger.run(self.task.run)
        return self.workspace.repo.tip(run.branch) or run.base


def _refused(
    changes: Transaction, shown: _Shown, *, approvals: tuple[Approval, ...], reason: str
) -> Task:
    """Make a no of the attempt's failure; another attempt follows where the plan retries it."""
    workspace, task = shown.workspace, shown.task
    who = approvals[-1].by
    message = f"{who} said no" + (f": {reason}" if reason else "")
    attempts = tuple(_failed(one, message) if one.number == shown.attempt else one
                     for one in task.attempts)  # fmt: skip
    result = workspace.ledger.result(task.id, shown.attempt)
    if result is not None:
        why = Failure(failure_class="verification", source="verification", message=message)
        changes.put_result(result.but(failure=why))
    after = outcome.after_failure(
        task.but(attempts=attempts), "verification", message, now=workspace.clock.now()
    )
    values: dict[str, Any] = {
        "attempts": attempts, "approvals": approvals, "accepted": None,
        "answers": (*task.answers, message), "hold": after.hold,
    }  # fmt: skip
    if after.block is None:
        return changes.move(
            task.id, Status.WAITING, actor=Actor.PERSON, why=clean_line(message), block=None,
            claim=None, **values,
        )  # fmt: skip
    facts = task.block.facts if task.block else {}
    block = after.block.but(command=f"wfledger retry {task.id}", facts=facts)
    return changes.update(task.id, why=clean_line(message), block=block, **values)


def _failed(attempt: Attempt, message: str) -> Attempt:
    return attempt.but(outcome="verification", message=clean_line(message))
