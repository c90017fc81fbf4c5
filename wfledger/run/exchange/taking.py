"""Tasks of a tracker become tasks of a standing run of their own (spec 68).

All that was read is checked first; then the tasks are written in one hold of the lock, each after
those that it waits for, and a new run's document last. A kill leaves whole tasks whose dependencies
are there; importing again adds the rest.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.clock import iso
from wfledger.core import bounds
from wfledger.core.documents import Origin, Run, Task, TaskSpec
from wfledger.core.records import canonical
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError, NotFoundError, UsageError
from wfledger.plans import naming
from wfledger.plans.compiling import COMPILED_EDGES
from wfledger.run import submit
from wfledger.run.exchange.imported import Imported, Item, Trouble
from wfledger.run.exchange.relating import Edge, Related, relate
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.store.transaction import Transaction

#: Troubles that an error lists.
_SHOWN: Final = 200
_PREFIXES: Final[Mapping[str, str]] = {"claude-tasks": "claude", "taskmaster": "tm"}


@dataclass(frozen=True)
class Terms:
    """How tasks are taken over."""

    #: Role that runs what may be started; None: everything is for people.
    role: str | None = None
    write: tuple[str, ...] = ()
    #: Branch that the results are for; None: the one that is checked out.
    target: str | None = None
    #: Leave out what cannot be read, and dependencies on what is not there.
    lenient: bool = False


@dataclass(frozen=True)
class Kept:
    """A task that is left as it is here, though it is another one there."""

    task: str
    id: str
    reason: str


@dataclass
class Taken:
    """What an import did, or would do."""

    run: Run
    source: str
    #: Id there -> id here, of every task that has both.
    ids: dict[str, str] = field(default_factory=dict)
    added: list[Task] = field(default_factory=list)
    updated: list[Task] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    #: Tasks that are over there and never were here.
    skipped: tuple[Item, ...] = ()
    #: Dependencies that count as settled.
    settled: tuple[Edge, ...] = ()
    #: What was left out because the caller said so.
    left_out: tuple[Trouble, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `import --json` prints."""
        return {
            "run": self.run.id,
            "source": self.source,
            "ids": self.ids,
            "added": [task.id for task in self.added],
            "updated": [task.id for task in self.updated],
            "unchanged": self.unchanged,
            "kept": [vars(one) for one in self.kept],
            "skipped": [{"id": item.id, "status": item.status} for item in self.skipped],
            "settled": [vars(edge) for edge in self.settled],
            "left_out": [trouble.as_json() for trouble in self.left_out],
        }


def take(workspace: Workspace, imported: Imported, terms: Terms, *, dry_run: bool) -> Taken:
    """Take over the tasks of a source; with *dry_run* only say what that would do.

    Raises `InvalidDocumentError` with every trouble, before anything is changed.
    """
    if workspace.within is not None:
        raise UsageError(
            "a worker takes over no tasks of others; it adds tasks below its own",
            hint="wfledger expand --help", task=workspace.within.task,
        )
    if terms.role is not None:
        submit.role_for(workspace, terms.role)
    run = _run_of(workspace, imported, terms)
    if dry_run:
        return _Import(workspace, run, imported, terms).plan()
    with workspace.ledger.transaction("author") as changes:
        taken = _Import(workspace, run, imported, terms).plan()
        _write(workspace, changes, taken)
    return taken


def _run_of(workspace: Workspace, imported: Imported, terms: Terms) -> Run:
    target = submit.target_branch(workspace, terms.target)
    prefix = _PREFIXES.get(imported.source, imported.source)
    known = f"{imported.source}\0{imported.place}\0{target}".encode("utf-8", "surrogateescape")
    run_id = f"{prefix}-{hashlib.sha256(known).hexdigest()[:6]}"
    try:
        return workspace.ledger.run(run_id)
    except NotFoundError:
        return submit.standing_run(workspace, target, run_id=run_id, name=prefix)


def _write(workspace: Workspace, changes: Transaction, taken: Taken) -> None:
    for task in taken.added:
        changes.add(task, why=f"imported from {taken.source}")
    for task in taken.updated:
        changes.update(
            task.id, why=f"imported again from {taken.source}", spec=task.spec,
            spec_sha256=task.spec_sha256, imported=task.imported,
        )
    if taken.added:
        submit.ensure_run(workspace, changes, taken.run)


class _Import:
    """Works out what one import comes to; changes nothing."""

    def __init__(
        self, workspace: Workspace, run: Run, imported: Imported, terms: Terms
    ) -> None:
        self._run = run
        self._imported = imported
        self._terms = terms
        self._now = iso(workspace.clock.now())
        self._here = {
            entry.task.imported.id: entry
            for entry in _entries(workspace, run.id) if entry.task.imported is not None
        }  # fmt: skip
        self._taken = Taken(run, imported.source)

    def plan(self) -> Taken:
        """Return what is to be done; raises `InvalidDocumentError` with every trouble."""
        done = {name for name, entry in self._here.items() if entry.status is Status.DONE}
        related = relate(self._imported, done_here=done, lenient=self._terms.lenient)
        self._name(related)
        for item in related.items:
            self._place(item, related)
        self._over(related)
        if len(self._taken.ids) > bounds.RUN_TASKS:
            message = f"there are {len(self._taken.ids)} tasks; a run has {bounds.RUN_TASKS}"
            related.troubles.append(Trouble("too_many", self._imported.place, message))
        _refuse(self._imported, related.troubles)
        self._taken.settled = tuple(related.settled)
        self._taken.left_out = self._imported.troubles
        return self._taken

    def _name(self, related: Related) -> None:
        """Give every open item a task id; one that it has already stays."""
        ids = self._taken.ids
        ids.update({name: entry.task.id for name, entry in self._here.items()})
        taken = {one.partition(".")[2] for one in ids.values()}
        for item in related.items:
            if item.id not in ids:
                node = _node(item.id, taken)
                taken.add(node)
                ids[item.id] = f"{self._run.id}.{node}"

    def _place(self, item: Item, related: Related) -> None:
        after = related.after[item.id]
        if len(after) > COMPILED_EDGES:
            message = f"waits for {len(after)} tasks; at most {COMPILED_EDGES}"
            related.troubles.append(Trouble("too_large", item.where, message))
            return
        task = self._task(item, after)
        trouble = _too_large(task, item)
        if trouble is not None:
            related.troubles.append(trouble)
        elif item.id in self._here:
            self._again(self._here[item.id], task)
        else:
            self._taken.added.append(task)

    def _task(self, item: Item, after: tuple[str, ...]) -> Task:
        edges = tuple(self._taken.ids[name] for name in after)
        role = self._terms.role if item.state == "open" else None
        spec = TaskSpec(
            title=" ".join(item.title.split()), prompt=item.text or (item.title if role else None),
            role=role, manual=role is None, write=self._terms.write, after=edges, inputs=edges,
            priority=item.priority,
        )  # fmt: skip
        task = submit.new_task(self._taken.ids[item.id], spec, self._now)
        fields = {**item.fields, **({"parent": item.parent} if item.parent else {})}
        return task.but(
            imported=Origin(
                source=self._imported.source, id=item.id, status=item.status,
                spec_sha256=task.spec_sha256, fields=fields,
            )
        )

    def _again(self, entry: Entry, wanted: Task) -> None:
        """Compare a task that was imported before with what it would be now."""
        task, origin = entry.task, entry.task.imported
        if origin is None or wanted.imported == origin:
            self._taken.unchanged.append(task.id)
        elif entry.status is Status.WAITING and task.spec_sha256 == origin.spec_sha256:
            self._taken.updated.append(wanted)
        elif wanted.spec_sha256 == origin.spec_sha256:
            self._taken.unchanged.append(task.id)  # nothing that is to be done is another
        else:
            why = "was changed here too" if entry.status is Status.WAITING else (
                f"is {entry.status.value} here"
            )  # fmt: skip
            reason = f"its text changed there, and it {why}; left as it is"
            self._taken.kept.append(Kept(task.id, origin.id, reason))

    def _over(self, related: Related) -> None:
        """Say what became there of tasks that are open here."""
        there = {item.id: item.status for item in related.over}
        present = {item.id for item in (*related.items, *related.over)}
        self._taken.skipped = tuple(item for item in related.over if item.id not in self._here)
        for name, entry in self._here.items():
            if entry.status.is_final or (name in present and name not in there):
                continue
            said = f"is {there[name]} there" if name in there else "is not there any more"
            reason = f"{said} and {entry.status.value} here: wfledger cancel {entry.task.id}"
            self._taken.kept.append(Kept(entry.task.id, name, reason))


def _entries(workspace: Workspace, run_id: str) -> Iterator[Entry]:
    for status in Status:
        found = workspace.ledger.entries(status, run=run_id)
        yield from (entry for entry in found if isinstance(entry, Entry))


def _node(name: str, taken: set[str]) -> str:
    """Return the part of a task id that stands for *name*, as like it as may be."""
    plain = name.lower()
    plain = f"t{plain}" if plain[0].isdigit() else plain
    if naming.stays(plain) and plain not in taken:
        return plain
    (node,) = naming.nodes([f"{name} "]).values()
    while node in taken:
        name += " "
        (node,) = naming.nodes([f"{name} "]).values()
    return node


def _too_large(task: Task, item: Item) -> Trouble | None:
    size = len(canonical(task))
    if size > bounds.TASK_BYTES:
        message = f"would be a task of {size} bytes; at most {bounds.TASK_BYTES}"
        return Trouble("too_large", item.where, message)
    return None


def _refuse(imported: Imported, troubles: list[Trouble]) -> None:
    if not troubles:
        return
    listed = [trouble.as_json() for trouble in troubles[:_SHOWN]]
    first = troubles[0]
    more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
    lenient = all(one.kind in {"unreadable", "dangling"} for one in troubles)
    raise InvalidDocumentError(
        f"{imported.place}: {first.where}: {first.message}{more}; nothing was imported",
        hint="--lenient leaves out what cannot be read, and such dependencies" if lenient else None,
        problems=listed, count=len(troubles),
    )
