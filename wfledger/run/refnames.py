"""The names of wfledger's refs in the user's repository (spec 10, "Names")."""

from typing import Final

KEEP: Final = "refs/wfledger/keep"
LANDED: Final = "refs/wfledger/landed"
TRY: Final = "refs/heads/wf-try"
HEADS: Final = "refs/heads/"


def keep_ref(task_id: str, attempt: int) -> str:
    """Return the ref that keeps an attempt's work."""
    return f"{KEEP}/{task_id}/{attempt}"


def landed_ref(task_id: str) -> str:
    """Return the ref that proves a task's landing."""
    return f"{LANDED}/{task_id}"


def try_branch(task_id: str, attempt: int) -> str:
    """Return the branch that a writer's worktree is on."""
    return f"{TRY}/{task_id}/{attempt}"
