"""`torture` holds a fleet against its promises, and sees it when one is broken."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cli import wf
from tests.support.processes import run_cli
from wfledger.clock import SystemClock
from wfledger.core.statuses import Status
from wfledger.run.chaos.chance import Chance
from wfledger.run.chaos.scene import Scene, build, plan
from wfledger.run.chaos.strangers import PREFIX, plant
from wfledger.run.chaos.verdict import of_damage, repair, violations

#: Tasks of the small scene.
COUNT = 6


def test_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    one, same, other = (plan(Chance(seed), tasks=40, mean_s=1.0) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert all(set(job.after) < {known.node for known in one} for job in one)


@pytest.mark.parametrize("length", ["", "x", "0", "-5s", "2d", "1e9"])
def test_time_that_is_none_is_refused(tmp_path: Path, length: str) -> None:
    assert wf(tmp_path, "torture", "--time", length).status == 2


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.requirement("WFL-REC-014")
def test_fleet_survives_a_short_torture_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    options = ["--time", "10s", "--workers", "6", "--tasks", "24", "--seed", "7", "--json"]
    done = run_cli("torture", *options, cwd=tmp_path, timeout=360)
    assert done.status == 0, done
    found = json.loads(done.out)
    assert (found["ok"], found["violations"], found["done"]) == (True, [], 24)
    assert found["seed"] == 7
    assert sum(found["faults"].values()) > 0
    assert list(tmp_path.glob("wfledger-torture-*")) == []


# -- the verdict -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A small scene whose tasks are all done, without any fault."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("torture"))
    scene = build(SystemClock(), chance=Chance(3), tasks=COUNT, mean_s=0.01)
    status, said = scene.verb("run", scene.run, "--workers", "2")
    assert status == 0, said
    yield scene
    scene.remove()
    if before is not None:
        os.environ["TMPDIR"] = before


def _first(scene: Scene, *, writes: bool = True) -> str:
    return next(name for name, job in scene.jobs.items() if (job.path is not None) is writes)


def _note(scene: Scene, name: str, line: str) -> None:
    with (scene.notes / name).open("a") as file:
        file.write(f"{line}\n")


def _lose(scene: Scene) -> None:
    path = scene.workspace().ledger.layout.task(Status.DONE, _first(scene))
    shutil.move(path, scene.folder / "aside")


BROKEN: dict[str, tuple[Callable[[Scene], object], str]] = {
    "worked on twice": (lambda one: _note(one, "ran", f"{_first(one)} 1 7"), "doubled"),
    "not alone": (lambda one: _note(one, "not-alone", f"{_first(one)} 2"), "orphan"),
    "given twice": (
        lambda one: [_note(one, "acknowledged", f"claimed {_first(one)} 9 c{n}") for n in "12"],
        "doubled",
    ),
    "said to be done": (
        lambda one: _note(one, "acknowledged", f"complete:done {_first(one)} 9 c1"), "lost",
    ),
    "effect lost": (lambda one: one.jobs.update({"r.more": one.jobs[_first(one)]}), "lost"),
    "defect": (lambda one: (one.tmp / "wfledger-defect-1.log").write_text("Traceback"), "defect"),
    "submitted and gone": (_lose, "lost"),
}  # fmt: skip


@pytest.mark.long
def test_verdict_is_clean_after_a_run_without_faults(worked: Scene) -> None:
    assert list(of_damage(worked)) == []
    repair(worked)
    assert violations(worked, seen=[]) == []


@pytest.mark.long
@pytest.mark.parametrize("name", BROKEN)
def test_broken_promise_is_seen(worked: Scene, name: str) -> None:
    notes, jobs = worked.folder / "notes.before", dict(worked.jobs)
    shutil.copytree(worked.notes, notes)
    break_it, wanted = BROKEN[name]
    break_it(worked)
    try:
        assert wanted in {one.invariant for one in violations(worked, seen=[])}
    finally:
        shutil.rmtree(worked.notes)
        notes.rename(worked.notes)
        worked.jobs = jobs
        for path in worked.tmp.glob("wfledger-defect-*"):
            path.unlink()
        aside = worked.folder / "aside"
        if aside.exists():
            shutil.move(aside, worked.workspace().ledger.layout.task(Status.DONE, _first(worked)))


@pytest.mark.long
def test_everything_planted_is_cleared_away_by_repair_and_is_no_damage(worked: Scene) -> None:
    chance = Chance(11)
    kinds = {plant(worked, chance) for _ in range(60)}
    assert len(kinds) >= 11
    assert list(of_damage(worked)) == []
    repair(worked)
    assert violations(worked, seen=[]) == []
    root = worked.workspace().ledger.layout.root
    assert {path.parent.name for path in root.rglob(f"{PREFIX}*")} <= {"quarantine"}
