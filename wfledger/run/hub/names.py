"""What wfledger's refs are called on a remote (spec 97, section 1)."""

from dataclasses import dataclass
from typing import Literal

from wfledger.run.refnames import HUB, RUNS

Space = Literal["hidden", "branches"]


@dataclass(frozen=True)
class Names:
    """The names in one of two spaces.

    `hidden` (refs/wfledger/) is cloned by nobody who did not ask and starts no CI; `branches` is
    for servers that take nothing but branches.
    """

    space: Space

    @property
    def ledger(self) -> str:
        """The arbiter: the ledger's history."""
        return "refs/wfledger/ledger" if self.space == "hidden" else "refs/heads/wfledger"

    @property
    def beats(self) -> str:
        """What the names of all heartbeat refs begin with."""
        hidden = self.space == "hidden"
        return "refs/wfledger/beat/" if hidden else "refs/heads/wfledger-beat/"

    def beat(self, machine: str) -> str:
        """Return the ref of a machine's heartbeat."""
        return f"{self.beats}{machine}"

    @property
    def keeps(self) -> str:
        """What the names of all refs of attempts' work begin with."""
        hidden = self.space == "hidden"
        return "refs/wfledger/keep/" if hidden else "refs/heads/wfledger-keep/"

    def keep(self, task_id: str, attempt: int) -> str:
        """Return the ref of an attempt's work."""
        return f"{self.keeps}{task_id}/{attempt}"

    @property
    def refspecs(self) -> list[str]:
        """What each meeting fetches: the ledger, all heartbeats, and the branches of runs."""
        return [
            f"+{self.ledger}:{HUB}/ledger", f"+{self.beats}*:{HUB}/beat/*",
            f"+{RUNS}*:{HUB}/heads/wf/*",
        ]  # fmt: skip

    @property
    def patterns(self) -> list[str]:
        """Return what tells whether there is a ledger, and who takes part."""
        return [self.ledger, f"{self.beats}*"]
