"""What a person asks of a runtime in another process, as files that it looks for.

The first line says why the attempt is to be ended; a second one, `cancel`, that its task is given
up with it.
"""

from wfledger.core.text import clean_line
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

_CANCEL = "cancel"


def request_end(
    workspace: Workspace, task_id: str, attempt: int, *, reason: str, cancel: bool
) -> str:
    """Ask for the end of an attempt; returns the reason as it is kept."""
    layout = workspace.ledger.layout
    said = clean_line(reason) or "on request"
    text = f"{said}\n{_CANCEL}\n" if cancel else f"{said}\n"
    atomic.replace(layout.stop(task_id, attempt), text.encode(), tmp=layout.tmp)
    return said


def requested(workspace: Workspace, task_id: str, attempt: int) -> str | None:
    """Return why a person wants the attempt ended, or None."""
    lines = _lines(workspace, task_id, attempt)
    return lines[0] if lines else None


def is_given_up(workspace: Workspace, task_id: str, attempt: int) -> bool:
    """Whether a person wants the task cancelled when the attempt has ended."""
    return _CANCEL in _lines(workspace, task_id, attempt)[1:]


def _lines(workspace: Workspace, task_id: str, attempt: int) -> list[str]:
    try:
        text = workspace.ledger.layout.stop(task_id, attempt).read_text("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines() or ["on request"]
