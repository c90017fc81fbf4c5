"""The names of wfledger's refs in the user's repository (spec 10, "Names")."""

from typing import Final

KEEP: Final = "refs/wfledger/keep"
LANDED: Final = "refs/wfledger/landed"
#: Reaches the work of what was over long ago; its refs were folded into it.
ARCHIVE: Final = "refs/wfledger/archive"
#: What a merger was before it was taken over can no longer be swapped in (WFL-LAND-024).
FENCE: Final = "refs/wfledger/fence"
#: What was fetched from the remote, and what is to be pushed there (spec 97).
HUB: Final = "refs/wfledger/hub"
TRY: Final = "refs/heads/wf-try"
HEADS: Final = "refs/heads/"
#: What the names of the branches of runs begin with; the same on a remote.
RUNS: Final = f"{HEADS}wf/"


def keep_ref(task_id: str, attempt: int) -> str:
    """Return the ref that keeps an attempt's work."""
    return f"{KEEP}/{task_id}/{attempt}"


def late_ref(task_id: str, attempt: int, head: str) -> str:
    """Return the ref of work that was found when the attempt was over and kept already."""
    return f"{KEEP}/{task_id}/late-{attempt}-{head[:12]}"


def landed_ref(task_id: str) -> str:
    """Return the ref that proves a task's landing."""
    return f"{LANDED}/{task_id}"


def fence_ref(task_id: str) -> str:
    """Return the ref that a taken over merger finds changed."""
    return f"{FENCE}/{task_id}"


def try_branch(task_id: str, attempt: int) -> str:
    """Return the branch that a writer's worktree is on."""
    return f"{TRY}/{task_id}/{attempt}"


def seen_ref(branch: str) -> str:
    """Return the ref that says where *branch*, a full name, was on the remote when it was seen."""
    return f"{HUB}/heads/{branch.removeprefix(HEADS)}"
