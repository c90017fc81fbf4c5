"""Which claim a worker's verb means: as given or in the environment, else by where it is called."""

from wfledger.cli.common import App
from wfledger.errors import UsageError


def held_by(app: App, task: str | None, token: str | None) -> tuple[str, str | None]:
    """Return the full id of a task and the token to act with.

    Without a task it is the one whose worktree we stand in, and its token where none is given.
    """
    from wfledger.run.hooks.claimed import at

    here = at(app.start.absolute()) if not (task and token) else None
    if not task:
        if here is None:
            raise UsageError("which task? Name it, set WFLEDGER_TASK, or stand in its worktree")
        return here.task_id, token or here.token
    task_id = app.task_id(task)
    return task_id, token or (here.token if here is not None and here.task_id == task_id else None)
