"""What a case of the failure matrix has shown: how the agent's end was read, and what is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wfledger.core.documents import Result, Task
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.run.config.adapters import Adapter
from wfledger.run.rehearsal.cases import LINE, Case
from wfledger.run.rehearsal.server import Rehearsal
from wfledger.run.rehearsal.stage import Stage


@dataclass(frozen=True)
class Shown:
    """What a case has shown."""

    case: Case
    #: As `Case.expected`; what it waits for, where it was never started.
    found: str
    #: The agent's end in words.
    message: str = ""
    seconds: float = 0.0
    #: How often its model was asked.
    requests: int = 0
    #: How it was kept apart.
    sandbox: str = ""
    #: What is wrong besides.
    wrong: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the adapter passes."""
        return self.found == self.case.expected and not self.wrong

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `adapter test --json` prints."""
        return {
            "case": self.case.name, "title": self.case.title, "ok": self.ok,
            "expected": self.case.expected, "found": self.found, "message": self.message,
            "wrong": list(self.wrong), "seconds": round(self.seconds, 1),
            "requests": self.requests, "sandbox": self.sandbox,
        }  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A case as it was played."""

    stage: Stage
    case: Case
    server: Rehearsal
    adapter: Adapter


def shown_by(scene: Scene, waits: str) -> Shown:
    """Return what a case has shown; *waits* is what it waits for where it was never started."""
    stage, case, server = scene.stage, scene.case, scene.server
    entry = stage.workspace.ledger.get(stage.tasks[case.name])
    task = entry.task
    number = task.attempts[-1].number if task.attempts else task.attempt
    result = stage.workspace.ledger.result(task.id, number) if number else None
    if result is None:
        return Shown(case, "never started", waits, requests=server.count())
    found = "done" if entry.status is Status.DONE else _class_of(task, result)
    confined = result.confined
    return Shown(
        case, found, clean_line(_words(task, result)), result.wall_s or 0.0, server.count(),
        confined.sandbox if confined is not None else "",
        tuple(_wrong(scene, result)),
    )  # fmt: skip


def _class_of(task: Task, result: Result) -> str:
    """Return what the end of the attempt counts as."""
    if result.failure is not None:
        return result.failure.failure_class
    return task.block.code if task.block is not None else "unfinished"


def _words(task: Task, result: Result) -> str:
    if result.failure is not None:
        return result.failure.message
    return task.block.reason if task.block is not None else result.summary


def _wrong(scene: Scene, result: Result) -> Iterator[str]:
    """Yield what is wrong with an end whose class may be right."""
    server = scene.server
    if not server.count():
        yield "its model was never asked"
    elif not any(one.key == server.script.key for one in server.asked):
        yield "it never brought the provider's key"
    spilt = [path for path in _written(result) if _holds(scene, result, path)]
    if spilt:
        yield f"it wrote the provider's key into {', '.join(spilt)}"
    if scene.case.expected == "done" and result.failure is None:
        yield from _missing(scene, result)


def _written(result: Result) -> tuple[str, ...]:
    return tuple(one.path for one in result.changed if one.kind in {"added", "modified"})


def _holds(scene: Scene, result: Result, path: str) -> bool:
    """Whether a file that an attempt left holds the server's key."""
    repo = scene.stage.workspace.repo
    kept = repo.read_blob(result.head, path) if result.head else None
    return (scene.server.script.key or "").encode() in (kept or b"")


def _missing(scene: Scene, result: Result) -> Iterator[str]:
    """Yield what a finished case lacks: the file, where it has to land, and what it has used."""
    stage, case = scene.stage, scene.case
    changed = [one.path for one in result.changed]
    run = stage.workspace.ledger.run(stage.tasks[case.name].partition(".")[0])
    repo = stage.workspace.repo
    tip = repo.tip(run.branch)
    landed = None if tip is None else repo.read_blob(tip, case.path)
    if changed != [case.path]:
        yield f"it was to write {case.path} and wrote {', '.join(changed) or 'nothing'}"
    elif landed != f"{LINE}\n".encode():
        yield f"{case.path} has not landed as it was asked for"
    if scene.adapter.usage.paths and (result.usage is None or result.usage.source == "unknown"):
        yield "what it has used was not found where the adapter says"
