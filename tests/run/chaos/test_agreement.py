"""The verdict over many machines is clean after a quiet run, and sees each way of disagreeing."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from wfledger.clock import SystemClock
from wfledger.core.statuses import Status
from wfledger.run.chaos import agreement
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.clones import World, build, jobs_of
from wfledger.run.chaos.weather import LEDGER, confirmed
from wfledger.run.hub import losses
from wfledger.run.hub.meeting import Lost

pytestmark = pytest.mark.long
COUNT = 3


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two machines whose three tasks are done, without any fault."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("torture"))
    chance = Chance(3)
    jobs = jobs_of(chance, tasks=COUNT, mean_s=0.01)
    world = build(SystemClock(), chance, "path", clones=2, jobs=jobs)
    first, second = world.clones
    (world.notes / "calm").touch()
    status, said = first.verb("run", first.run, "--workers", "2")
    assert status == 0, said
    for clone in (first, second, first):
        assert clone.verb("sync")[0] == 0
    yield world
    world.remove()
    if before is not None:
        os.environ["TMPDIR"] = before


def _verdict(world: World, *seen: str) -> set[tuple[str, str]]:
    found = agreement.violations(world, agreement.checked(world), seen=seen)
    return {(one.invariant, one.message) for one in found}


def _note(world: World, line: str) -> None:
    with (world.notes / "ran").open("a") as file:
        file.write(f"{line}\n")


def _task(world: World) -> str:
    return min(world.jobs)


def _cancel(world: World) -> None:
    layout = world.clones[0].workspace().ledger.layout
    shutil.move(layout.task(Status.DONE, _task(world)), layout.task(Status.BLOCKED, _task(world)))


def _mend(world: World) -> None:
    layout = world.clones[0].workspace().ledger.layout
    shutil.move(layout.task(Status.BLOCKED, _task(world)), layout.task(Status.DONE, _task(world)))


def _stray(world: World) -> None:
    clone = world.clones[1]
    clone.git("update-ref", LEDGER, f"{LEDGER}~1")


def _back(world: World) -> None:
    clone = world.clones[1]
    clone.git("update-ref", LEDGER, str(confirmed(world.clones[0])))


Break = Callable[[World], object]
BROKEN: dict[str, tuple[Break, Break | None, str]] = {
    "begun twice": (lambda one: [_note(one, f"{_task(one)} 1 0 7") for _ in "12"], None, "was worked on"),
    "begun elsewhere": (lambda one: _note(one, f"{_task(one)} 1 1 7"), None, "granted to"),
    "begun without a grant": (lambda one: _note(one, f"{_task(one)} 9 0 7"), None, "nobody says why"),
    "added and gone": (lambda one: one.jobs.update({"r.more": one.jobs[_task(one)]}), None, "is nowhere"),
    "not at its end": (_cancel, _mend, "it is blocked"),
    "behind": (_stray, _back, "the hub has"),
}  # fmt: skip


@pytest.mark.requirement("WFL-HUB-130")
def test_machines_agree_after_a_run_without_faults(quiet: World) -> None:
    assert _verdict(quiet, str(confirmed(quiet.clones[1]))) == set()
    assert sum(agreement.executions(quiet).values()) == COUNT


@pytest.mark.requirement("WFL-HUB-130")
@pytest.mark.parametrize("name", BROKEN)
def test_disagreement_is_seen(quiet: World, name: str) -> None:
    break_it, mend, words = BROKEN[name]
    ran, jobs = (quiet.notes / "ran").read_bytes(), dict(quiet.jobs)
    break_it(quiet)
    try:
        said = _verdict(quiet)
        assert any(words in message for _, message in said), said
    finally:
        (quiet.notes / "ran").write_bytes(ran)
        quiet.jobs = jobs
        if mend is not None:
            mend(quiet)


@pytest.mark.requirement("WFL-HUB-127")
def test_what_some_machine_took_for_confirmed_and_is_gone_is_seen(quiet: World) -> None:
    assert ("lost", "some machine took it for confirmed, and it is not there") in _verdict(quiet, "f" * 40)


@pytest.mark.requirement("WFL-HUB-127")
def test_what_a_machine_gave_up_with_a_reason_is_no_loss(quiet: World) -> None:
    name, ran = _task(quiet), (quiet.notes / "ran").read_bytes()
    clone = quiet.clones[1]
    _note(quiet, f"{name} 8 1 7")
    lost = Lost("now", name, 8, "pending", "in-progress", "worker", "claim", "the remote has another")
    losses.note(clone.workspace(), [lost], {})
    try:
        assert not any("nobody says why" in message for _, message in _verdict(quiet))
    finally:
        (quiet.notes / "ran").write_bytes(ran)
