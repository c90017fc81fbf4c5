"""Completion scripts for shells."""

from typing import Final

import click
from click.shell_completion import get_completion_class

from wfledger.errors import UsageError

_SHELLS: Final = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print a completion script; for bash: eval "$(wfledger completion bash)"."""
    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"no completion is known for {shell}")
    root = context.find_root()
    script = found(root.command, {}, "wfledger", "_WFLEDGER_COMPLETE")
    click.echo(script.source())
