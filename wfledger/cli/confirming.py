"""What every verb says of what it has changed: whether the remote has it, where there is one."""

from typing import TYPE_CHECKING, Any

from wfledger.cli.common import App
from wfledger.cli.render import say

if TYPE_CHECKING:
    from wfledger.run.hub.confirming import Brought


def bring_in(app: App, *, waits: bool = True, attempt_of: str | None = None) -> dict[str, Any]:
    """Bring what was done into the history; returns what `--json` adds to its object.

    Nothing on a ledger of one machine. What the remote does not have yet is said on standard error.
    Raises `StaleError` where what was done for the task *attempt_of* turned out to come too late.
    """
    from wfledger.run.hub.confirming import bring_in as bring

    brought = bring(app.workspace, waits=waits)
    if attempt_of is not None:
        brought.refuse_lost(app.workspace, attempt_of)
    return _said(brought)


def announce(app: App) -> dict[str, Any]:
    """Let the others hear that this machine takes part; says and returns what `bring_in` does."""
    from wfledger.run.hub.confirming import announce as call

    return _said(call(app.workspace))


def _said(brought: "Brought") -> dict[str, Any]:
    if brought.said:
        say(brought.said, err=True)
    return brought.as_json()


def send(app: App, *, waits: bool = True) -> dict[str, Any]:
    """Do the same where there is a remote, and nothing elsewhere: the next committer does it."""
    return bring_in(app, waits=waits) if app.workspace.is_shared else {}
