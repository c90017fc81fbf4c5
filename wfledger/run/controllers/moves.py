"""What a controller is shown, and what it may answer.

An answer is applied under the ledger lock, and only if the controller is still as it was shown.
Since a process can die after any answer, what was decided is recorded (`Note`) before what follows
from it is begun, and whatever follows can be begun again: ids of tasks depend on nothing but names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wfledger.core.control import Control, ControlState, Handoff, Synthesis
from wfledger.core.documents import Accepted, Result, Run, Task, TaskSpec
from wfledger.run.attempts.handed import landed_result
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Scene:
    """A controller that is due: everything it waits for is settled."""

    workspace: Workspace
    run: Run
    task: Task
    #: What it waits for that ended without success.
    missing: tuple[str, ...] = ()

    @property
    def control(self) -> Control:
        """What it is to decide."""
        if self.task.spec.control is None:
            raise AssertionError("a controller has a control")
        return self.task.spec.control

    @property
    def state(self) -> ControlState:
        """How far it has come."""
        return self.task.control or ControlState()

    def result(self, task_id: str) -> Result | None:
        """Return the result of a task that is done, or None."""
        return landed_result(self.workspace, task_id)


@dataclass(frozen=True)
class Wait:
    """Nothing to do yet, though nothing it waits for is open."""

    reason: str


@dataclass(frozen=True)
class Note:
    """Record this; then it is asked again."""

    state: ControlState
    why: str


@dataclass(frozen=True)
class Start:
    """Add these tasks, each after those that it waits for, then record the state.

    Tasks that are there already are left as they are.
    """

    tasks: Sequence[tuple[str, TaskSpec]]
    state: ControlState
    why: str
    #: They only answer something, and are no work of the plan.
    asks: bool = False


@dataclass(frozen=True)
class Decide:
    """It is over: this is its result, and it goes to done/, or on to land what was chosen."""

    summary: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
    findings: Sequence[Mapping[str, Any]] = ()
    synthesis: Synthesis | None = None
    #: What the one that was chosen leaves for other roles.
    handoffs: Sequence[Handoff] = ()
    #: What its result is without; a run with any such is degraded at best.
    missing: tuple[str, ...] = ()
    #: Blocked tasks that it started, and whose failure does not count any more: they are cancelled,
    #: and are no part of the run's coverage.
    supersedes: tuple[str, ...] = ()
    #: The result of another task that lands as this one's.
    landing: Accepted | None = None
    #: The last state, where it differs from the one shown.
    state: ControlState | None = None

    @property
    def sentence(self) -> str:
        """The first line of the summary, for people and the history."""
        return self.summary.partition("\n")[0]


@dataclass(frozen=True)
class Stop:
    """It cannot go on without a person, or has failed for good (`core.graph.FINAL_CODES`)."""

    code: str
    reason: str
    #: Replaces the command that belongs to the code.
    command: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    state: ControlState | None = None


Move = Wait | Note | Start | Decide | Stop


class Kind(Protocol):
    """One kind of controller."""

    def __call__(self, scene: Scene, /) -> Move:
        """Return what comes next; changes nothing, and is asked without the lock."""
