"""Asking a process of its own about one file of a snapshot (WFL-RESULT-038).

A pattern that never comes to an end, or a document that fills all memory, ends that process with a
reason and leaves the merger as it was. Question and answer are files without a name, so nothing is
left behind when either side is killed.
"""

import json
import math
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from wfledger.core.documents import Check, Task
from wfledger.core.scopes import parse
from wfledger.core.verification import PROBED_BYTES, missing_file
from wfledger.errors import EnvironmentFailedError
from wfledger.run.attempts.commanding import tag_for, tail_of
from wfledger.run.attempts.worktrees import scratch_name
from wfledger.run.merger.cleanroom import log_path
from wfledger.run.processes.environment import build
from wfledger.run.processes.process import Ended, Job, ProcessLimits, run_job, sweep, tagged
from wfledger.run.workspace import Workspace
from wfledger.vcs.contents import Contents

#: Seconds of computing, and of waiting on a machine that has no time for it.
_CPU_S: Final = 10
_WALL_S: Final = 60.0
_GRACE_S: Final = 2.0
_LOG_BYTES: Final = 2**16
_PURPOSE: Final = "probe"
_ROOT: Final = str(Path(__file__).parents[2])
#: The folder of the package stands after the standard library's: it may be anything's home.
_START: Final = (
    "import sys; sys.path.append(sys.argv.pop(1)); from wfledger.run.merger.probe import main; "
    "sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))"
)


@dataclass(frozen=True)
class Probed:
    """What a probe came to; *reason* is None when the file passes."""

    reason: str | None = None
    #: It was ended before it had an answer; that is no verdict.
    stopped: bool = False


def clear(workspace: Workspace, task: Task) -> None:
    """End what mergers before the present one have left of the probes of *task*."""
    name = workspace.ledger.layout.attempt_name(task.id, task.attempt)
    for tag in tagged(tag_for(workspace, f"{name}.{_PURPOSE}")):
        sweep(tag, grace_s=_GRACE_S)


def probe(
    workspace: Workspace, task: Task, check: Check, *, contents: Contents, stop: threading.Event
) -> Probed:
    """Return whether the file that *check* of *task* names passes it.

    Raises `EnvironmentFailedError` when the process cannot be started: that says nothing about the
    file.
    """
    missing = missing_file(contents, check.path or "")
    if missing is not None:
        return Probed(missing)
    path = parse(check.path or "").text
    large = _too_large(check, contents.size(path))
    if large is not None:
        return Probed(large)
    with ExitStack() as files:
        question = files.enter_context(tempfile.TemporaryFile())
        answer = files.enter_context(tempfile.TemporaryFile())
        limit = _limit(check)
        name = scratch_name(workspace, task, _PURPOSE)
        _write(question, check, contents.read(path), cpu_s=limit.cpu_s)
        job = _job(workspace, name, (question.fileno(), answer.fileno()), limit)
        ended = run_job(job, stop=stop, clock=workspace.clock)
        answer.seek(0)
        return _read(answer.read(), ended, check, limit=limit, log=job.output)


@dataclass(frozen=True)
class _Limit:
    cpu_s: int
    wall_s: float


def _limit(check: Check) -> _Limit:
    wall = check.timeout_s or _WALL_S
    return _Limit(max(1, min(_CPU_S, math.ceil(wall))), wall)


def _too_large(check: Check, size: int) -> str | None:
    most = PROBED_BYTES[check.kind]
    return f"{check.path} has {size} bytes; at most {most} are looked into" if size > most else None


def _write(question: IO[bytes], check: Check, content: bytes, *, cpu_s: int) -> None:
    asked = {
        "kind": check.kind, "path": check.path, "pattern": check.pattern, "cpu_s": cpu_s,
        "expression": check.expression, "equals": check.equals,
    }  # fmt: skip
    question.write(json.dumps(asked).encode() + b"\n" + content)
    question.flush()
    question.seek(0)


def _job(workspace: Workspace, name: str, files: tuple[int, int], limit: _Limit) -> Job:
    descriptors = tuple(map(str, files))
    folder = workspace.ledger.layout.tmp
    return Job(
        argv=(sys.executable, "-I", "-c", _START, _ROOT, *descriptors),
        cwd=folder,
        env=build((), {}, folder),
        output=log_path(workspace, name),
        limits=ProcessLimits(wall_s=limit.wall_s, output_bytes=_LOG_BYTES, grace_s=_GRACE_S),
        tag=tag_for(workspace, name),
        keep_open=files,
    )


def _read(answer: bytes, ended: Ended, check: Check, *, limit: _Limit, log: Path) -> Probed:
    if ended.reason == "stopped":
        return Probed(stopped=True)
    if ended.reason == "wall":
        return Probed(f"{check.path}: no answer within {limit.wall_s:g} s")
    if ended.signal in {signal.SIGXCPU, signal.SIGKILL}:
        return Probed(f"{check.path}: no answer within {limit.cpu_s} s of computing")
    if ended.signal is not None:
        return Probed(f"{check.path}: {ended.message} while it was looked into")
    try:
        said: Any = json.loads(answer)["reason"]
    except (ValueError, KeyError, TypeError):
        raise EnvironmentFailedError(
            f"{check.path} could not be looked into: {ended.message}: {tail_of(log)}"
        ) from None
    log.unlink(missing_ok=True)
    return Probed(said)
