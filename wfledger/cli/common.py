"""What the verbs share: opening the ledger, task names, `--json`, who we are.

Here, and in the options of click, is where the environment is read; nothing below the command line
does it for itself.
"""

import getpass
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wfledger.clock import SKEW, Clock, SystemClock
from wfledger.errors import UsageError

if TYPE_CHECKING:
    from wfledger.run.workspace import Within, Workspace

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


@dataclass
class App:
    """One call of the program."""

    #: Where it was started, or what -C said.
    start: Path

    @cached_property
    def clock(self) -> Clock:
        """The machine's clock."""
        return SystemClock(float(os.environ.get(SKEW) or 0))

    @cached_property
    def workspace(self) -> "Workspace":
        """The ledger of the repository that we are in; opened once."""
        from wfledger.run.workspace import Workspace

        workspace = Workspace.open(self.start, clock=self.clock, state_home=state_home())
        workspace.within = started_in(os.environ)
        return workspace

    @cached_property
    def machine_state(self) -> "Workspace":
        """The same, even where the ledger's folder is gone; for what looks at this machine only."""
        from wfledger.run.workspace import Workspace

        return Workspace.open_damaged(self.start, clock=self.clock, state_home=state_home())

    def task_id(self, name: str) -> str:
        """Return the full id of a task that may be named in short."""
        from wfledger.run.looks.naming import resolve

        return resolve(self.workspace, name)


    def goes_on(self, run_id: str) -> str:
        """Return what to say of a run in which something may start now."""
        from wfledger.run.service.instance import is_up

        if is_up(self.workspace):
            return "the daemon takes it up"
        return f"next: wfledger run {run_id}"


def started_in(environ: Mapping[str, str]) -> "Within | None":
    """Return the attempt whose worker has started us, by its variables; None: nobody's has."""
    from wfledger.core.usage import Budget
    from wfledger.run.workspace import Within

    task, token = environ.get("WFLEDGER_TASK"), environ.get("WFLEDGER_TOKEN")
    if not task or not token:
        return None
    root, depth = environ.get("WFLEDGER_DIR"), environ.get("WFLEDGER_DEPTH")
    try:
        budget = Budget(**json.loads(environ.get("WFLEDGER_BUDGET") or "{}"))
        levels = int(depth) if depth else None
    except (ValueError, TypeError):
        raise UsageError("WFLEDGER_DEPTH or WFLEDGER_BUDGET is not what wfledger sets") from None
    return Within(task, token, Path(root) if root else None, levels, budget)


pass_app = click.make_pass_decorator(App)


def state_home() -> Path:
    """Return where a user's programs keep their state; relative settings do not count."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".local/state"


def worker_name() -> str:
    """Return the name of a worker that gives none: its machine and process."""
    return f"{platform.node() or 'localhost'}-{os.getpid()}"


def user() -> str:
    """Return the name of the person at the keyboard, as the system knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in a container
        return str(os.getuid())


def json_option(command: CommandT) -> CommandT:
    """Give a command the option `--json`, passed as `as_json`."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object; prose goes to stderr."
    )
    return option(command)


def emit(data: Any) -> None:
    """Print the one JSON object of a verb; ASCII, so that no terminal can obey what is in it."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=True, allow_nan=False))
