"""Asking a process of its own about one file of a snapshot (WFL-RESULT-038).

A pattern that never comes to an end, or a document that fills all memory, ends that process with a
reason and leaves the merger as it was. Question and answer are files without a name, so nothing is
left behind when either side is killed.
"""

import json
import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wfledger.core.documents import Check, Task
from wfledger.core.scopes import parse
from wfledger.core.verification import PROBED_BYTES, missing_file
from wfledger.errors import EnvironmentFailedError
from wfledger.run.attempts.commanding import tag_for, tail_of
from wfledger.run.attempts.worktrees import scratch_name
from wfledger.run.merger.cleanroom import log_path
from wfledger.run.processes import aside
from wfledger.run.processes.process import sweep, tagged
from wfledger.run.workspace import Workspace
from wfledger.vcs.contents import Contents

#: Seconds of computing, and of waiting on a machine that has no time for it.
_CPU_S: Final = 10
_WALL_S: Final = 60.0
_PURPOSE: Final = "probe"
_MODULE: Final = "wfledger.run.merger.probe"


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
        sweep(tag, grace_s=aside.GRACE_S)


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
    limit = _limit(check)
    name = scratch_name(workspace, task, _PURPOSE)
    errand = aside.Errand(
        module=_MODULE, question=_question(check, contents.read(path), cpu_s=limit.cpu_s),
        folder=workspace.ledger.layout.tmp, log=log_path(workspace, name),
        tag=tag_for(workspace, name), wall_s=limit.wall_s,
    )  # fmt: skip
    said = aside.ask(errand, stop=stop, clock=workspace.clock)
    return _read(said, check, limit=limit, log=errand.log)


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


def _question(check: Check, content: bytes, *, cpu_s: int) -> bytes:
    asked = {
        "kind": check.kind, "path": check.path, "pattern": check.pattern, "cpu_s": cpu_s,
        "expression": check.expression, "equals": check.equals,
    }  # fmt: skip
    return json.dumps(asked).encode() + b"\n" + content


def _read(said: aside.Said, check: Check, *, limit: _Limit, log: Path) -> Probed:
    ended = said.ended
    if ended.reason == "stopped":
        return Probed(stopped=True)
    if ended.reason == "wall":
        return Probed(f"{check.path}: no answer within {limit.wall_s:g} s")
    if said.is_out_of_time:
        return Probed(f"{check.path}: no answer within {limit.cpu_s} s of computing")
    if ended.signal is not None:
        return Probed(f"{check.path}: {ended.message} while it was looked into")
    try:
        reason: Any = json.loads(said.answer)["reason"]
    except (ValueError, KeyError, TypeError):
        raise EnvironmentFailedError(
            f"{check.path} could not be looked into: {ended.message}: {tail_of(log)}"
        ) from None
    log.unlink(missing_ok=True)
    return Probed(reason)
