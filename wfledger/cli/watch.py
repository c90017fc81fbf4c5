"""`watch`: a live board of the fleet, with keys for what a person may want to do about it.

It reads the ledger's folders about twice a second and changes nothing by looking; runs, daemons
and other boards go on beside it. The picture is made by `looks.board`, drawn by
`watch_screen`.
"""

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from wfledger.cli.common import App, pass_app
from wfledger.cli.render import is_fancy, say
from wfledger.errors import UsageError

if TYPE_CHECKING:
    from wfledger.run.looks.board import Board
    from wfledger.run.workspace import Workspace


@click.command("watch")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True,
              help="Print a line of JSON for each change instead, until interrupted.")  # fmt: skip
@pass_app
def watch(app: App, *, run: str | None, as_json: bool) -> None:
    """Watch a run, or everything that has not landed, on a live board.

    It changes nothing by looking, and whatever works goes on beside it and after it. Keys choose a
    task and act on it: w says why it is where it is, l follows its output, s stops it, r tries it
    again, a answers its question, o opens its work; p pauses dispatch and ? lists every key.
    """
    from wfledger.run.looks.board import Board
    from wfledger.run.looks.naming import find_run

    workspace = app.workspace
    board = Board(workspace, find_run(workspace, run).id if run else None)
    if as_json:
        _print_changes(workspace, board)
        return
    if not _is_terminal():
        raise UsageError(
            "watch draws on a terminal, and this is none",
            hint="wfledger status, or wfledger logs -f TASK, or wfledger watch --json",
        )
    from wfledger.cli.watch_actions import Actions
    from wfledger.cli.watch_loop import Watch
    from wfledger.cli.watch_terminal import Terminal

    actions = Actions(workspace)
    try:
        with Terminal(coloured=is_fancy()) as terminal:
            Watch(workspace, board, actions, terminal).go()
    except KeyboardInterrupt:
        return
    finally:
        if actions.busy:
            say(f"waiting for: {', '.join(actions.busy)}", err=True)
        actions.close()


def _is_terminal() -> bool:
    can_draw = os.environ.get("TERM", "dumb") != "dumb"
    return sys.stdin.isatty() and sys.stdout.isatty() and can_draw


def _print_changes(workspace: "Workspace", board: "Board") -> None:
    from wfledger.cli.watch_loop import LOOK_S
    from wfledger.run.looks.board import Picture, changes

    before = Picture(workspace.clock.now())
    while True:
        after = board.look()
        for event in changes(before, after):
            click.echo(json.dumps(event, ensure_ascii=True))
        before = after
        workspace.clock.wait(LOOK_S)
