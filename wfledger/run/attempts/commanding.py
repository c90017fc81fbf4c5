"""Running a command of the user's the way a worker is run: built environment, limits, a log.

Verification, gate and worktree setup use it, so that none of them can do what a worker cannot.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.core.records import Command
from wfledger.run.guard import vouching
from wfledger.run.processes.environment import build
from wfledger.run.processes.process import Ended, Job, ProcessLimits, run_job
from wfledger.run.processes.sandbox import sandbox_for
from wfledger.run.workspace import Workspace

SHELL: Final = "/bin/sh"
#: Variable by which the processes of a job are found again.
TAG: Final = "WFLEDGER_TAG"
_TAIL_BYTES: Final = 2000


@dataclass(frozen=True)
class Order:
    """A command to run: where, under which name, for how long."""

    command: Command
    cwd: Path
    #: Distinguishes it among all that runs for this ledger.
    name: str
    log: Path
    timeout_s: float
    extra: Mapping[str, str]


def argv_of(command: Command) -> tuple[str, ...]:
    """Return the argument vector: a string is a line for the shell."""
    if isinstance(command, str):
        return (SHELL, "-c", command)
    return tuple(command)


def tag_for(workspace: Workspace, name: str) -> str:
    """Return the tag that marks the processes of *name* in this ledger."""
    return f"{workspace.ledger.layout.local}:{name}"


def run_command(workspace: Workspace, order: Order, *, stop: threading.Event) -> Ended:
    """Run *order* to its end, shut in as `[defaults]` says; its processes are gone on return."""
    tag = tag_for(workspace, order.name)
    fleet = vouching.fleet(workspace)
    environment = build(fleet.env_pass, {**order.extra, TAG: tag}, order.cwd)
    job = Job(
        argv=argv_of(order.command),
        cwd=order.cwd,
        env=environment,
        output=order.log,
        limits=ProcessLimits(wall_s=order.timeout_s, idle_s=None, silence_s=None,
                             output_bytes=2**20, grace_s=5.0),
        tag=tag,
        keep_open=(),
        sandbox=sandbox_for(workspace, fleet.confinement, (order.cwd,)),
    )
    return run_job(job, stop=stop, clock=workspace.clock)


def tail_of(log: Path) -> str:
    """Return the end of a log for a message; empty when there is none."""
    try:
        raw = log.read_bytes()[-_TAIL_BYTES:]
    except OSError:
        return ""
    return raw.decode("utf-8", "replace").strip()
