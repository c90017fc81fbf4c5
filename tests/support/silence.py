"""Machines that share a ledger, each with a clock of its own that a test moves."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.support.clock import FakeClock
from tests.support.sharing import share
from tests.support.workspaces import open_workspace
from wfledger.core.policy import Policy
from wfledger.run.hub import takeover
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.proposals import Proposer
from wfledger.run.workspace import Workspace

LEASE_S = 60.0
#: Fetches so far apart count as close together.
STEP_S = 10.0
#: For so long one is not heard of who is gone.
GONE_S = 80.0


class Machines:
    """Three machines of one remote; time passes for all of them alike."""

    def __init__(self, tmp_path: Path, count: int = 3) -> None:
        shared = share(tmp_path, count, policy=Policy(lease_s=LEASE_S, claim_grace_s=1.0))
        self.hub = tmp_path / "hub.git"
        self.clocks = [FakeClock(seed=f"machine-{number}") for number in range(count)]
        self.all = [
            open_workspace(one.main, clock=clock)
            for one, clock in zip(shared, self.clocks, strict=True)
        ]

    def pass_time(self, seconds: float) -> None:
        """Let time pass for everybody, awake."""
        for clock in self.clocks:
            clock.advance(seconds)

    def meet(
        self, who: Iterable[int] | None = None, *, also: Sequence[Proposer] = ()
    ) -> list[Met]:
        """Let machines meet the remote, one after the other."""
        numbers = range(len(self.all)) if who is None else who
        return [meet(self.all[number], (takeover.propose, *also)) for number in numbers]

    def go_on(self, seconds: float, who: Iterable[int]) -> list[Met]:
        """Let time pass in which some of them meet the remote again and again."""
        met: list[Met] = []
        numbers, passed = tuple(who), 0.0
        while passed < seconds:
            self.pass_time(STEP_S)
            passed += STEP_S
            met += self.meet(numbers)
        return met

    def cut(self) -> None:
        """Take the remote away."""
        self.hub.rename(self.hub.with_suffix(".gone"))

    def mend(self) -> None:
        """Bring it back."""
        self.hub.with_suffix(".gone").rename(self.hub)

    def again(self, number: int) -> Workspace:
        """Open a machine's ledger as another process of it would."""
        return open_workspace(self.all[number].main, clock=self.clocks[number])
