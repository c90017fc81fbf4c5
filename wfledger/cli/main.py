"""The program: which verbs there are, where they live, and what becomes of errors.

A verb's module is imported when the verb is called and not before, so that `--help` and a claim
from a shell script pay for nothing that they do not use.
"""

import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from wfledger import __version__
from wfledger.cli.common import App
from wfledger.cli.failures import NoReaderError, exit_status_of


class Verb(NamedTuple):
    """Where a verb lives, and what the list of verbs says about it."""

    module: str
    short: str


#: Groups of the help screen in their order, with their verbs.
GROUPS: Final[Mapping[str, Mapping[str, Verb]]] = {
    "Verbs": {
        "init": Verb("authoring", "Make a ledger in this repository."),
        "demo": Verb("demo", "Watch a small fleet work in a repository of its own."),
        "check": Verb("checking", "Say everything that is wrong with a plan."),
        "plan": Verb("checking", "Show what a plan would do, before anything runs."),
        "run": Verb("running", "Run a plan, or go on with a run."),
        "status": Verb("looking", "Count tasks and runs."),
        "why": Verb("looking", "Say what a task waits for, and what ends that."),
        "diff": Verb("results", "Show what an attempt changed."),
        "answer": Verb("deciding", "Answer a task's question."),
        "retry": Verb("deciding", "Let a blocked task be tried again."),
        "land": Verb("landing", "Bring a run's results to its branch."),
        "doctor": Verb("tools", "Look for damage, and repair it."),
    },
    "More for people": {
        "add": Verb("adding", "Add one task."),
        "decompose": Verb("decomposing", "Draft a plan for a goal with a model."),
        "goal": Verb("goals", "Work towards a goal in bounded rounds."),
        "list": Verb("looking", "List tasks."),
        "show": Verb("looking", "Show a task and its result."),
        "watch": Verb("watch", "Watch the fleet on a live board."),
        "history": Verb("results", "Show how things came about."),
        "replay": Verb("replaying", "Decide again from a run's records."),
        "logs": Verb("results", "Show an attempt's output."),
        "open": Verb("deciding", "Make a worktree with a task's kept work."),
        "widen": Verb("deciding", "Allow a blocked task more paths."),
        "accept": Verb("deciding", "Land a kept or mended result."),
        "stop": Verb("deciding", "End what runs; its work is kept."),
        "pause": Verb("pausing", "Start nothing more; what runs goes on."),
        "resume": Verb("pausing", "Let what was paused go on."),
        "cancel": Verb("deciding", "Give tasks up."),
    },
    "For workers": {
        "claim": Verb("working", "Take a task on offer."),
        "heartbeat": Verb("working", "Say that an attempt goes on."),
        "complete": Verb("working", "Hand a result in."),
        "fail": Verb("working", "Say that an attempt failed."),
        "release": Verb("working", "Give a task back."),
        "expand": Verb("expanding", "Add tasks below the one you hold."),
        "tick": Verb("working", "Do once what is due."),
        "daemon": Verb("daemon", "Work on every run until stopped."),
    },
    "Tools": {
        "join": Verb("joining", "Take part in the ledger of a git remote."),
        "remote": Verb("remote", "Share the ledger through a git remote."),
        "sync": Verb("syncing", "Meet the remote now, and say what came and went."),
        "trust": Verb("trusting", "Say yes or no to what changed while attempts ran."),
        "mcp": Verb("serving", "Serve an agent: the verbs of workers as its tools."),
        "graph": Verb("graph", "Draw a plan, or a run."),
        "scope": Verb("tools", "Compare write scopes."),
        "setup": Verb("setup", "Tell a coding agent about the ledger."),
        "hook": Verb("hook", "Answer an agent's hook."),
        "import": Verb("exchange", "Take over another tracker's tasks."),
        "export": Verb("exchange", "Write every task out, one to a line."),
        "completion": Verb("shells", "Print a shell's completion script."),
        "provider": Verb("providers", "List and test providers of models; let one go on."),
        "adapter": Verb("adapters", "List, show and test adapters of agents."),
        "torture": Verb("torture", "Torture a scratch fleet, and check what must hold."),
    },
}
VERBS: Final[Mapping[str, Verb]] = {
    name: verb for group in GROUPS.values() for name, verb in group.items()
}


class Program(click.Group):
    """A group whose commands are imported when they are called, and the boundary of errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every verb in the order of the help screen."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a verb's command; None for what is no verb."""
        del ctx
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        module = importlib.import_module(f"wfledger.cli.{verb.module}")
        found = (item for item in vars(module).values() if isinstance(item, click.Command))
        return next((command for command in found if command.name == cmd_name), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs by group, importing none of them."""
        del ctx
        for title, verbs in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, verb.short) for name, verb in verbs.items()], col_max=12)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; click would make an unspecific failure of a pipe without a reader."""
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise NoReaderError from error
            raise
        return found

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> Any:
        """Run a command line and exit with its status; whatever is raised ends here."""
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            found = super().main(given, **extra)
            status = found if isinstance(found, int) else 0
        except BaseException as error:  # noqa: BLE001 - the boundary
            if isinstance(error, NoReaderError):
                _hush()
            status = exit_status_of(error, given)
        sys.exit(status)


def _hush() -> None:
    """Point standard output nowhere: its reader is gone, and the interpreter flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="A shared task ledger for fleets of coding agents, on files and git alone.",
    epilog="'wfledger VERB --help' says more. Every verb that answers takes --json.",
)
@click.option(
    "-C", "directory", metavar="DIR", default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Work as if started in DIR.",
)  # fmt: skip
@click.version_option(__version__, "--version", prog_name="wfledger")
@click.pass_context
def program(context: click.Context, directory: Path) -> None:
    """Remember what holds for every verb."""
    context.obj = App(directory)


def main() -> None:
    """Run the program; never returns."""
    if sys.stdin is None:  # it was closed; else the next file that is opened would take its number
        sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    program(prog_name="wfledger")
