"""`[notify]` of fleet.toml: which command is told that people are wanted, and of what."""

from dataclasses import dataclass
from typing import Final

from wfledger.core.records import Command
from wfledger.run.config.settings import Reader

#: A task is newly blocked or waits for somebody to take it; a run has come to its end or cannot go
#: on without a person; dispatch was paused, by hand or by an alarm; a provider of models refuses
#: everybody; syncing with the remote is stopped; something done here came too late.
EVENTS: Final = ("needs_person", "run_over", "paused", "provider", "remote", "lost")
#: Seconds that the command may take.
DEFAULT_S: Final = 30.0


@dataclass(frozen=True)
class Notify:
    """Whom to tell."""

    command: Command
    #: Names of variables that the command is given besides those of every worker; workers are not.
    pass_names: tuple[str, ...] = ()
    timeout_s: float = DEFAULT_S
    events: tuple[str, ...] = EVENTS


def read_notify(table: Reader, pass_names: tuple[str, ...]) -> Notify | None:
    """Return what the table says; None where it names no command."""
    command = table.command("command")
    timeout_s = table.seconds("timeout")
    chosen = table.each("events", _event_problem) if table.has("events") else EVENTS
    if command is None:
        return None
    return Notify(command, pass_names, timeout_s or DEFAULT_S, chosen)


def _event_problem(name: str) -> str | None:
    return None if name in EVENTS else f"is no event; there are {', '.join(EVENTS)}"
