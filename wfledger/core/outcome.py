"""What the end of an attempt leads to: another attempt, or a question to a person.

Pure; the failure classes and their consequences are those of spec 60. Every block names the one
command that lifts it.
"""

import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from wfledger.clock import iso
from wfledger.core.documents import Block, Hold, Task
from wfledger.core.statuses import Status

#: Failure class -> where it comes from, for counting.
SOURCES: Final[dict[str, Literal["transport", "task", "verification", "merge", "runtime"]]] = {
    "transport": "transport",
    "lost": "transport",
    "task": "task",
    "timeout": "task",
    "idle": "task",
    "silence": "task",
    "no_change": "task",
    "question": "task",
    "read_only_violation": "verification",
    "out_of_scope": "verification",
    "verification": "verification",
    "conflict": "merge",
    "gate": "merge",
    "environment": "runtime",
    "stopped": "runtime",
    "spec_changed": "runtime",
    "auth": "runtime",
    "quota": "runtime",
    "request": "task",
    "content": "task",
    "budget": "task",
}
#: What a provider refuses everybody: no word about the task, which waits until that is over.
PROVIDER: Final = frozenset({"auth", "quota"})
#: What passes by itself, as workers name it -> the class that it is counted under.
PASSING: Final = {"rate": "transport", "overload": "transport"}

#: Failure class -> the verb that lifts the block; `retry` where nothing is said.
_VERBS: Final = {
    "question": "answer",
    "verification": "open",
    "conflict": "open",
    "gate": "open",
    "no_change": "accept",
    "approval": "answer",
    # Its report counts; what it changed stays kept and does not land.
    "read_only_violation": "accept",
    "result_changed": "open",
    "dependency_cancelled": "cancel",
    "invalid_scope": "cancel",
}


@dataclass(frozen=True)
class Next:
    """Where a task goes after a failed attempt, and what its document says there."""

    status: Status
    hold: Hold | None = None
    block: Block | None = None


def counted_attempts(task: Task) -> int:
    """Return how many failed attempts count towards the limit.

    Attempts that a person has forgiven (`retry`), released, or stopped do not, nor do those that a
    provider has refused.
    """
    free = {"succeeded", "released", "stopped", "environment", "spec_changed", *PROVIDER}
    return sum(1 for a in task.attempts if a.number > task.forgiven and a.outcome not in free)


def backoff_s(task: Task, failures: int) -> float:
    """Return the seconds to wait after that many failures: doubled each time, up to a bound."""
    retry = task.spec.retry
    return float(min(retry.backoff_max_s, retry.backoff_s * 2 ** max(failures - 1, 0)))


def after_failure(task: Task, failure_class: str, message: str, *, now: datetime) -> Next:
    """Return what follows a failure of *task*, whose document counts the attempt already.

    Only classes of the task's `retry.on` lead to another attempt by themselves (WFL-RESULT-020).
    A provider's refusal leads back to waiting, for any provider that is open (WFL-ROUTE-020).
    """
    if failure_class in PROVIDER:
        return Next(Status.WAITING, hold=Hold(code="provider", reason=message))
    if failure_class in task.spec.retry.on:
        failures = counted_attempts(task)
        if failures < task.spec.retry.max_attempts:
            wait = backoff_s(task, failures)
            until = iso(now + timedelta(seconds=wait))
            return Next(Status.WAITING, hold=Hold(code="backoff", reason=message, until=until))
        reason = f"{failures} attempts failed; the last: {message}"
        return Next(Status.BLOCKED, block=block(task, "exhausted", reason))
    return Next(Status.BLOCKED, block=block(task, failure_class, message))


def block(
    task: Task, code: str, reason: str, *, paths: tuple[str, ...] = (), **facts: object
) -> Block:
    """Return the block of *task*, ending with the command that lifts it (WFL-STATUS-020)."""
    command = command_for(task.id, code, paths, writes=task.spec.writes)
    return Block(code=code, reason=reason, command=command, facts=dict(facts))


def command_for(
    task_id: str, code: str, paths: tuple[str, ...] = (), *, writes: bool = True
) -> str:
    """Return the command that lifts a block, ready to paste.

    Of a task that writes nothing there is no work to open and mend.
    """
    if code == "out_of_scope" and paths:
        return f"wfledger widen {task_id} {shlex.join(paths)}"
    verb = _VERBS.get(code, "retry")
    if verb == "open" and not writes:
        verb = "retry"
    tail = " 'YOUR ANSWER'" if verb == "answer" else ""
    tail = " yes" if code == "approval" else tail
    return f"wfledger {verb} {task_id}{tail}"


def is_due(hold: Hold | None, *, now: datetime, longest_s: float) -> bool:
    """Whether a hold is over.

    The wall clock may jump: a moment further away than any backoff can be counts as past.
    """
    if hold is None or hold.until is None:
        return True
    until = datetime.fromisoformat(hold.until)
    return until <= now or until > now + timedelta(seconds=longest_s)
