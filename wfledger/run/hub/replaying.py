"""What the journal holds, replayed on the remote's tip: what survives, what is lost, and why.

`core.replaying` judges each record; here is what it is judged by, read from the trees, and what
goes together: a result with its task, the tasks that a controller's step added with that step.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.core import bounds, replaying
from wfledger.core.documents import Run, Task
from wfledger.core.records import canonical, canonical_json, parse
from wfledger.core.replaying import Over, Seen, Taken, There
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.hub.meeting import Lost
from wfledger.store.journal import file_bytes, file_record
from wfledger.store.layout import Layout, is_id
from wfledger.vcs.repo import Repository
from wfledger.vcs.standing import Odd, Standing

Record = dict[str, Any]
#: Rounds until nothing more is lost together with something else.
_ROUNDS: Final = 50
_ANEW: Final = "the remote has another one"


class Tip:
    """The ledger as one commit has it."""

    def __init__(self, repo: Repository, commit: str, layout: Layout) -> None:
        self.commit = commit
        self._standing = Standing(repo, commit)
        self._layout = layout
        self._tasks: dict[str, Seen | None] = {}
        self._raw: dict[str, bytes] = {}
        #: What is there and cannot be used: path -> reason.
        self.odd: dict[str, str] = {}

    def task(self, task_id: str, *, near: Iterable[Status] = ()) -> Seen | None:
        """Return a task; *near* is where to look first."""
        if task_id not in self._tasks:
            first = list(near)
            places = [*first, *(status for status in Status if status not in first)]
            found = (self._task_at(status, task_id) for status in places)
            self._tasks[task_id] = next((one for one in found if one is not None), None)
        return self._tasks[task_id]

    def raw(self, task_id: str) -> bytes:
        """Return the bytes of a task that `task` has returned."""
        return self._raw[task_id]

    def _task_at(self, status: Status, task_id: str) -> Seen | None:
        path = self._layout.relative(status, task_id)
        raw = self.file(path, limit=bounds.TASK_BYTES)
        if raw is None:
            return None
        try:
            task = parse(Task, raw)
        except WfledgerError as error:
            self.odd[path] = error.message
            return None
        if task.id != task_id:
            self.odd[path] = f"it holds the task {task.id}"
            return None
        self._raw[task_id] = raw
        return Seen(task, status)

    def file(self, path: str, *, limit: int = bounds.RUN_BYTES) -> bytes | None:
        """Return a file; None where there is none that can be read."""
        found = self._standing.read(path, limit=limit)
        if isinstance(found, Odd):
            self.odd[path] = found.reason
            return None
        return found

    def run(self, path: str) -> Run | None:
        """Return the document of a run; None where there is none that can be read."""
        return run_in(self.file(path))


def run_in(raw: bytes | None) -> Run | None:
    """Return the run in *raw*, or None."""
    if raw is None:
        return None
    try:
        return parse(Run, raw, limit=bounds.RUN_BYTES)
    except WfledgerError:
        return None


@dataclass
class Replayed:
    """What came of the records on one tip."""

    #: Segment by segment, what survives of it.
    kept: list[list[Record]] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    #: What the survivors come to.
    tasks: dict[str, Seen] = field(default_factory=dict)
    files: dict[str, bytes | None] = field(default_factory=dict)
    #: Tasks and files that the directory has otherwise, by what did not survive as it was.
    other_tasks: set[str] = field(default_factory=set)
    other_files: set[str] = field(default_factory=set)
    #: What is kept of ours in hub/aside/ (WFL-HUB-019): path in the ledger -> content.
    aside: dict[str, bytes] = field(default_factory=dict)


class Replayer:
    """Replays the journal's segments on one tip; may be called again as the journal grows."""

    def __init__(self, tip: Tip, base: Tip, *, layout: Layout) -> None:
        self._tip = tip
        #: What the directory and the journal stood on.
        self._base = base
        self._layout = layout
        self._pass = _Pass(self, {})

    def replay(self, segments: list[list[Record]]) -> Replayed:
        """Judge every record; what is lost takes with it what was done for it.

        Called again with more segments it goes on where it was.
        """
        for _ in range(_ROUNDS):
            for segment in segments[len(self._pass.done.kept) :]:
                self._pass.take(segment)
            more = self._pass.dragged(segments)
            if not more:
                break
            self._pass = _Pass(self, self._pass.doomed | more)
        return self._pass.finished()

    def seen(self, task_id: str, near: Iterable[Status]) -> Seen | None:
        """Return a task of the tip."""
        return self._tip.task(task_id, near=near)

    def path(self, record: Record) -> str:
        """Return where the ledger has a task as a record says."""
        return self._layout.relative(Status(record["to"]), record["task"])

    def theirs(self, path: str) -> bytes | None:
        """Return a file of the tip."""
        return self._tip.file(path)

    def before(self, path: str) -> bytes | None:
        """Return a file as it was when the journal began."""
        return self._base.file(path)

    @property
    def here(self) -> str:
        """The id of this machine."""
        return self._layout.machine


@dataclass
class _Pass:
    """One pass over all records."""

    by: Replayer
    #: Tasks that are lost from the start, and why.
    doomed: dict[str, str]
    done: Replayed = field(default_factory=Replayed)
    dead: dict[str, str] = field(default_factory=dict)
    _ours: dict[str, bytes | None] = field(default_factory=dict)

    def take(self, segment: list[Record]) -> None:
        kept: list[Record] = []
        for record in segment:
            if record["kind"] in {"task", "claim"}:
                self._task(record, kept)
            elif _is_result(record):
                kept.append(record)  # decided once its task is known
            elif record["kind"] == "file":
                self._file(record, kept)
        self.done.kept.append(kept)

    # -- tasks -----------------------------------------------------------------------------------

    def _task(self, record: Record, kept: list[Record]) -> None:
        task_id = record["task"]
        why = self.dead.get(task_id) or self.doomed.get(task_id)
        if why is not None:
            self.dead.setdefault(task_id, why)
            self._lose(record, why)
            return
        seen = self.done.tasks.get(task_id) or self.by.seen(task_id, _near(record))
        verdict = replaying.judge(record, seen, here=self.by.here)
        if isinstance(verdict, There):
            return
        if isinstance(verdict, Over):
            self.done.other_tasks.add(task_id)
            return
        if isinstance(verdict, Taken):
            kept.append(verdict.record)
            self.done.tasks[task_id] = verdict.after
            if verdict.record != record:
                self.done.other_tasks.add(task_id)
            return
        self.dead[task_id] = f"an earlier change of {task_id} was lost"
        self._lose(record, verdict.because)

    def _lose(self, record: Record, because: str) -> None:
        self.done.lost.append(
            Lost(record["at"], record["task"], record["attempt"], record["from"], record["to"],
                 record["by"], record["why"], because)
        )  # fmt: skip
        self.done.other_tasks.add(record["task"])
        written = _by_hand(record)
        if written is not None:
            self.done.aside[self.by.path(record)] = written

    def dragged(self, segments: list[list[Record]]) -> dict[str, str]:
        """Return the new tasks that are lost because who added them lost the step that did."""
        steps = {
            f"{record['why']}, by {record['task']}"
            for segment in segments for record in segment
            if record["kind"] == "task" and record["task"] in self.dead
        }
        found = {}
        for record in (record for segment in segments for record in segment):
            if record["kind"] != "task" or record["from"] is not None:
                continue
            parent = record["content"].get("spec", {}).get("parent")
            name = record["task"]
            if name in self.dead or name not in self.done.tasks:
                continue
            if parent in self.dead or record["why"] in steps:
                found[name] = f"what added it was lost: {parent or record['why']}"
        return found

    # -- files -----------------------------------------------------------------------------------

    def _file(self, record: Record, kept: list[Record]) -> None:
        path = record["path"]
        ours = self._without_lost(path, file_bytes(record))
        before = self._ours[path] if path in self._ours else self.by.before(path)
        theirs = self.done.files[path] if path in self.done.files else self.by.theirs(path)
        self._ours[path] = ours
        if theirs == ours:
            return
        if theirs == before:
            self._keep(record, kept, path, ours)
        elif path.startswith("runs/"):
            self._run(record, kept, (before, ours, theirs))
        elif path.startswith("quarantine/") and ours is not None:
            self._keep(record, kept, f"{path}.{self.by.here}", ours)
        else:
            self._lose_file(record, ours)

    def _without_lost(self, path: str, raw: bytes | None) -> bytes | None:
        """Return the document of a run without the tasks that are lost with what added them."""
        run = run_in(raw) if self.doomed and path.startswith("runs/") else None
        if run is None or self.doomed.keys().isdisjoint(run.tasks):
            return raw
        tasks = tuple(name for name in run.tasks if name not in self.doomed)
        return canonical(run.but(
            tasks=tasks, aside=tuple(name for name in run.aside if name not in self.doomed)
        ))  # fmt: skip

    def _keep(self, record: Record, kept: list[Record], path: str, raw: bytes | None) -> None:
        changed = {**record, **file_record(path, raw)}
        if changed != record:
            self.done.other_files |= {path, record["path"]}
        kept.append(changed)
        self.done.files[path] = raw

    def _run(
        self, record: Record, kept: list[Record], sides: tuple[bytes | None, ...]
    ) -> None:
        before, ours, theirs = (run_in(raw) for raw in sides)
        if ours is None or theirs is None or ours.id != theirs.id:
            self._lose_file(record, sides[1])
            return
        merged = replaying.merge_runs(before, ours, theirs)
        lost = replaying.overruled(before, ours, merged)
        if lost:
            self._note(record, f"others have changed its {', '.join(lost)}, too")
        if merged == theirs:
            self.done.other_files.add(record["path"])
        else:
            self._keep(record, kept, record["path"], canonical(merged))

    def _lose_file(self, record: Record, ours: bytes | None) -> None:
        path = record["path"]
        self._note(record, _ANEW)
        self.done.other_files.add(path)
        if ours is not None:
            self.done.aside[path] = ours

    def _note(self, record: Record, because: str) -> None:
        at, by, why = record["at"], record["by"], record["why"]
        self.done.lost.append(Lost(at, record["path"], 0, None, "", by, why, because))

    # -- the end ---------------------------------------------------------------------------------

    def finished(self) -> Replayed:
        """Return what came of it all, with the results, which go with their tasks."""
        so_far, ours = self.done, self._ours
        self.done = Replayed(
            list(so_far.kept), list(so_far.lost), so_far.tasks, dict(so_far.files),
            so_far.other_tasks, set(so_far.other_files), dict(so_far.aside),
        )  # fmt: skip
        self._ours = dict(ours)
        try:
            for at, segment in enumerate(so_far.kept):
                if any(_is_result(record) for record in segment):
                    self.done.kept[at] = self._with_results(segment)
            return self.done
        finally:
            self.done, self._ours = so_far, ours

    def _with_results(self, segment: list[Record]) -> list[Record]:
        kept: list[Record] = []
        for record in segment:
            if not _is_result(record):
                kept.append(record)
            elif record["path"].split("/")[1] in self.dead:
                self._lose_file(record, file_bytes(record))
            else:
                self._file(record, kept)
        return kept


def _is_result(record: Record) -> bool:
    return bool(record["kind"] == "file" and record["path"].startswith("results/"))


def _by_hand(record: Record) -> bytes | None:
    """Return a task whose spec somebody wrote into its file, which is nowhere else; else None."""
    try:
        task = parse(Task, canonical_json(record.get("content") or {}))  # a claim has none
    except WfledgerError:
        return None
    return canonical(task) if task.spec.digest() != task.spec_sha256 else None


def _near(record: Record) -> tuple[Status, ...]:
    names = [name for name in (record["from"], record["to"]) if name is not None]
    return tuple(Status(name) for name in names)


def task_of(path: str) -> tuple[Status, str] | None:
    """Return which task a path of the ledger's tree holds, in which status; None for none."""
    folder, _, rest = path.partition("/")
    if not rest.endswith(".json") or folder not in {status.value for status in Status}:
        return None
    task_id = rest.rpartition("/")[2].removesuffix(".json")
    return (Status(folder), task_id) if is_id(task_id) else None
