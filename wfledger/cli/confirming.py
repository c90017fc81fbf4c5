"""What every verb says of what it has changed: whether the remote has it, where there is one."""

from typing import Any

from wfledger.cli.common import App
from wfledger.cli.render import say


def bring_in(app: App, *, waits: bool = True) -> dict[str, Any]:
    """Bring what was done into the history; returns what `--json` adds to its object.

    Nothing on a ledger of one machine. What the remote does not have yet is said on standard error.
    """
    from wfledger.run.hub.confirming import bring_in as bring

    brought = bring(app.workspace, waits=waits)
    if brought.said:
        say(brought.said, err=True)
    return {} if brought.is_confirmed is None else {"confirmed": brought.is_confirmed}


def send(app: App, *, waits: bool = True) -> dict[str, Any]:
    """Do the same where there is a remote, and nothing elsewhere: the next committer does it."""
    return bring_in(app, waits=waits) if app.workspace.is_shared else {}
