"""The verbs `pause` and `resume`: of the whole ledger, or of one run."""

from typing import TYPE_CHECKING

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.confirming import bring_in
from wfledger.cli.render import say
from wfledger.errors import UsageError

if TYPE_CHECKING:
    from wfledger.core.documents import Run

#: Exit status of a resume after which something else still holds everything.
_STILL_PAUSED = 8


@click.command("pause")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--reason", default="", help="Shown by status and why, and kept in the history.")
@json_option
@pass_app
def pause(app: App, *, run: str | None, reason: str, as_json: bool) -> None:
    """Start nothing more, of RUN or at all; what runs goes on to its end and lands.

    Offers are withdrawn, and a claim has exit status 8. `stop` ends what runs as well.
    """
    from wfledger.run import pausing

    workspace = app.workspace
    if run is not None:
        found = _open_run(app, run)
        changed = pausing.pause_run(workspace, found.id, reason=reason)
        what, again = f"run {found.id}", f"wfledger resume {found.id}"
    else:
        changed = pausing.set_paused(workspace, reason)
        found, what, again = None, "everything", "wfledger resume"
    brought = bring_in(app)
    if as_json:
        emit({"run": found.id if found else None, "paused": True, "changed": changed, **brought})
        return
    say(f"{what} {'is paused' if changed else 'was paused already'}; what runs goes on")
    say(f"next: {again}")


@click.command("resume")
@click.argument("run", required=False, metavar="[RUN]")
@json_option
@pass_app
def resume(app: App, *, run: str | None, as_json: bool) -> int:
    """Let RUN, or everything, go on after a pause or a stop.

    Exit status 8: an alarm still holds this machine; its command is printed.
    """
    from wfledger.run import pausing, session

    workspace = app.workspace
    if run is not None:
        found = _open_run(app, run)
        changed = found.state == "paused"
        session.reopen(workspace, found)
        what = f"run {found.id}"
    else:
        changed = pausing.set_paused(workspace, None)
        found, what = None, "everything"
    brought = bring_in(app)
    still = pausing.pause_of(workspace)
    if as_json:
        emit({
            "run": found.id if found else None, "paused": still is not None, "changed": changed,
            "held": still and {"code": still.code, "reason": still.reason,
                               "command": still.command}, **brought,
        })  # fmt: skip
    else:
        say(f"{what} {'goes on' if changed else 'was not paused'}")
    if still is None:
        return 0
    say(f"nothing is started all the same: {still.reason}\nnext: {still.command}", err=True)
    return _STILL_PAUSED


def _open_run(app: App, name: str) -> "Run":
    from wfledger.run.looks.naming import find_run

    found = find_run(app.workspace, name)
    if found.state not in {"open", "paused"}:
        raise UsageError(f"run {found.id} is {found.state}; there is nothing to pause or resume")
    return found
