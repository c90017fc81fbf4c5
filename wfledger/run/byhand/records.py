"""The last record of a task, from the journal or from the branch, without reading all of both."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from wfledger.core.records import canonical_json
from wfledger.core.statuses import Status
from wfledger.run.workspace import Workspace
from wfledger.store.evidence import look_at
from wfledger.store.layout import SUFFIX
from wfledger.store.replay import Known, Replay, replay
from wfledger.store.survey import Copy


@dataclass
class Recent:
    """What the journal said lately, by task; cheap, and enough for what wfledger itself moved."""

    _last: dict[str, dict[str, Any]] = field(default_factory=dict)
    _contents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, records: Iterable[dict[str, Any]]) -> None:
        """Take in records, oldest first."""
        for record in records:
            if record.get("kind") not in {"task", "claim"}:
                continue
            self._last[record["task"]] = record
            if record["kind"] == "task":
                self._contents[record["task"]] = record

    def forget_cold(self) -> None:
        """Forget what no claim can refer to any more."""
        hot = {Status.PENDING.value, Status.IN_PROGRESS.value, Status.MERGING.value}
        self._last = {name: said for name, said in self._last.items() if said["to"] in hot}
        self._contents = {name: self._contents[name] for name in self._last
                          if name in self._contents}  # fmt: skip

    def tells_of(self, copy: Copy) -> bool:
        """Whether the last record of a task is exactly this file in this place."""
        said = self._last.get(copy.task.id)
        if said is None or Status(said["to"]) is not copy.status:
            return False
        content = self._contents.get(copy.task.id, {})
        if (content.get("attempt"), content.get("seq")) != copy.age:
            return False
        return canonical_json(content["content"]) == copy.raw


@dataclass
class Records:
    """Every record that there is, read when first asked for: the journal, then the branch.

    In that order: what is committed and dropped from the journal in between is on the branch.
    """

    workspace: Workspace
    _branch: dict[str, Known | None] = field(default_factory=dict)

    @cached_property
    def _journal(self) -> Replay:
        return replay(self.workspace.ledger.journal)

    @cached_property
    def _tip(self) -> str | None:
        return self.workspace.history.tip()

    @cached_property
    def _is_shared(self) -> bool:
        return self.workspace.is_shared

    @property
    def is_damaged(self) -> bool:
        """Whether lines of the journal are lost, so that a task without a record may have one."""
        return bool(self._journal.damaged)

    def expect(self, folders: Iterable[Status]) -> None:
        """Read whole folders of the branch at once: one look-up costs as much as its folder."""
        here = self.workspace.ledger.layout.machine
        for status in folders:
            for path, raw in self.workspace.history.files(status.value, self._tip):
                seen = look_at(status, raw, here=here) if path.endswith(SUFFIX) else None
                if seen is not None and seen.task is not None:
                    self._branch[seen.task.id] = seen

    def of(self, task_id: str, *, near: Status) -> Known | None:
        """Return the last record of a task; *near* is where its file was found."""
        said = self._journal.tasks.get(task_id)
        if said is not None and said.task is not None and not self._is_shared:
            return said
        committed = self._committed(task_id, near)
        if said is None:
            return committed
        if said.task is not None:
            # What the remote has confirmed comes before what it has not (WFL-HUB-020).
            return committed if committed is not None and committed.age > said.age else said
        if committed is not None and committed.age == said.age:
            return replace(said, task=committed.task)
        return said

    def _committed(self, task_id: str, near: Status) -> Known | None:
        if task_id not in self._branch:
            layout, history = self.workspace.ledger.layout, self.workspace.history
            self._branch[task_id] = None
            for status in (near, *(other for other in Status if other is not near)):
                raw = history.read(layout.relative(status, task_id), self._tip)
                seen = look_at(status, raw, here=layout.machine)
                if seen is not None and seen.task is not None and seen.task.id == task_id:
                    self._branch[task_id] = seen
                    break
        return self._branch[task_id]
