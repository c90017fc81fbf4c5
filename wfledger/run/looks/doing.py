"""What tasks are doing: the one state of each, and a row for everybody at work.

Read from the task's document and this machine's own files; changes nothing, takes no lock.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from wfledger.core.documents import Hold, Result, Task
from wfledger.core.hub import is_elsewhere
from wfledger.core.states import Seen, State, state_of
from wfledger.core.statuses import Status
from wfledger.errors import WfledgerError
from wfledger.run.attempts.phases import Phase, phase_of
from wfledger.run.hub.machines import names
from wfledger.run.liveness import Observations, Owner, lease_left, owner_of
from wfledger.run.looks.costs import Costs
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.store.locks import is_alive

_BUSY: Final = (Status.IN_PROGRESS, Status.MERGING)
#: State -> what it means, where nobody has said more.
MEANING: Final = {
    State.LEASED: "has just been taken",
    State.STARTING: "its worktree is made",
    State.RUNNING: "runs",
    State.SILENT: "runs, and has printed nothing for a while",
    State.MODEL_WAIT: "waits for its model",
    State.RUNNING_TOOL: "runs a tool",
    State.KEEPING: "its work is kept",
    State.VERIFYING: "its result is verified",
    State.MERGING: "handed in; nobody lands it at the moment",
    State.GATING: "the gate is tested",
    State.STALE: "nobody is there any more; it is handed on at the next pass",
}


@dataclass(frozen=True)
class Doing:
    """What a claimed or handed in task does, and who does it."""

    task: Task
    status: Status
    state: State
    #: Since when it is in that state (UTC, ISO 8601), where that was said.
    since: str | None
    text: str
    worker: str | None
    #: The role of a prompt; None of a command and of what people do.
    role: str | None
    #: Seconds since its last output on this machine; None where there is none.
    quiet_s: float | None
    #: Seconds until the lease of who drives himself is over; None where a runtime renews it.
    lease_left_s: float | None = None
    #: Which machine has it, where several share the ledger, and whether nobody there has taken it.
    machine: str | None = None
    is_offered: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the fields that `status --json` adds to those of a worker."""
        return {
            "run": self.task.run,
            "status": self.status.value,
            "state": self.state.value,
            "state_since": self.since,
            "text": self.text,
            "role": self.role,
            "attempt": self.task.attempt,
            "output_age_s": None if self.quiet_s is None else round(self.quiet_s, 1),
            "lease_left_s": None if self.lease_left_s is None else round(self.lease_left_s, 1),
            "machine": self.machine,
        }


class Watcher:
    """Looks at tasks one by one; what they share is read once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._layout = workspace.ledger.layout

    @cached_property
    def _observed(self) -> Observations:
        return Observations.load(self._workspace)

    @cached_property
    def _lease_s(self) -> float:
        return self._workspace.policy().lease_s

    @cached_property
    def _default_role(self) -> str | None:
        try:
            return self._workspace.fleet().default_role
        except WfledgerError:  # a broken fleet.toml stops who acts, not who looks
            return None

    @cached_property
    def costs(self) -> Costs:
        """What tasks have used."""
        return Costs(self._workspace)

    def state(self, task: Task, status: Status) -> State:
        """Return the state of one task; of one that nobody works on, no file is opened."""
        if status not in _BUSY:
            return state_of(task, status, Seen())
        return self.look(task, status).state

    def look(self, task: Task, status: Status) -> Doing:
        """Return what a claimed or handed in task does."""
        if is_elsewhere(task, self._layout.machine):
            return self._elsewhere(task, status)
        said = phase_of(self._workspace, task.id, task.attempt)
        is_lost = self._is_lost(task, status)
        quiet_s = self._quiet_s(task) if status is Status.IN_PROGRESS else None
        state = state_of(task, status, Seen(said.state if said else None, is_lost, quiet_s))
        return Doing(
            task, status, state, since=self._since(state, said),
            text=self._text(task, state, said), worker=self._worker(task, status),
            role=self._role(task), quiet_s=quiet_s,
            lease_left_s=None if is_lost else self._lease_left_s(task, status),
            machine=task.grant.machine if task.grant is not None else None,
        )  # fmt: skip

    def _elsewhere(self, task: Task, status: Status) -> Doing:
        """Return what is known of a task that another machine has."""
        machine = task.grant.machine if task.grant is not None else ""
        where = self._names.get(machine, machine)
        claim = task.claim if task.claim and task.claim.attempt == task.attempt else None
        since = claim.since if claim else task.grant.since if task.grant is not None else None
        lands, offered = status is Status.MERGING, claim is None and status is not Status.MERGING
        state = State.MERGING if lands else State.QUEUED if offered else State.RUNNING
        words = {State.MERGING: "is landed by", State.QUEUED: "is given to"}
        return Doing(
            task, status, state, since, f"{words.get(state, 'runs on')} {where}",
            claim.worker if claim else None, self._role(task), None, machine=machine,
            is_offered=offered,
        )  # fmt: skip

    def machine(self, task: Task) -> str:
        """Return what people call the machine that has *task*; "" where none has."""
        return self._names.get(task.grant.machine, "") if task.grant is not None else ""

    def is_elsewhere(self, task: Task) -> bool:
        """Whether another machine has *task*; what is known of it is as old as the last meeting."""
        return is_elsewhere(task, self._workspace.machine.id)

    @cached_property
    def _names(self) -> dict[str, str]:
        return names(self._workspace)

    def is_landed_now(self, task: Task) -> bool:
        """Whether somebody on this machine lands a task in merging/ at the moment."""
        name = self._layout.attempt_name(task.id, task.attempt)
        return is_alive(self._layout.local / "live" / f"{name}.merge")

    def _is_lost(self, task: Task, status: Status) -> bool:
        if status is Status.MERGING:
            name = self._layout.attempt_name(task.id, task.attempt)
            lock = self._layout.local / "live" / f"{name}.merge"
            # A merger that ends takes its lock away; one that died leaves it behind.
            return lock.exists() and not is_alive(lock)
        owner: Owner = owner_of(self._workspace, task, self._observed, self._lease_s)
        return owner in {"dead", "expired"}

    def _lease_left_s(self, task: Task, status: Status) -> float | None:
        if status is not Status.IN_PROGRESS:
            return None
        return lease_left(self._workspace, task, self._observed, self._lease_s)

    def _quiet_s(self, task: Task) -> float | None:
        try:
            written = self._layout.log(task.id, task.attempt).stat().st_mtime
        except OSError:
            return None
        return max(self._workspace.clock.now().timestamp() - written, 0.0)

    def _since(self, state: State, said: Phase | None) -> str | None:
        fits = said is not None and (said.state == state or state is State.SILENT)
        return said.since if said and fits else None

    def _text(self, task: Task, state: State, said: Phase | None) -> str:
        if said is not None and said.text and said.state == state:
            return said.text
        if state is State.VERIFYING and task.hold is not None:
            return task.hold.reason
        if state is State.MERGING and task.hold is not None:
            return landing_waits(task.hold)
        return MEANING[state]

    def _worker(self, task: Task, status: Status) -> str | None:
        if status is Status.MERGING:
            return task.merger.owner if task.merger and self.is_landed_now(task) else None
        record = self._workspace.ledger.claim_record(task.id, task.attempt)
        return record.worker if record else None

    def _role(self, task: Task) -> str | None:
        spec = task.spec
        return None if spec.prompt is None else spec.role or self._default_role


def landing_waits(hold: Hold) -> str:
    """Return why a result that was handed in has not landed."""
    if hold.code == "remote":
        return f"it is merged here and {hold.reason}"
    return f"landing was put off: {hold.reason}"


def working(workspace: Workspace, run: str | None = None) -> Iterator[Doing]:
    """Yield a row for everybody at work: each claimed task, and what is being landed."""
    watcher = Watcher(workspace)
    for status in _BUSY:
        for task in _still(workspace, status, run):
            elsewhere = is_elsewhere(task, workspace.ledger.layout.machine)
            if status is Status.IN_PROGRESS or elsewhere or watcher.is_landed_now(task):
                yield watcher.look(task, status)


def _still(workspace: Workspace, status: Status, run: str | None) -> Iterable[Task]:
    """Yield the readable tasks of a folder; what has just moved on is left out."""
    for name in workspace.ledger.names(status, run=run):
        with suppress(WfledgerError, OSError, ValueError):
            yield workspace.ledger.load(status, name).task


def with_state(entry: Entry, watcher: Watcher) -> dict[str, Any]:
    """Return what `--json` shows of a task, with its state and what it has used."""
    return {
        "state": watcher.state(entry.task, entry.status).value,
        "usage": watcher.costs.as_json(entry.task.id), **entry.as_json(),
    }  # fmt: skip


def last_result(workspace: Workspace, task: Task) -> Result | None:
    """Return the envelope of the last attempt that is over, else of the present one, or None."""
    number = task.attempts[-1].number if task.attempts else task.attempt
    return workspace.ledger.result(task.id, number) if number else None
