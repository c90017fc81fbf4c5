"""Completion scripts for shells."""

from typing import Final

import click
from click.shell_completion import get_completion_class

from wfledger.errors import UsageError

#: Shell -> the line that completes the short name as the long one.
_SHORT: Final = {
    "bash": "complete -o nosort -F _wfledger_completion wfl",
    "zsh": "compdef _wfledger_completion wfl",
    "fish": "complete --no-files --command wfl --wraps wfledger",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(tuple(_SHORT)))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print a completion script, also for wfl; for bash: eval "$(wfledger completion bash)"."""
    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"no completion is known for {shell}")
    root = context.find_root()
    script = found(root.command, {}, "wfledger", "_WFLEDGER_COMPLETE")
    click.echo(f"{script.source()}\n{_SHORT[shell]}")
