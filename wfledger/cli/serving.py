"""The verb `mcp`: the ledger as tools for an agent that drives itself."""

import os
import sys
from typing import Final

import click

from wfledger.cli.common import App, pass_app, state_home, worker_name
from wfledger.core.text import clean

#: The mark keeps click from folding the lines.
_EXAMPLES: Final = """\b
For example:
  claude mcp add wfledger -- wfledger mcp
  codex mcp add wfledger -- wfledger mcp
  wfledger setup claude                # the same, with a skill and hooks"""


@click.command("mcp", epilog=_EXAMPLES)
@click.option("--worker", help="Who claims are made for; else this machine and process.")
@click.option("--answer-within", "answer_s", type=click.FloatRange(0, min_open=True),
              default=45.0, show_default=True, metavar="SECONDS",
              help="Answer by then though checks go on: many agents give up after 60.")  # fmt: skip
@pass_app
def mcp(app: App, *, worker: str | None, answer_s: float) -> int:
    """Serve one agent over standard input and output (Model Context Protocol).

    An agent's program starts this; eight tools stand for the verbs of a worker, wf_brief first. It
    works in any worktree of the repository, renews the claims that it gives, and keeps their
    tokens. When the agent hangs up nothing is released: a claim ends with its lease.
    """
    from wfledger.mcp.server import serve
    from wfledger.mcp.session import Start

    if sys.stdin.isatty():
        click.echo("an agent's program speaks with this; set one up: wfledger setup", err=True)
    start = Start(
        folder=app.start.absolute(), state_home=state_home(), worker=worker or worker_name(),
        environ=dict(os.environ), log=lambda text: click.echo(clean(text), err=True),
        answer_s=answer_s,
    )  # fmt: skip
    return serve(start, clock=app.clock)
