"""What a machine asks of the remote before anybody acts on it: grants, landings, takeovers.

Everything else is done here first and confirmed afterwards. A proposal becomes visible, here as
elsewhere, when the push that carries it has come through; until then it has changed nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wfledger.core.documents import Result, Run, Task
from wfledger.core.statuses import Status
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class TaskMove:
    """A task as it is to be, with the status that it has on the remote before and after."""

    task: Task
    source: Status
    target: Status
    #: Author and reason, as in a record of the journal.
    by: str
    why: str


@dataclass(frozen=True)
class TargetPush:
    """A branch that results land on, to be moved in the same push."""

    #: Full name, the same here and there.
    ref: str
    #: None: it must not exist there.
    old: str | None
    new: str


@dataclass(frozen=True)
class Proposal:
    """Changes that come through together or not at all."""

    #: What it is, for people: `grant x`, `land a, b on wf/k3j2`.
    what: str
    moves: tuple[TaskMove, ...] = ()
    runs: tuple[Run, ...] = ()
    results: tuple[Result, ...] = ()
    targets: tuple[TargetPush, ...] = ()
    #: Whether it rests on how long another machine was not heard of: it is not pushed long after.
    of_silence: bool = False
    #: Called once it is confirmed and shown in the directory, without the ledger lock; may be
    #: called again after a crash.
    confirmed: Callable[[], None] | None = None
    #: Called with the reason where the server refuses its targets, or they have moved.
    refused: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Sight:
    """What the last fetch saw, for those who propose."""

    #: The remote's ledger tip; the directory shows it, and what the journal holds on top.
    tip: str
    #: Full ref name -> commit, of everything that was asked for.
    refs: Mapping[str, str] = field(default_factory=dict)
    #: Machine -> what its heartbeat says (`beating.Beat`), and for how long it has been silent.
    silence_s: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Proposer(Protocol):
    """Asked at each meeting, under the ledger lock, when the directory shows the remote's tip."""

    def __call__(self, workspace: Workspace, sight: Sight) -> Sequence[Proposal]:
        """Return what to ask for; changes nothing."""
