"""The seam between an attempt and a kind of worker: what is started, and what its end says.

A kind of worker turns an assignment into a launch and reads the end of what was launched. It
decides nothing about the task; `attempts.attempt` runs it and records what follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wfledger.core.documents import Limits, Result, Task
from wfledger.core.routes import Routed
from wfledger.core.usage import Budget
from wfledger.run.attempts.desk import Desk
from wfledger.run.config.confinement import Confinement
from wfledger.run.config.roles import Fleet
from wfledger.run.processes.process import Ended
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Assignment:
    """What a worker is started for."""

    workspace: Workspace
    task: Task
    attempt: int
    #: Where it works.
    folder: Path
    desk: Desk
    #: As somebody vouches for it.
    fleet: Fleet
    #: Its output, of every launch of the attempt one after the other.
    log: Path
    #: The model that it was given; None where none is needed.
    route: Routed | None = None
    #: What this attempt may use: what is left of its task, its run, its provider, and its role's.
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True)
class Launch:
    """A program to start in the worker's place."""

    argv: tuple[str, ...]
    #: Set as it stands here, besides what every worker is given.
    env: Mapping[str, str] = field(default_factory=dict)
    #: Names of variables that are passed on, besides the standing list.
    pass_names: tuple[str, ...] = ()
    #: Of its kind; the task's own come first and the ledger's last.
    limits: Limits = field(default_factory=Limits)
    confinement: Confinement = field(default_factory=Confinement)
    #: Existing folders outside of its worktree and its desk that it writes.
    writable: tuple[Path, ...] = ()
    #: Descriptors that it inherits; the attempt closes them when it has been started.
    keep_open: tuple[int, ...] = ()
    #: Blotted out of its output, besides the values of its variables whose names look secret.
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Ending:
    """What the end of a launch says."""

    #: Its envelope, with usage and agent in it, and with a failure unless the worker is finished.
    result: Result
    #: How to go on in the same worktree, where it died of something that passes.
    again: Launch | None = None
    #: Seconds to wait before that.
    wait_s: float = 0.0
    #: For the provider: None, `auth`, `quota`, `rate`, `overload`, with its own words.
    trouble: "Trouble | None" = None


@dataclass(frozen=True)
class Trouble:
    """What a provider has refused or failed with."""

    #: `auth`, `quota`, `rate` or `overload`.
    kind: str
    message: str
    #: Seconds that the provider asks to wait.
    retry_after_s: float | None = None


class Kind(Protocol):
    """One kind of worker."""

    def launch(self, given: Assignment) -> Launch:
        """Return what to start; raises `WfledgerError` where it cannot be started here."""

    def read_end(self, given: Assignment, ended: Ended, tries: int) -> Ending:
        """Return what the end says; *tries* counts how often it was launched in this attempt."""
