"""Backpressure: a machine that is short of something starts nothing more, and says of what."""

from pathlib import Path

import pytest

from tests.support.engines import LIMITS, Listener, note, noted
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core.policy import Backpressure, Policy
from wfledger.core.statuses import Status
from wfledger.run.engine import Engine, Pulse
from wfledger.run.looks.explain import explain
from wfledger.run.looks.overview import overview
from wfledger.run.pressure import Gauge, Readings, Room, pressure_of, read_machine, shortage
from wfledger.run.workspace import Workspace

MIB = 2**20
POLICY = Backpressure(load_per_cpu=4.0, memory_bytes=256 * MIB, disk_bytes=512 * MIB)


def _of(free: int, *, total: int = 100_000) -> Room:
    return Room(free * MIB, total * MIB)


@pytest.mark.requirement("WFL-CLAIM-070")
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Readings(3.9, _of(257), _of(513)), None),
        (Readings(4.1, _of(257), _of(513)), "the load is 4.1 per processor; the limit is 4"),
        (Readings(None, _of(255), None), "255 MiB of memory are free; 256 MiB must be"),
        (Readings(None, None, _of(511)), "511 MiB of disk are free; 512 MiB must be"),
        (Readings(None, None, _of(3, total=40)), None),  # a twentieth is enough of a small one
        (Readings(None, None, _of(1, total=40)), "1 MiB of disk are free; 2 MiB must be"),
        (Readings(), None),
    ],
)
def test_shortage_is_named(found: Readings, said: str | None) -> None:
    assert shortage(POLICY, found) == said


def test_nothing_is_asked_of_what_the_policy_leaves_out() -> None:
    nothing = Backpressure(load_per_cpu=None, memory_bytes=None, disk_bytes=None)
    assert shortage(nothing, Readings(99.0, _of(0), _of(0))) is None


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    found = read_machine(make_workspace(tmp_path))
    assert found.disk is not None
    assert 0 < found.disk.free <= found.disk.total


@pytest.mark.requirement("WFL-CLAIM-070")
def test_shortage_is_over_only_when_there_is_more_room_than_at_its_beginning(
    tmp_path: Path,
) -> None:
    workspace = make_workspace(tmp_path, policy=Policy(backpressure=POLICY))
    free, said = [300], list[str]()

    def probe(_: Workspace) -> Readings:
        return Readings(None, _of(free[0]), None)

    gauge = Gauge(workspace, report=said.append, probe=probe)
    seen = []
    for mib in (300, 250, 300, 319, 321, 300, 255):
        free[0] = mib
        seen.append(gauge.reason() is None)
    assert seen == [True, False, False, False, True, True, False]
    assert said[:2] == [
        "starts nothing more: 250 MiB of memory are free; 256 MiB must be", "there is room again",
    ]  # fmt: skip
    other = Gauge(workspace, report=said.append, probe=lambda _: Readings(None, _of(300), None))
    assert other.reason() is not None  # another process is told that it is not over


@pytest.mark.long
@pytest.mark.requirement("WFL-CLAIM-070")
def test_engine_starts_nothing_while_it_lasts_and_what_runs_goes_on(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, policy=Policy(backpressure=POLICY))
    for node in ("a", "b"):
        add_task(workspace, node, command=note(tmp_path), limits=LIMITS)
    listener, waits = Listener(), list[str]()

    def probe(_: Workspace) -> Readings:
        """Be short of memory from when the first task has begun until the other has waited."""
        short = noted(tmp_path) and not any("of memory are free" in why for why in waits)
        return Readings(None, _of(100 if short else 400), None)

    engine = Engine(
        workspace, run_id=RUN, slots=1, worker="w", report=listener.event, probe=probe
    )

    def on_pulse(pulse: Pulse) -> None:
        waits.append(pulse.step.waits.get(f"{RUN}.b", ""))

    assert engine.drive(on_pulse).state == "succeeded"
    assert noted(tmp_path) == [f"{RUN}.a", f"{RUN}.b"]
    assert any("of memory are free" in why for why in waits)
    assert ("machine", "there is room again") in listener.said


@pytest.mark.requirement("WFL-CLI-009")
def test_who_looks_is_told_what_the_machine_is_short_of(tmp_path: Path) -> None:
    policy = Policy(backpressure=Backpressure(load_per_cpu=1e-9))
    workspace = make_workspace(tmp_path, policy=policy)
    add_task(workspace, "a")
    from wfledger.run.scheduler import Scheduler

    Scheduler(workspace).step(slots=1)
    assert workspace.ledger.names(Status.PENDING) == [f"{RUN}.a"]
    found = explain(workspace, f"{RUN}.a")
    assert found.code == "pressure"
    assert "the load is" in found.reason
    assert "the load is" in (overview(workspace).short_of or "")
    assert pressure_of(workspace) is not None
