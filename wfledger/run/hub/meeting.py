"""What one meeting with the remote came to: what came, what went, what was lost and why."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

#: `quiet`: nothing had to go out. `ok`: a push came through. `lost`: others came first, again and
#: again. `unknown`: the answer was lost; the next meeting settles it. `refused`: the server does
#: not want it. `unreachable`: it was not to be seen. `failed`: something of this machine was in
#: the way. `stopped`: a person has to decide.
Outcome = Literal[
    "quiet", "ok", "lost", "unknown", "refused", "unreachable", "failed", "stopped"
]


@dataclass(frozen=True)
class Moved:
    """One transition that came from another machine, or was confirmed for this one."""

    task: str
    #: None for a task that was added.
    source: str | None
    target: str
    attempt: int
    by: str
    why: str
    #: Whose it was; "" where nobody said.
    machine: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `sync --json` prints."""
        shown = asdict(self)
        return {"from": shown.pop("source"), "to": shown.pop("target"), **shown}


@dataclass(frozen=True)
class Lost:
    """One change of this machine that did not fit what others had done meanwhile."""

    #: When it was made here.
    at: str
    #: The task, or the path of a document.
    task: str
    attempt: int
    source: str | None
    target: str
    by: str
    why: str
    #: Why it was lost.
    because: str

    def as_json(self) -> dict[str, Any]:
        """Return the shape of a line of `lost.jsonl`."""
        shown = asdict(self)
        return {"from": shown.pop("source"), "to": shown.pop("target"), **shown}


@dataclass(frozen=True)
class Met:
    """How one meeting went."""

    outcome: Outcome
    #: What went wrong, for people, and the command that helps; "" and None where all is well.
    said: str = ""
    hint: str | None = None
    #: Whether a push was begun.
    pushed: bool = False
    came: tuple[Moved, ...] = ()
    went: tuple[Moved, ...] = ()
    #: What was asked for and is confirmed, as `Proposal.what` says it.
    granted: tuple[str, ...] = ()
    #: What was asked for and refused, each with the reason.
    refused: tuple[tuple[str, str], ...] = ()
    lost: tuple[Lost, ...] = ()

    #: Seconds that a round took, from the look to the end of the push; the quickest of several.
    round_s: float | None = None

    @property
    def is_well(self) -> bool:
        """Whether it came to its end: this machine and the remote agree."""
        return self.outcome in {"quiet", "ok"}

    @property
    def is_news(self) -> bool:
        """Whether anything has changed here by it."""
        return bool(self.came or self.went or self.granted or self.refused or self.lost)
