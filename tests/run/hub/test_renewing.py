"""A machine that its remote has not heard of begins nothing, and goes on when it has."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.sharing import granting, on_hub, share, synced
from tests.support.waiting import until
from tests.support.workspaces import add_run, add_task
from wfledger.clock import SystemClock
from wfledger.core.policy import Policy, RemotePolicy
from wfledger.core.statuses import Status
from wfledger.run.attempts.stopping import elsewhere_of, stop_run
from wfledger.run.engine import Engine
from wfledger.run.presence import driving

pytestmark = pytest.mark.long

ID = "r1.a"
LEASE_S = 60.0


class Leaping(SystemClock):
    """The clock of this machine, which a test lets leap forward."""

    leap_s = 0.0

    def elapsed(self) -> float:
        """Return seconds, with what was leapt over."""
        return super().elapsed() + self.leap_s


@contextmanager
def _engine(tmp_path: Path, clock: Leaping, **policy: object) -> Iterator[Engine]:
    """Yield an engine whose machine was granted r1.a, and then loses its remote."""
    remote = RemotePolicy(**policy)  # type: ignore[arg-type]
    (one,) = share(tmp_path, 1, policy=Policy(lease_s=LEASE_S, remote=remote), clock=clock)
    begun = tmp_path / "begun"
    add_run(one)
    add_task(one, "a", command=f"touch {begun}; sleep 600")
    synced(one)
    synced(one, proposers=[granting])
    (tmp_path / "hub.git").rename(tmp_path / "gone.git")
    engine = Engine(one, run_id=None, slots=1, worker="w", report=lambda *_: None)
    with driving(one, None, slots=1) as engine.crew:
        try:
            yield engine
        finally:
            engine.stop()
            engine.close()


@pytest.mark.requirement("WFL-HUB-054")
def test_nothing_begins_half_a_lease_after_the_last_push(tmp_path: Path) -> None:
    clock = Leaping()
    with _engine(tmp_path, clock) as engine:
        clock.leap_s = LEASE_S / 2 + 1
        pulse = engine.tick()
        assert not pulse.running
        assert "half of the lease" in pulse.step.waits[ID]
        (tmp_path / "gone.git").rename(tmp_path / "hub.git")
        until(lambda: bool(engine.tick().running))


@pytest.mark.requirement("WFL-HUB-054")
@pytest.mark.parametrize("offline", ["finish", "stop"])
def test_what_runs_ends_then_only_where_policy_says_so(tmp_path: Path, offline: str) -> None:
    clock = Leaping()
    with _engine(tmp_path, clock, offline=offline) as engine:
        until(lambda: bool(engine.tick().running))
        until((tmp_path / "begun").exists)
        clock.leap_s = LEASE_S / 2 + 1
        if offline == "finish":
            assert engine.tick().running == (ID,)
            return
        until(lambda: not engine.tick().running)
        entry = engine.workspace.ledger.get(ID)
        assert entry.status is Status.WAITING
        assert [one.outcome for one in entry.task.attempts] == ["released"]
        (tmp_path / "gone.git").rename(tmp_path / "hub.git")
        until(lambda: bool(engine.tick().running))
        assert engine.workspace.ledger.get(ID).task.attempt == 2


@pytest.mark.requirement("WFL-HUB-058")
def test_stopping_a_run_ends_what_another_machine_runs_of_it(tmp_path: Path) -> None:
    one, other = share(tmp_path, policy=Policy(lease_s=LEASE_S))
    begun = tmp_path / "begun"
    add_run(one)
    add_task(one, "a", command=f"touch {begun}; sleep 600")
    synced(one)
    synced(one, proposers=[granting])
    engine = Engine(one, run_id=None, slots=1, worker="w", report=lambda *_: None)
    try:
        until(lambda: bool(engine.tick().running))
        until(begun.exists)
        until(lambda: f"in-progress/{ID}.json" in on_hub(one))
        synced(other)
        assert stop_run(other, "r1", reason="lunch") == []
        assert elsewhere_of(other, "r1") == [ID]
        synced(other)
        until(lambda: not engine.tick().running)
    finally:
        engine.stop()
        engine.close()
    (ended,) = one.ledger.get(ID).task.attempts
    assert (ended.outcome, ended.message) == ("stopped", "stopped: lunch")
