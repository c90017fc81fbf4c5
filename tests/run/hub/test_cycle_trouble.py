"""Meetings under trouble: answers that are lost, strange trees, hands and processes in between."""

import os
from pathlib import Path

import pytest

from tests.support.processes import start
from tests.support.repos import git
from tests.support.sharing import (
    LEDGER,
    granting,
    reopened,
    share,
    shows_the_tip,
    statuses,
    synced,
)
from tests.support.workspaces import (
    add_run,
    add_task,
    change,
    gitlink,
    link,
    open_workspace,
    script,
)
from wfledger.core.records import canonical
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.claims import claim
from wfledger.run.byhand.adopting import Adopter
from wfledger.run.hub import losses
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.state import distrust, folder, read_state
from wfledger.run.wholeness import redo_all
from wfledger.run.workspace import Workspace
from wfledger.store.boot import begin_redo

pytestmark = pytest.mark.long


def hook(tmp_path: Path, name: str, body: str) -> Path:
    path = tmp_path / "hub.git" / "hooks" / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def meet_and_ask(root: str) -> str:
    return meet(open_workspace(Path(root)), (granting,)).outcome


def cancel(workspace: Workspace, name: str) -> None:
    with workspace.ledger.transaction("people") as changes:
        changes.move(name, Status.CANCELLED, actor=Actor.PERSON, why="no")


@pytest.mark.requirement("WFL-HUB-023")
@pytest.mark.parametrize("when", ["pre-receive", "post-receive"])
def test_a_push_whose_answer_was_lost_is_settled_by_what_the_remote_has(
    tmp_path: Path, when: str
) -> None:
    one, other = share(tmp_path)
    add_run(one)
    synced(one)
    cut = hook(tmp_path, when, "kill -9 $PPID")
    task = add_task(one, "a")
    assert synced(one)[0].outcome == "unknown"
    assert not one.ledger.journal.is_empty()
    cut.unlink()
    # Others go on with what came through, and it is not taken for lost.
    synced(other, proposers=[granting])
    met = synced(one)[0]
    assert met.lost == ()
    assert one.ledger.journal.is_empty()
    synced(other)
    assert statuses(other) == {task.id: "pending" if when == "post-receive" else "waiting"}
    shows_the_tip(one)
    shows_the_tip(other)


@pytest.mark.requirement("WFL-HUB-023")
def test_a_push_that_comes_through_late_is_ours_all_the_same(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    synced(one)
    hub = tmp_path / "hub.git"
    cut = hook(tmp_path, "pre-receive", "kill -9 $PPID")
    task = add_task(one, "a")
    for _ in range(2):
        assert synced(one)[0].outcome == "unknown"
    first = read_state(one.ledger.layout.local).earlier[0]
    cut.unlink()
    git(hub, "fetch", "--quiet", str(one.main), first.commit)
    git(hub, "update-ref", LEDGER, first.commit, first.parent)
    synced(other, proposers=[granting])
    assert synced(one)[0].lost == ()
    assert one.ledger.journal.is_empty()
    assert statuses(one) == {task.id: "in-progress"}


@pytest.mark.requirement("WFL-HUB-023")
def test_without_its_notes_a_machine_knows_its_own_commits(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    synced(one)
    cut = hook(tmp_path, "post-receive", "kill -9 $PPID")
    task = add_task(one, "a")
    assert synced(one)[0].outcome == "unknown"
    cut.unlink()
    synced(other, proposers=[granting])
    (folder(one.ledger.layout.local) / "state.json").unlink()
    assert synced(one)[0].lost == ()
    assert one.ledger.journal.is_empty()
    assert statuses(one) == {task.id: "in-progress"}
    shows_the_tip(one)


@pytest.mark.requirement("WFL-HUB-024")
def test_what_is_changed_while_a_push_is_under_way_stays(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = add_task(one, "a")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    once = tmp_path / "once"
    hook(tmp_path, "pre-receive", f"[ -e {once} ] || {{ touch {once}; cat {gate}; }}")

    meeting = start(meet_and_ask, str(one.main))
    with gate.open("w"):  # the server has the push in its hands now
        cancel(one, task.id)
    assert meeting.result() == "ok"
    assert statuses(one) == {task.id: "cancelled"}
    synced(one, other)
    assert statuses(other) == {task.id: "cancelled"}
    assert losses.read(one) == []
    shows_the_tip(one)


@pytest.mark.requirement("WFL-HUB-026")
def test_what_a_remote_has_that_is_no_document_is_left_out_and_said(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = add_task(one, "a")
    synced(one, other)
    hub = tmp_path / "hub.git"
    big = "x" * (3 * 2**20)
    change(hub, LEDGER, {
        f"waiting/r1/{task.id}.json": "{", "waiting/r1/r1.link.json": link("/etc/passwd"),
        "waiting/r1/r1.big.json": big, "waiting/r1/r1.sub.json": gitlink("1" * 40),
        "runs/r1.json": "no run", "ledger.json": "{}", "results/r1.a/1.json": "{}", "hooks/evil": script("echo"),
        "fleet.toml": "# fine\n",
    }, base=git(hub, "rev-parse", LEDGER))
    new = add_task(one, "b")
    assert [met.outcome for met in synced(one, other)] == ["ok", "quiet"]
    root = other.ledger.layout.root
    assert statuses(other) == {task.id: "waiting", new.id: "waiting"}
    assert (root / "fleet.toml").read_text() == "# fine\n"
    assert not (root / "hooks").exists()
    assert other.policy() == one.policy()
    assert set(losses.odd(other)) == {
        f"waiting/r1/{task.id}.json", "waiting/r1/r1.link.json", "waiting/r1/r1.big.json",
        "waiting/r1/r1.sub.json", "runs/r1.json", "ledger.json", "results/r1.a/1.json",
    }  # fmt: skip


@pytest.mark.requirement("WFL-HUB-021")
def test_an_edit_by_hand_that_nobody_has_seen_is_kept_aside(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = add_task(one, "a")
    synced(one, other)
    path = other.ledger.layout.task(Status.WAITING, task.id)
    path.write_bytes(canonical(task.but(spec=task.spec.but(title="by hand"))))
    cancel(one, task.id)
    synced(one, other)
    assert statuses(other) == {task.id: "cancelled"}
    kept = [p.read_text() for p in (other.ledger.layout.root / "quarantine").iterdir()]
    assert any("by hand" in text for text in kept)
    synced(other)
    shows_the_tip(other)


@pytest.mark.requirement("WFL-HUB-021")
def test_a_claim_by_rename_before_the_meeting_is_its_claimant_s(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = add_task(one, "a")
    synced(one, proposers=[granting])
    layout = one.ledger.layout
    layout.task(Status.PENDING, task.id).rename(layout.task(Status.IN_PROGRESS, task.id))
    distrust(layout.local)
    synced(other, one)
    assert statuses(one)[task.id] == "in-progress"


def test_the_adopter_takes_nothing_of_a_meeting_for_done_by_hand(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    names = [add_task(one, f"t{number}").id for number in range(40)]
    adopter = Adopter(other)
    adopter.step()
    synced(one, other)
    assert adopter.step() == []
    synced(one, proposers=[granting])
    synced(other)
    assert adopter.step() == []
    cancel(other, names[0])
    synced(other, one)
    assert (adopter.step(), Adopter(one).step()) == ([], [])
    assert other.ledger.journal.is_empty()
    shows_the_tip(one)


@pytest.mark.requirement("WFL-HUB-022")
def test_power_loss_leaves_what_the_remote_has_and_what_it_has_not_confirmed(
    tmp_path: Path,
) -> None:
    one, other = share(tmp_path)
    add_run(one)
    a, b = add_task(one, "a"), add_task(one, "b")
    synced(one, proposers=[granting])
    synced(other)
    claim(one, worker="w", task_id=a.id)
    new = add_task(one, "c")
    layout = one.ledger.layout
    before = statuses(one)
    for status in (Status.PENDING, Status.IN_PROGRESS):  # what power loss may do to files
        for name in one.ledger.names(status):
            layout.task(status, name).write_bytes(b"")
    layout.task(Status.WAITING, new.id).unlink()
    begin_redo(one.ledger)
    redo_all(reopened(one), by="test")
    one = reopened(one)
    assert statuses(one) == before
    assert one.ledger.get(b.id).task.attempt == 1
    synced(one, other)
    shows_the_tip(one)
    shows_the_tip(other)
    assert losses.read(one) == []


def test_a_lock_that_was_left_on_the_server_is_named(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    add_run(one)
    add_task(one, "a")
    assert one.hub is not None
    lock = tmp_path / "hub.git" / f"{one.hub.names.ledger}.lock"
    lock.touch()

    met = meet(one)

    assert met.outcome == "refused"
    assert str(lock) in met.said
    assert str(lock) in str(met.hint)
    lock.unlink()
    assert meet(one).outcome == "ok"
