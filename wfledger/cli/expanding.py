"""The verb `expand`: a worker adds tasks below the one that it holds."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.confirming import bring_in
from wfledger.cli.holding import held_by
from wfledger.cli.render import say
from wfledger.core import bounds
from wfledger.errors import InvalidDocumentError, UsageError

_EXAMPLES: Final = """\b
For example, in a task that may write src:
  echo '[{"id": "lexer", "prompt": "Port the lexer.", "write": ["src/lexer"]},
         {"id": "parser", "prompt": "Port the parser.", "write": ["src/parser"],
          "after": ["lexer"]}]' | wfledger expand --file -"""


@click.command("expand", epilog=_EXAMPLES)
@click.argument("task", envvar="WFLEDGER_TASK", required=False)
@click.option(
    "--file",
    "source",
    required=True,
    metavar="FILE",
    help="A JSON list of tasks, as in the short form of plans; - is standard input.",
)
@click.option(
    "--token", envvar="WFLEDGER_TOKEN", help="The secret of the claim; else $WFLEDGER_TOKEN."
)
@json_option
@pass_app
def expand(app: App, *, task: str | None, source: str, token: str | None, as_json: bool) -> None:
    """Add tasks below TASK, which you hold: at most 50 in one call.

    They may write, spend and reach no more than TASK may itself, wait for each other or for tasks
    of its run (`after`), and start while you go on unless your scopes meet. The same call again
    adds nothing twice.

    Exit status 4: the attempt is over. 6: nothing is left of its budget. 7: a task is wrong, or
    asks for more than TASK has.
    """
    from wfledger.run.attempts.expanding import expand as add_below

    task_id, token = held_by(app, task, token)
    done = add_below(app.workspace, task_id, token, _read(source))
    brought = bring_in(app)
    if as_json:
        emit({**done.as_json(), **brought})
        return
    for name, task_id in done.tasks.items():
        say(f"{task_id}{' (was there)' if name in done.existing else ''}")


def _read(source: str) -> list[Any]:
    from wfledger.core.records import load_json
    from wfledger.store import atomic

    if source == "-":
        raw = sys.stdin.buffer.read(bounds.PLAN_BYTES + 1)
    else:
        try:
            raw = atomic.read(Path(source), limit=bounds.PLAN_BYTES)
        except FileNotFoundError:
            raise UsageError(f"there is no file {source}") from None
    found = load_json(raw, limit=bounds.PLAN_BYTES)
    if not isinstance(found, list):
        raise InvalidDocumentError("tasks are given as a JSON list", hint="wfledger expand --help")
    return found
