"""The verb `hook`: what the hooks call that `setup` puts into agents' configurations."""

import os
import sys
from pathlib import Path

import click

from wfledger.cli.common import App, pass_app, state_home


@click.command("hook", context_settings={"ignore_unknown_options": True})
@click.argument("agent", default="")
@click.argument("event", default="")
@click.argument("rest", nargs=-1, type=click.UNPROCESSED)
@pass_app
def hook(app: App, agent: str, event: str, rest: tuple[str, ...]) -> int:
    """Answer a hook of AGENT: reads the agent's JSON, says yes (0) or no (2, with the reason).

    `wfledger setup AGENT` writes the hooks that call this. PreToolUse refuses what leaves the write
    scope of the task that the session has claimed, PostToolUse renews the claim, Stop and its like
    hold a session that has not handed in, at most twice. A session without a claim is never in the
    way of anything.
    """
    from wfledger.run.hooks.answering import Asked, answer

    del rest  # what a later configuration may add must not look like a refusal, which is status 2
    raw = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    said = answer(
        Asked(agent, event, raw, os.environ, Path.cwd(), app.clock, state_home())
    )
    if said.out:
        click.echo(said.out)
    if said.err:
        click.echo(said.err, err=True, nl=False)
    return said.status
