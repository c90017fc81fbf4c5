"""What has been used, attempt by attempt: those that are over, and what meters say of the others.

A line is added for each attempt of an agent or a model before its end is recorded, so that none is
missing after a crash; the last line of an attempt counts. Commands that say nothing of usage add
nothing, so that a ledger of commands pays nothing for it. Where the file is missing it is made anew
from the results by the next runtime, and until then they are read.
"""

import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from wfledger.core import bounds
from wfledger.core.documents import Result, Task
from wfledger.core.routes import Routed
from wfledger.core.usage import Spent, Usage, total
from wfledger.errors import WfledgerError
from wfledger.run.money import meters
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.layout import run_of

_FILE: Final = "usage.jsonl"
#: More generations than there can be.
_DEEPEST: Final = 2 * bounds.MAX_DEPTH
#: Ends of attempts in which no worker was started.
_UNBEGUN: Final = frozenset({"environment", "spec_changed", "stopped", "auth", "quota"})


@dataclass(frozen=True)
class Used:
    """What one attempt has used."""

    task: str
    attempt: int
    #: None: nobody knows anything.
    usage: Usage | None
    provider: str | None = None
    model: str | None = None
    #: The adapter of an agent, or the role of a program.
    agent: str | None = None
    #: The tasks that its task belongs to, nearest first: what it uses is theirs as well.
    above: tuple[str, ...] = ()

    @property
    def runs(self) -> frozenset[str]:
        """The runs that it counts to."""
        return frozenset(run_of(name) for name in (self.task, *self.above))

    @property
    def account(self) -> str | None:
        """Whose money it is: of its provider, or of the agent's own account."""
        return self.provider or self.agent

    @property
    def who(self) -> str:
        """How people know who it was: the agent and its model, as far as they are known."""
        model = "/".join(part for part in (self.provider, self.model) if part)
        if self.agent is None or not model:
            return self.agent or model or "unknown"
        return f"{self.agent} ({model})"


class Spending:
    """Reads what was added since the last look, and the meters of what runs; for any thread."""

    def __init__(
        self, local: Path, above: Callable[[str], tuple[str, ...]],
        recorded: Callable[[], Iterable[Used]],
    ) -> None:  # fmt: skip
        self._local = local
        self._find_above = above
        self._find_recorded = recorded
        #: Whether what was read so far comes from a file, or from the results in its place.
        self._has_read = False
        self._lock = threading.Lock()
        self._path = local / "index" / _FILE
        self._at = 0
        self._file: tuple[int, int] | None = None
        self._over: dict[tuple[str, int], Used] = {}
        self._live: dict[tuple[str, int], Used] = {}

    def look(self) -> "Spending":
        """Look again, and return itself. A meter counts until its attempt's end is recorded."""
        with self._lock:
            self._look()
        return self

    def _look(self) -> None:
        try:
            with self._path.open("rb") as file:
                facts = os.fstat(file.fileno())
                if self._file != (facts.st_dev, facts.st_ino) or facts.st_size < self._at:
                    self._file, self._at = (facts.st_dev, facts.st_ino), 0
                    self._over.clear()
                file.seek(self._at)
                raw = file.read()
        except FileNotFoundError:
            raw = b""
            if not self._has_read:
                _join(self._over, self._find_recorded())
        self._has_read = True
        whole = raw[: raw.rfind(b"\n") + 1]
        self._at += len(whole)
        _join(self._over, filter(None, map(_read_line, whole.splitlines())))
        self._live = {
            (name.task_id, name.attempt):
                replace(_routed(Used(name.task_id, name.attempt, meter.usage), meter.route),
                        above=self._find_above(name.task_id))
            for name, meter in meters.written(self._local)
            if (name.task_id, name.attempt) not in self._over
        }  # fmt: skip

    def attempts(self) -> list[Used]:
        """Return every attempt that is known of."""
        with self._lock:
            return [*self._over.values(), *self._live.values()]

    def of_runs(self, runs: Collection[str]) -> Spent:
        """Return what the attempts of *runs* have used, and of runs that their workers started."""
        return self._sum(
            one for one in self.attempts()
            if not one.runs.isdisjoint(runs)
        )  # fmt: skip

    def of_task(self, task_id: str) -> Spent:
        """Return what all attempts of a task have used, and of what its workers started."""
        return self._sum(
            one for one in self.attempts() if task_id == one.task or task_id in one.above
        )

    def of_account(self, name: str) -> Spent:
        """Return what was used of a provider, or of an agent's own account."""
        return self._sum(one for one in self.attempts() if one.account == name)

    def _sum(self, found: Iterable[Used]) -> Spent:
        return total(one.usage for one in found)


def spending_of(workspace: Workspace) -> Spending:
    """Return what has been used in a ledger; whoever asks again keeps it (`Workspace.spending`)."""
    layout = workspace.ledger.layout
    return Spending(
        layout.local, lambda task_id: above(workspace, task_id), lambda: _results(workspace)
    )


def above(workspace: Workspace, task_id: str) -> tuple[str, ...]:
    """Return the tasks whose workers have added a task, or started its run, nearest first."""
    found: list[str] = []
    name: str | None = task_id
    while name is not None and name not in found and len(found) <= _DEEPEST:
        if name != task_id:
            found.append(name)
        try:
            entry = workspace.ledger.find(name)
            parent = entry.task.spec.parent if entry is not None else None
            name = parent or workspace.ledger.run(run_of(name)).parent
        except (WfledgerError, ValueError):
            break
    return tuple(found)


def note(workspace: Workspace, task: Task, result: Result) -> Result:
    """Add the end of an attempt, durably; returns *result* with what its meter knows.

    Called under the ledger's lock, before the end is recorded. Raises `OSError`.
    """
    layout = workspace.ledger.layout
    meter = meters.path_of(layout.local, result.task, result.attempt)
    if result.usage is None and (metered := meters.read(meter)) is not None:
        result = result.but(usage=metered.usage, route=result.route or metered.route)
    path = layout.local / "index" / _FILE
    if not path.exists():
        make_anew(workspace)
    used = used_by(task, result)
    if used is not None:
        _append(path, _line(replace(used, above=above(workspace, task.id))))
    return result


def used_by(task: Task, result: Result) -> Used | None:
    """Return what the end of an attempt counts as; None where it used nothing of anybody's.

    What was reused has been counted where it was worked for (WFL-REUSE-014).
    """
    if result.reused is not None:
        return None
    is_agent = task.spec.prompt is not None and task.spec.command is None and not task.spec.manual
    why = result.failure.failure_class if result.failure else None
    begun = result.confined is not None or why not in _UNBEGUN
    if result.usage is None and not (is_agent and begun):
        return None
    role = task.spec.role if is_agent else None
    used = Used(result.task, result.attempt, result.usage, agent=role)
    return _routed(used, result.route)


def _routed(used: Used, route: Routed | None) -> Used:
    """Return *used* with the model and the agent that *route* names."""
    if route is None:
        return used
    return replace(used, provider=route.provider, model=route.model, agent=route.adapter)


def make_anew(workspace: Workspace) -> None:
    """Write the file from the results and what it says itself; called under the ledger's lock."""
    layout = workspace.ledger.layout
    path = layout.local / "index" / _FILE
    found: dict[tuple[str, int], Used] = {}
    _join(found, _results(workspace))
    _join(found, _said(path))
    raw = b"".join(_line(used) for used in found.values())
    atomic.replace(path, raw, tmp=layout.tmp)


def ensure(workspace: Workspace) -> None:
    """Make the file where it is missing, so that nobody has to read every result for it."""
    path = workspace.ledger.layout.local / "index" / _FILE
    if path.exists():
        return
    with workspace.ledger.locks.hold("ledger"):
        if not path.exists():
            make_anew(workspace)


def missing(workspace: Workspace) -> list[Used]:
    """Return what the results say of attempts and the file does not; changes nothing.

    The results are read first: a line stands in the file before its result is recorded.
    """
    recorded = list(_results(workspace))
    said: dict[tuple[str, int], Used] = {}
    _join(said, _said(workspace.ledger.layout.local / "index" / _FILE))
    known = {key: one.usage for key, one in said.items()}
    return [
        one for one in recorded
        if (one.task, one.attempt) not in known
        or (one.usage is not None and known[one.task, one.attempt] is None)
    ]  # fmt: skip


def _said(path: Path) -> Iterator[Used]:
    """Yield what the file says that is whole; nothing where it is missing."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    yield from filter(None, map(_read_line, raw.splitlines()))


def _join(found: dict[tuple[str, int], Used], more: Iterable[Used]) -> None:
    """Add what is said later: the last word counts.

    Who finished what a crash has cut short may know less than was said before.
    """
    for one in more:
        if one.usage is not None or (one.task, one.attempt) not in found:
            found[one.task, one.attempt] = one


def _results(workspace: Workspace) -> Iterator[Used]:
    """Yield what the recorded ends say; one that cannot be read is left out, `doctor` names it."""
    ledger = workspace.ledger
    try:
        folders = sorted(path.name for path in (ledger.layout.root / "results").iterdir())
    except FileNotFoundError:
        return
    for name in folders:
        try:
            entry = ledger.find(name)
            numbers = range(1, entry.task.attempt + 1) if entry is not None else ()
            results = [ledger.result(name, number) for number in numbers]
        except (WfledgerError, OSError, ValueError):
            continue
        for result in results if entry is not None else ():
            used = used_by(entry.task, result) if entry is not None and result else None
            if used is not None:
                yield replace(used, above=above(workspace, name))


def _line(used: Used) -> bytes:
    facts: dict[str, Any] = {**vars(used)}
    facts["usage"] = used.usage and used.usage.model_dump(mode="json", exclude_none=True)
    return b"\n" + json.dumps(facts, separators=(",", ":")).encode() + b"\n"


def _read_line(line: bytes) -> Used | None:
    """Return what a line says; nothing for one that a crash has cut."""
    if not line.strip():
        return None
    try:
        facts = json.loads(line)
        usage, names = facts.pop("usage"), tuple(facts.pop("above"))
        return Used(usage=None if usage is None else Usage(**usage), above=names, **facts)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        atomic.write_all(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
