"""The tool that runs a command: in the role's sandbox, for a bounded time, with bounded output.

What it starts ends with it, and bears the lock of the attempt's tree like every other process of
the attempt; it is given no key of a provider and no token of the ledger.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.run.models.places import ToolError
from wfledger.run.processes.jobs import ProcessLimits
from wfledger.run.processes.process import TAG_NAME, Ended, Job, run_job
from wfledger.run.processes.proctree import HAS_PROC
from wfledger.run.processes.sandbox import Sandbox

#: Bytes of output that are kept: the first and the last half.
OUTPUT_BYTES: Final = 32 * 1024
DEFAULT_S: Final = 120.0
LONGEST_S: Final = 1800.0
_SHELL: Final = "/bin/sh"
_GRACE_S: Final = 2.0


@dataclass(frozen=True)
class Means:
    """What commands are run with."""

    folder: Path
    #: The whole environment.
    env: Mapping[str, str]
    #: None: without one, as this machine allows.
    sandbox: Sandbox | None
    #: Where the output of the present command goes.
    output: Path
    #: Names the processes of this attempt.
    tag: str
    #: Blotted out of the output before any of it is written.
    secrets: tuple[str, ...] = ()


class Commands:
    """Runs one command after the other."""

    def __init__(self, means: Means, clock: Clock) -> None:
        self._means, self._clock = means, clock
        #: How many were run.
        self.count = 0

    def run(self, arguments: Mapping[str, Any], *, at_most_s: float) -> str:
        """Run a command line of the shell; returns its status and output."""
        command = arguments.get("command")
        if not isinstance(command, str) or not command.strip() or "\0" in command:
            raise ToolError("command must be a line for /bin/sh")
        limit = min(_seconds(arguments.get("timeout_s")), at_most_s)
        self.count += 1
        ended = run_job(self._job(command, limit), stop=threading.Event(), clock=self._clock)
        output = self._means.output.read_bytes().decode("utf-8", "replace")
        self._means.output.unlink(missing_ok=True)
        return f"({_said(ended, limit)})\n{output}"

    def _job(self, command: str, limit: float) -> Job:
        means = self._means
        return Job(
            argv=(_SHELL, "-c", command), cwd=means.folder, env=means.env, output=means.output,
            limits=ProcessLimits(wall_s=limit, output_bytes=OUTPUT_BYTES, grace_s=_GRACE_S),
            tag=means.tag, keep_open=tuple(_tree_locks()), sandbox=means.sandbox,
            secrets=means.secrets,
        )  # fmt: skip


def own_tag() -> str:
    """Return the tag of commands that this process runs: its own, and a part more."""
    return f"{os.environ.get(TAG_NAME, str(os.getpid()))}.run"


def _tree_locks() -> Iterable[int]:
    """Yield the descriptors by which the runtime finds every process of the attempt."""
    if not HAS_PROC:  # nothing is found by them there
        return
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        try:
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:  # that of the listing itself
            continue
        if target.endswith(".tree") and os.get_inheritable(int(name)):
            yield int(name)


def _seconds(value: object) -> float:
    if value is None:
        return DEFAULT_S
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_S:
        raise ToolError(f"timeout_s must be a number of seconds, at most {LONGEST_S:g}")
    return float(value)


def _said(ended: Ended, limit: float) -> str:
    if ended.reason == "wall":
        return f"ended after {limit:g} s, its limit; give timeout_s, or run less"
    if ended.reason == "spawn_failed":
        raise ToolError(f"it could not be started: {ended.message}")
    return ended.message
