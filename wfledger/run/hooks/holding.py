"""Holding an agent that stops with a claimed task in its hands: at most twice, then it is let go.

The holds of a session are files whose exclusive creation counts them, so hooks that run at the same
time never hold once more. They go with the attempt's other local files.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from wfledger.core.text import clean_line
from wfledger.errors import WfledgerError
from wfledger.run.attempts.envelope import read_envelope
from wfledger.run.hooks.claimed import Claimed, mark
from wfledger.store import atomic
from wfledger.vcs.proc import run_git

#: Times that one session is held for one attempt.
HOLDS: Final = 2
_GIT_TIMEOUT_S: Final = 20.0


def open_end(claimed: Claimed, environ: Mapping[str, str]) -> str | None:
    """Return what the agent still has to do for the task that it claimed; None where it may stop.

    Who drives himself has to hand in. Where a runtime speaks for the worker the end of the process
    is how it hands in, so there only an end that could not count is held.
    """
    if not claimed.is_held:
        return None
    told = environ.get("WFLEDGER_RESULT_FILE", "")
    if not told and not claimed.has_runtime:
        return (
            f"{claimed.task_id} is claimed by this session and not handed in. If it is done: "
            "wfledger complete --check (or the tool wf_complete), which lands it. If it cannot "
            "be done: wfledger fail --reason WHY. To let another worker do it: wfledger release."
        )
    return _unsound(claimed, Path(told)) if told else None


def _unsound(claimed: Claimed, told: Path) -> str | None:
    """Return why what a worker of a runtime leaves could not count as a result, or None."""
    envelope = read_envelope(told, task_id=claimed.task_id, attempt=claimed.attempt)
    if envelope.problem is not None:
        return f"{envelope.problem}. Write {told} again as valid JSON, or remove it."
    if envelope.given or not claimed.write or _has_work(claimed):
        return None
    return (
        f"nothing has changed for {claimed.task_id}, and an attempt that changes nothing fails. Do "
        f'the task, or write {{"status": "no_change", "summary": "WHY"}} to {told}.'
    )


def _has_work(claimed: Claimed) -> bool:
    """Whether anything in the worktree is new since the claim; yes where nobody can tell."""
    folder = claimed.folder
    with suppress(WfledgerError, OSError, ValueError):
        place: dict[str, Any] = json.loads(
            claimed.layout.attempt(claimed.task_id, claimed.attempt).read_bytes()
        )
        git = ("-C", str(folder))
        head = run_git([*git, "rev-parse", "HEAD"], timeout=_GIT_TIMEOUT_S).text()
        if head != place["base"]:
            return True
        dirty = run_git([*git, "status", "--porcelain"], timeout=_GIT_TIMEOUT_S)
        return bool(dirty.out.strip())
    return True


def count(claimed: Claimed, session: str) -> int | None:
    """Return which hold this is, from 1; None when the session was held often enough.

    Raises `OSError` where nothing can be written; nobody is held then, for nobody could count it.
    """
    who = mark(session)
    beat = claimed.layout.beat(claimed.task_id, claimed.attempt)
    for number in range(1, HOLDS + 1):
        with suppress(FileExistsError):
            atomic.create(beat.with_name(f"{beat.name}.held-{who}-{number}"), b"")
            return number
    return None


def letting_go(claimed: Claimed) -> str:
    """Return what is said when a session that was held often enough stops all the same."""
    return (
        f"wfledger lets this session stop after {HOLDS} reminders. "
        f"{clean_line(claimed.task_id)} is still claimed and not handed in; it is offered again "
        f"when its lease is over. See: wfledger why {claimed.task_id}"
    )
