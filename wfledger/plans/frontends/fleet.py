"""Fleet task documents, and the short form that each stands for (spec 94.4).

Three shapes are read: an object with `tasks`, a list of tasks, and one task.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from wfledger.plans import fields
from wfledger.plans.fields import BAD, Site
from wfledger.plans.frontends.fleet_lowering import Lowering
from wfledger.plans.frontends.fleet_tasks import DOCUMENT, FleetTask, read_task
from wfledger.plans.frontends.fronts import Front
from wfledger.plans.problems import Findings, join, quote
from wfledger.plans.words import is_blank

#: Fields that only Fleet tasks have.
_OF_TASKS: Final = frozenset(
    {
        "instructions", "objective", "workspace", "input_files", "context", "expected_artifacts",
        "scorer", "retry_policy", "alert_policy", "timeout_seconds", "metadata",
    }
)  # fmt: skip
_OF_DOCUMENTS: Final = frozenset({"labels", "security_policy", "workers", "worker_specs"})
_OF_PLANS: Final = frozenset({"goal", "phases", "nodes"})
_TOKEN: Final = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_NAME_CHARS: Final = 256


def is_fleet(document: object) -> bool:
    """Whether *document* is one of Fleet's, and no plan of another shape."""
    if isinstance(document, list):
        return any(isinstance(one, dict) for one in document)
    if not isinstance(document, dict) or _OF_PLANS & document.keys():
        return False
    tasks = document.get("tasks")
    if tasks is None:
        return "instructions" in document or bool(_OF_DOCUMENTS & document.keys())
    listed = [one for one in tasks if isinstance(one, dict)] if isinstance(tasks, list) else []
    return bool(_OF_DOCUMENTS & document.keys()) or any(_OF_TASKS & one.keys() for one in listed)


def lower(front: Front, stem: str, findings: Findings) -> Front:
    """Return the short form that a Fleet document stands for; *stem* names it if nothing else does.

    What is wrong goes to *findings*; with an error of type there is no document.
    """
    read = _read(front.document, findings)
    if findings.parse:
        return replace(front, is_readable=False)
    rules = _Rules(findings)
    rules.document(read)
    lowering = Lowering(findings)
    tasks = [lowering.task(task) for task in read.tasks]
    name = read.name if read.name is not None and not is_blank(read.name) else stem
    document: dict[str, Any] = {
        "goal": name or "tasks",
        "name": name,
        "on_failure": "skip_continue",
        "tasks": tasks,
    }
    if read.workers:
        document["max_concurrent"] = min(1024, sum(_slots(one) for one in read.workers))
    return Front(
        document, front.places, written=lambda pointer: lowering.written(pointer, read.tasks)
    )


def _slots(worker: FleetTask) -> int:
    return worker.of("max_concurrent_tasks") or 1


@dataclass(frozen=True)
class _Document:
    tasks: tuple[FleetTask, ...]
    workers: tuple[FleetTask, ...] = ()
    name: str | None = None
    site: Site | None = None


def _read(document: object, findings: Findings) -> _Document:
    """Read a document of any of the three shapes."""
    site = Site("", "the document", findings.parse)
    if isinstance(document, list):
        found = fields.many(read_task, "task")(document, site)
        return _Document(() if found is BAD else found)
    if isinstance(document, dict) and "tasks" not in document and "instructions" in document:
        one = read_task(document, site)
        return _Document(() if one is BAD else (one,))
    given = fields.read_object(document, DOCUMENT, site)
    if given is None:
        return _Document(())
    fields.note_unknown(given, DOCUMENT, site)
    values = given.values
    return _Document(values.get("tasks", ()), values.get("workers", ()), values.get("name"), site)


class _Rules:
    """The rules of the original, in its order, and those that August added."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._ids: set[str] = set()

    def document(self, read: _Document) -> None:
        """Report what is wrong, or lost, in a whole document."""
        if not read.tasks:
            self._findings.error("empty_workflow", "the document has no tasks", "/tasks")
        if read.site is not None:
            self._late(read.site)
        workers: set[str] = set()
        for worker in read.workers:
            self._late(worker.site)
            if worker.of("id") in workers:
                message = f"two workers have the id {quote(worker.of('id'))}"
                where = join(worker.site.pointer, "id")
                self._findings.strictly("duplicate_worker", message, where)
            workers.add(worker.of("id"))
        for task in read.tasks:
            self._task(task)

    def _task(self, task: FleetTask) -> None:
        where, label = task.site.pointer, task.site.label
        name = task.of("id")
        self._filled(task, "id")
        if name in self._ids:
            message = f"two tasks have the id {quote(name)}"
            self._findings.error("duplicate_task", message, join(where, "id"))
        self._ids.add(name)
        for one in ("name", "instructions", "objective"):
            self._filled(task, one)
        for kind, message, pointer in (*_tag_problems(task), *_env_problems(task)):
            self._findings.error(kind, message, pointer)
        if not is_blank(name) and not _TOKEN.match(name):
            message = f"the id of {label} is to be of letters, digits, `.`, `_`, `-`, at most 128"
            self._findings.strictly("invalid_name", message, join(where, "id"))
        if len(task.of("name")) > _NAME_CHARS or "\n" in task.of("name"):
            message = f"the name of {label} is to be one line of at most {_NAME_CHARS} characters"
            self._findings.strictly("invalid_name", message, join(where, "name"))
        self._late(task.site)

    def _filled(self, task: FleetTask, name: str) -> None:
        value = task.of(name)
        if value is not None and is_blank(value):
            message = f"`{name}` of {task.site.label} is blank"
            self._findings.error("empty_field", message, join(task.site.pointer, name))

    def _late(self, site: Site) -> None:
        for problem in site.late:
            if problem.kind == "not_enforced":
                self._findings.warnings.append(problem)
            elif problem.kind in {"unsupported_field", "unknown_field", "invalid_bound"}:
                self._findings.strictly(problem.kind, problem.message, problem.pointer)
            else:
                self._findings.extend((problem,))


def _tag_problems(task: FleetTask) -> Iterator[tuple[str, str, str]]:
    seen: set[str] = set()
    for place, tag in enumerate(task.of("tags") or ()):
        where = join(task.site.pointer, "tags", place)
        if is_blank(tag):
            yield "empty_field", f"a tag of {task.site.label} is blank", where
        elif tag in seen:
            yield "duplicate_tag", f"{task.site.label} has the tag {quote(tag)} twice", where
        seen.add(tag)


def _env_problems(task: FleetTask) -> Iterator[tuple[str, str, str]]:
    given: Mapping[str, Any] = task.of("workspace", "environment") or {}
    for name, values in given.items():
        for place, value in enumerate(values):
            if is_blank(value):
                where = join(task.site.pointer, "workspace", "environment", name, place)
                yield "empty_field", f"a name in `{name}` of {task.site.label} is blank", where
