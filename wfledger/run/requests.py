"""What a person asks of a runtime in another process, as files that it looks for."""

from wfledger.run.workspace import Workspace


def requested(workspace: Workspace, task_id: str, attempt: int) -> str | None:
    """Return why a person wants the attempt ended, or None."""
    try:
        return workspace.ledger.layout.stop(task_id, attempt).read_text("utf-8")
    except FileNotFoundError:
        return None
