"""What a machine asks a remote for: the admission of every step, for all machines together."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.workspaces import RUN, add_run, add_task, make_workspace
from wfledger.core import outcome
from wfledger.core.documents import Accepted, Grant, Task
from wfledger.core.policy import Policy
from wfledger.core.records import canonical, canonical_json
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.claims import claim, closed
from wfledger.run.hub import beating, silence
from wfledger.run.hub.granting import propose
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.hub.state import Hub, write_hub
from wfledger.run.hub.wants import Want, wanting
from wfledger.run.looks.needs import obstacles
from wfledger.run.presence import driving
from wfledger.run.scheduler import Scheduler, Step
from wfledger.run.workspace import Workspace

OTHER = "other-machine"


@dataclass
class Peer:
    """What a heartbeat says, as far as grants are concerned."""

    slots: int


def shared(tmp_path: Path, *, home: str | None = "", **kwargs: Any) -> Workspace:
    """Return a ledger with a remote that nobody meets; the run's home is this machine."""
    workspace = make_workspace(tmp_path, **kwargs)
    hub = Hub("origin", str(tmp_path / "hub.git"), "hidden", atomic=True, root="0" * 40)
    write_hub(workspace.ledger.layout.local, hub)
    beating.confirmed(workspace, None, workspace.clock.elapsed())
    if home is not None:
        change_run(workspace, home=home or workspace.machine.id)
    return workspace


def change_run(workspace: Workspace, run_id: str = RUN, **changes: Any) -> None:
    with workspace.ledger.transaction("test") as transaction:
        run = workspace.ledger.run(run_id)
        transaction.put_run(run.but(seq=run.seq + 1, **changes), why="test")


@contextmanager
def dispatching(workspace: Workspace, slots: int = 4) -> Iterator[None]:
    with driving(workspace, None, slots=slots):
        yield


def asked(workspace: Workspace, sight: Sight | None = None) -> Proposal | None:
    with workspace.ledger.locks.hold("ledger"):
        found = propose(workspace, sight or Sight(tip=""))
    assert len(found) <= 1
    return found[0] if found else None


def granted(workspace: Workspace, sight: Sight | None = None) -> list[str]:
    """Return the nodes of the tasks that are asked for."""
    proposal = asked(workspace, sight)
    moves = proposal.moves if proposal else ()
    return [one.task.id.partition(".")[2] for one in moves if one.target is not Status.WAITING]


def confirm(workspace: Workspace, proposal: Proposal | None) -> None:
    """Show what was asked for, as when the remote has confirmed it."""
    assert proposal is not None
    with workspace.ledger.transaction("test") as changes:
        for one in proposal.moves:
            values = {"attempt": one.task.attempt, "grant": one.task.grant}
            if one.target is not one.source:
                changes.move(one.task.id, one.target, actor=Actor.SCHEDULER, why=one.why, **values)


def give(workspace: Workspace, node: str, **spec: Any) -> Task:
    """Put a task where one lies that another machine was granted."""
    task = add_task(workspace, node, **spec)
    grant = Grant(machine=OTHER, since="2026-01-01T00:00:00Z")
    layout = workspace.ledger.layout
    with workspace.ledger.transaction("test") as changes:
        moved = changes.move(
            task.id, Status.PENDING, actor=Actor.SCHEDULER, why="x", attempt=1, grant=grant
        )
        layout.task(Status.PENDING, task.id).rename(layout.task(Status.IN_PROGRESS, task.id))
        changes.record_task(moved, Status.PENDING, Status.IN_PROGRESS, why="x")
    return moved


def step(workspace: Workspace) -> Step:
    return Scheduler(workspace).step(slots=4)


def status_of(workspace: Workspace, node: str) -> Status:
    return workspace.ledger.get(f"{RUN}.{node}").status


# -- the step promotes nothing by itself -----------------------------------------------------------


@pytest.mark.requirement("WFL-HUB-011")
def test_step_puts_nothing_on_offer_and_says_what_it_waits_for(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    add_task(workspace, "a")
    assert step(workspace).promoted == []
    assert status_of(workspace, "a") is Status.WAITING
    assert step(workspace).waits == {f"{RUN}.a": "waits for the next meeting with origin"}


@pytest.mark.requirement("WFL-HUB-010")
def test_grant_names_this_machine_and_another_attempt(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    add_task(workspace, "a")
    with dispatching(workspace):
        proposal = asked(workspace)
    assert proposal is not None
    (move,) = proposal.moves
    assert (move.source, move.target, move.task.attempt) == (Status.WAITING, Status.PENDING, 1)
    assert move.task.grant is not None
    assert move.task.grant.machine == workspace.machine.id
    assert status_of(workspace, "a") is Status.WAITING
    assert proposal.what == f"grant {RUN}.a"


# -- for whom ---------------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-HUB-111")
def test_nothing_is_asked_for_where_nobody_dispatches(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    add_task(workspace, "a")
    assert granted(workspace) == []


@pytest.mark.requirement("WFL-HUB-111")
def test_engine_that_begins_nothing_has_nothing_granted(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    add_task(workspace, "a")
    with driving(workspace, None, slots=4) as crew:
        crew.say(0)
        assert granted(workspace) == []


@pytest.mark.requirement("WFL-HUB-111")
def test_engine_of_one_run_has_only_that_granted(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    add_task(workspace, "a")
    add_run(workspace, "r2")
    add_task(workspace, "b", run_id="r2")
    with driving(workspace, "r2", slots=4):
        assert granted(workspace) == ["b"]


@pytest.mark.requirement("WFL-HUB-115")
def test_who_waits_at_a_prompt_has_one_task_granted_or_the_one_named(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    for node in "abc":
        add_task(workspace, node)
    with wanting(workspace, Want("me")):
        assert granted(workspace) == ["a"]
    with wanting(workspace, Want("me", f"{RUN}.c")):
        assert granted(workspace) == ["c"]
    assert granted(workspace) == []


def test_nothing_is_asked_for_while_dispatch_is_paused(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    add_task(workspace, "a")
    config = workspace.config().but(paused="lunch")
    (workspace.ledger.layout.root / "ledger.json").write_bytes(canonical(config))
    with dispatching(workspace):
        assert granted(workspace) == []


@pytest.mark.requirement("WFL-HUB-110")
def test_task_for_people_is_granted_to_the_home_of_its_run(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    add_task(workspace, "a", manual=True, command=None, prompt="look")
    assert granted(workspace) == ["a"]
    change_run(workspace, home=OTHER)
    with dispatching(workspace):
        assert granted(workspace) == []


@pytest.mark.requirement("WFL-HUB-014")
def test_run_that_nobody_decides_on_is_asked_for_by_who_dispatches(tmp_path: Path) -> None:
    workspace = shared(tmp_path, home=None)
    with dispatching(workspace):
        proposal = asked(workspace)
    assert proposal is not None
    assert [run.home for run in proposal.runs] == [workspace.machine.id]


# -- what is in the way -----------------------------------------------------------------------------


@pytest.mark.requirement("WFL-HUB-110")
def test_what_another_machine_holds_is_in_the_way(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    give(workspace, "there", write=("src/**",))
    add_task(workspace, "same", write=("src/a.py",))
    add_task(workspace, "apart", write=("docs",))
    with dispatching(workspace):
        assert granted(workspace) == ["apart"]


@pytest.mark.requirement("WFL-HUB-110")
def test_limit_of_a_run_counts_everywhere(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    change_run(workspace, max_concurrent=2)
    give(workspace, "there")
    add_task(workspace, "a")
    add_task(workspace, "b")
    with dispatching(workspace):
        assert granted(workspace) == ["a"]


@pytest.mark.requirement("WFL-HUB-110")
def test_slots_of_a_role_are_those_of_this_machine(tmp_path: Path) -> None:
    fleet = '[role.scribe]\nargv = ["true"]\nslots = 1\n'
    workspace = shared(tmp_path, fleet=fleet)
    spec: dict[str, Any] = {"command": None, "prompt": "write", "role": "scribe"}
    give(workspace, "there", **spec)
    add_task(workspace, "a", **spec)
    add_task(workspace, "b", **spec)
    with dispatching(workspace):
        assert granted(workspace) == ["a"]


@pytest.mark.requirement("WFL-HUB-110")
def test_two_tasks_that_overlap_are_not_asked_for_together(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    add_task(workspace, "a", write=("src",))
    add_task(workspace, "b", write=("src/b.py",))
    with dispatching(workspace):
        assert granted(workspace) == ["a"]


def test_task_that_was_passed_is_counted_with_the_grant(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    give(workspace, "there", write=("src/**",))
    add_task(workspace, "wide", write=("src/**", "docs/**"), priority=1)
    add_task(workspace, "small", write=("docs/b.md",))
    with dispatching(workspace):
        proposal = asked(workspace)
    assert proposal is not None
    counted = [one.task for one in proposal.moves if one.target is Status.WAITING]
    assert [(one.id, one.overtaken) for one in counted] == [(f"{RUN}.wide", 1)]


@pytest.mark.requirement("WFL-HUB-014")
def test_spec_changed_past_the_verbs_is_never_granted_and_blocked_at_home(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    task = add_task(workspace, "a")
    path = workspace.ledger.layout.task(Status.WAITING, task.id)
    path.write_text(path.read_text().replace('"true"', '"false"'))
    with dispatching(workspace):
        assert granted(workspace) == []
    step(workspace)
    assert status_of(workspace, "a") is Status.BLOCKED


@pytest.mark.requirement("WFL-HUB-011")
def test_accepted_result_is_asked_to_land_by_the_home_that_dispatches(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    task = add_task(workspace, "a", write=("src",))
    tip = workspace.repo.tip(f"refs/heads/wf/{RUN}")
    assert tip is not None
    with workspace.ledger.transaction("test") as changes:
        changes.update(task.id, why="x", attempt=1,
                       accepted=Accepted(attempt=1, head=tip, base=tip))  # fmt: skip
    with dispatching(workspace):
        proposal = asked(workspace)
        assert proposal is not None
        assert [one.target for one in proposal.moves] == [Status.MERGING]
        change_run(workspace, home=OTHER)
        assert granted(workspace, Sight("", facts={OTHER: Peer(4)})) == []
        assert granted(workspace, Sight("", facts={OTHER: Peer(0)})) == ["a"]


# -- how many ---------------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-HUB-112")
def test_as_many_are_asked_for_as_places_are_free(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    for number in range(9):
        add_task(workspace, f"t{number}")
    with dispatching(workspace, slots=3):
        confirm(workspace, asked(workspace))
        assert len(workspace.ledger.names(Status.PENDING)) == 3
        assert granted(workspace) == []


@pytest.mark.requirement("WFL-HUB-112")
def test_more_are_asked_for_where_attempts_end_quickly(tmp_path: Path) -> None:
    clock = FakeClock()
    workspace = shared(tmp_path, clock=clock)
    for number in range(20):
        add_task(workspace, f"t{number:02}")
    with dispatching(workspace, slots=3):
        confirm(workspace, asked(workspace))
        for name in workspace.ledger.names(Status.PENDING):
            task = claim(workspace, worker="me", task_id=name).task
            moment = clock.now().timestamp()
            os.utime(workspace.ledger.layout.claim(name, 1), (moment, moment - 0.5))
            with workspace.ledger.transaction("test") as changes:
                changes.move(
                    name, Status.BLOCKED, actor=Actor.WORKER, why="x",
                    block=outcome.block(task, "task", "no"),
                    attempts=(closed(workspace, task, "task", "no"),),
                )  # fmt: skip
        assert len(granted(workspace)) == 3 + 6, "two of half a second for each place, and one now"


@pytest.mark.requirement("WFL-HUB-113")
def test_machine_leaves_others_what_they_could_begin(tmp_path: Path) -> None:
    clock = FakeClock()
    workspace = shared(tmp_path, clock=clock)
    for number in range(6):
        add_task(workspace, f"t{number}")
    # It has had nothing to do, and beats only when a third of the lease has passed.
    sight = Sight("", facts={OTHER: Peer(6)}, silence_s={OTHER: workspace.policy().lease_s / 3})
    with dispatching(workspace, slots=6):
        assert len(granted(workspace, sight)) == 3
        clock.advance(1000)
        assert len(granted(workspace, sight)) == 6, "the other machine has left them for long"


@pytest.mark.requirement("WFL-HUB-114")
def test_offer_that_nobody_takes_goes_back_and_is_not_asked_for_again(tmp_path: Path) -> None:
    clock = FakeClock()
    workspace = shared(tmp_path, clock=clock, policy=Policy(offer_ttl_s=60))
    add_task(workspace, "a")
    with dispatching(workspace):
        confirm(workspace, asked(workspace))
        step(workspace)
        clock.advance(61)
        assert granted(workspace) == []
        step(workspace)
        assert status_of(workspace, "a") is Status.WAITING
        assert workspace.ledger.get(f"{RUN}.a").task.grant is None
        assert granted(workspace) == []
        clock.advance(61)
        assert granted(workspace) == ["a"]


@pytest.mark.requirement("WFL-HUB-114")
def test_offers_stay_while_the_remote_is_away(tmp_path: Path) -> None:
    clock = FakeClock()
    workspace = shared(tmp_path, clock=clock, policy=Policy(offer_ttl_s=60))
    add_task(workspace, "a")
    with dispatching(workspace):
        confirm(workspace, asked(workspace))
        step(workspace)
        clock.advance(1000)
        step(workspace)
    assert status_of(workspace, "a") is Status.PENDING


# -- who decides -------------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-HUB-014")
@pytest.mark.parametrize(("home", "expected"), [("", Status.BLOCKED), (OTHER, Status.WAITING)])
def test_only_the_home_of_a_run_blocks_what_can_never_start(
    tmp_path: Path, home: str, expected: Status
) -> None:
    workspace = shared(tmp_path, home=home)
    before = add_task(workspace, "a")
    add_task(workspace, "b", after=(before.id,))
    with workspace.ledger.transaction("test") as changes:
        changes.move(before.id, Status.CANCELLED, actor=Actor.PERSON, why="no")
    step(workspace)
    assert status_of(workspace, "b") is expected


@pytest.mark.requirement("WFL-HUB-014")
@pytest.mark.parametrize(("home", "expected"), [("", Status.CANCELLED), (OTHER, Status.WAITING)])
def test_run_that_aborts_is_given_up_by_its_home(
    tmp_path: Path, home: str, expected: Status
) -> None:
    workspace = shared(tmp_path, home=home)
    add_task(workspace, "a")
    change_run(workspace, state="aborted", reason="a task failed")
    found = step(workspace)
    assert status_of(workspace, "a") is expected
    assert found.aborted == {RUN}, "what runs here of it is stopped wherever that was decided"


@pytest.mark.requirement("WFL-HUB-010")
def test_what_another_machine_was_granted_is_not_given_up_here(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    give(workspace, "there")
    change_run(workspace, state="aborted", reason="a task failed")
    step(workspace)
    assert status_of(workspace, "there") is Status.IN_PROGRESS


@pytest.mark.requirement("WFL-HUB-014")
def test_task_that_could_take_an_earlier_result_is_granted_when_its_home_has_looked(
    tmp_path: Path,
) -> None:
    workspace = shared(tmp_path)
    add_run(workspace, "earlier")
    change_run(workspace, reuses=("earlier",))
    add_task(workspace, "a")
    with dispatching(workspace):
        assert granted(workspace) == []
        step(workspace)
        assert granted(workspace) == ["a"]


@pytest.mark.requirement("WFL-HUB-119")
def test_prompt_for_a_role_that_is_not_here_is_left_to_others(tmp_path: Path) -> None:
    workspace = shared(tmp_path, fleet='[role.writer]\nargv = ["true", "{prompt}"]\n')
    add_task(workspace, "a", command=None, prompt="paint", role="painter")
    add_task(workspace, "b", command=None, prompt="write", role="writer")
    with dispatching(workspace):
        assert granted(workspace) == ["b"]
        waits = step(workspace).waits
    assert waits["r1.a"] == "there is no role painter on this machine"


@pytest.mark.requirement("WFL-HUB-119")
def test_what_a_worker_of_another_machine_offers_needs_no_person(tmp_path: Path) -> None:
    workspace = shared(tmp_path)
    task = add_task(workspace, "a", needs=("gpu",))
    assert step(workspace).on_person == {task.id}
    assert [need.code for need in obstacles(workspace, RUN)] == ["needs"]
    beat = {"kind": "wfledger.beat/1", "machine": OTHER, "number": 1, "offers": ["gpu"]}
    commit = workspace.history.lone(
        {beating.FILE: canonical_json(beat)}, message="beat", when=workspace.clock.now()
    )
    silence.observe(
        workspace, {OTHER: commit}, (), began=workspace.clock.awake(), interval_s=1.0, lease_s=60.0
    )
    assert step(workspace).on_person == frozenset()
    assert obstacles(workspace, RUN) == ()
