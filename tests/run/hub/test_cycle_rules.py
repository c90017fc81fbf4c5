"""What a meeting pushes and what it does not, and what goes together when something is lost."""

from pathlib import Path

import pytest

from tests.support.faults import trace_to
from tests.support.ledgers import make_task
from tests.support.processes import start
from tests.support.repos import git
from tests.support.sharing import LEDGER, granting, share, shows_the_tip, statuses, synced
from tests.support.workspaces import add_run, add_task, open_workspace
from wfledger.core.documents import Result
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.claims import claim
from wfledger.run.attempts.closing import close
from wfledger.run.hub import losses
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.state import folder
from wfledger.run.looks.remote import remote_view
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long


def meet_there(root: str) -> str:
    return meet(open_workspace(Path(root))).outcome


def put(workspace: Workspace, path: str, text: str) -> None:
    with workspace.ledger.transaction("people") as changes:
        changes.put_file(path, text.encode(), why="edited")


@pytest.mark.requirement("WFL-HUB-015", "WFL-HUB-001", "WFL-HUB-025")
def test_a_push_says_whose_it_is_and_without_news_there_is_none(tmp_path: Path) -> None:
    one, _ = share(tmp_path)
    hub = tmp_path / "hub.git"
    before = git(hub, "rev-parse", LEDGER)
    add_run(one)
    add_task(one, "a")
    assert synced(one)[0].pushed
    tip = git(hub, "rev-parse", LEDGER)
    trailers = dict(one.repo.log(tip, limit=1)[0].pairs)
    assert trailers["Wfledger-Machine"] == one.machine.id
    assert trailers["Wfledger-Upto"].isdecimal()
    assert len(trailers["Wfledger-Nonce"]) == 16
    assert one.repo.is_ancestor(before, tip)
    assert (synced(one)[0].outcome, synced(one)[0].pushed) == ("quiet", False)
    add_task(one, "b")
    hub.rename(tmp_path / "away")
    active = one.ledger.journal.active
    assert not synced(one)[0].is_well
    assert one.ledger.journal.active == active
    assert statuses(one) == {"r1.a": "waiting", "r1.b": "waiting"}


@pytest.mark.requirement("WFL-HUB-035")
def test_a_branch_that_the_server_refuses_does_not_keep_the_ledger_back(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    path = tmp_path / "hub.git" / "hooks" / "update"
    path.write_text("#!/bin/sh\ncase $1 in refs/heads/wf/*) echo no >&2; exit 1;; esac\n")
    path.chmod(0o755)
    add_run(one)
    add_task(one, "a")
    synced(one, other)
    assert statuses(other) == {"r1.a": "waiting"}
    assert one.ledger.journal.is_empty()


@pytest.mark.requirement("WFL-HUB-034")
def test_many_documents_are_shown_some_at_a_time(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    with one.ledger.transaction("people") as changes:
        for number in range(300):
            changes.add(make_task(f"r1.t{number}"))
    synced(one)
    trace = tmp_path / "trace"
    assert start(meet_there, str(other.main), env=trace_to(trace)).result() == "ok"
    assert trace.read_text().split().count("apply.rotated") >= 2
    shows_the_tip(other)


@pytest.mark.requirement("WFL-HUB-018")
def test_what_an_attempt_did_is_lost_with_it(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    parent = add_task(one, "a")
    synced(one, proposers=[granting])
    claim(one, worker="w", task_id=parent.id)
    synced(one, other)
    with other.ledger.transaction("people") as changes:
        changes.move(parent.id, Status.CANCELLED, actor=Actor.PERSON, why="no")
    synced(other)
    child = add_task(one, "b", parent=parent.id)
    close(one, Result(task=parent.id, attempt=1, status="failed"), by="w")
    met = synced(one)[0]
    assert statuses(one) == {parent.id: "cancelled"}
    assert {lost.task for lost in met.lost} == {parent.id, child.id, f"results/{parent.id}/1.json"}
    assert losses.read(one) == list(met.lost)
    assert (folder(one.ledger.layout.local) / "aside" / f"results.{parent.id}.1.json").exists()
    shows_the_tip(one)


@pytest.mark.requirement("WFL-HUB-018")
def test_a_claim_that_came_too_late_is_lost_and_the_machine_goes_on(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = add_task(one, "a")
    synced(one, other, proposers=[granting])
    synced(other)
    claim(one, worker="w", task_id=task.id)
    with other.ledger.transaction("people") as changes:
        changes.move(task.id, Status.CANCELLED, actor=Actor.PERSON, why="no")
    synced(other)
    (met,) = synced(one)
    assert [(lost.task, lost.source, lost.target) for lost in met.lost] == [
        (task.id, "pending", "in-progress")
    ]
    assert synced(one)[0].is_well
    assert statuses(one) == {task.id: "cancelled"}
    shows_the_tip(one)


@pytest.mark.requirement("WFL-HUB-019")
def test_of_a_file_that_both_changed_the_remote_s_stays_and_ours_is_kept(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    put(one, "fleet.toml", "# ours\n")
    put(other, "fleet.toml", "# theirs\n")
    synced(other)
    assert {lost.task for lost in synced(one)[0].lost} == {"fleet.toml"}
    assert (one.ledger.layout.root / "fleet.toml").read_text() == "# theirs\n"
    aside = folder(one.ledger.layout.local) / "aside" / "fleet.toml"
    assert aside.read_text() == "# ours\n"


@pytest.mark.requirement("WFL-HUB-019")
def test_runs_that_both_changed_are_merged(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    synced(one, other)
    for workspace, facts in ((one, {"state": "paused"}), (other, {"max_concurrent": 3})):
        with workspace.ledger.transaction("people") as changes:
            run = workspace.ledger.run("r1")
            changes.put_run(run.but(seq=run.seq + 1, **facts), why="said")
    synced(other, one, other)
    for workspace in (one, other):
        run = workspace.ledger.run("r1")
        assert (run.state, run.max_concurrent) == ("paused", 3)


@pytest.mark.requirement("WFL-HUB-037", "WFL-HUB-018")
def test_who_was_overruled_on_a_run_or_lost_what_he_wrote_is_told(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    task = add_task(one, "a")
    synced(one, other)
    for workspace, state in ((one, "paused"), (other, "aborted")):
        with workspace.ledger.transaction("people") as changes:
            run = workspace.ledger.run("r1")
            changes.put_run(run.but(seq=run.seq + 1, state=state), why=state)
            written = task.spec.but(command=f"echo {state}")
            changes.update(task.id, why="edited by hand", spec=written)
    lost = synced(other, one)[1].lost
    assert [(each.task, each.because) for each in lost if each.task.startswith("runs/")] == [
        ("runs/r1.json", "others have changed its state, too")
    ]
    (kept,) = (folder(one.ledger.layout.local) / "aside").iterdir()
    assert b"echo paused" in kept.read_bytes()
    assert one.ledger.run("r1").state == "aborted"


@pytest.mark.requirement("WFL-HUB-035", "WFL-HUB-142")
def test_a_server_that_refuses_whole_pushes_for_a_branch_takes_the_rest_and_people_are_told(
    tmp_path: Path,
) -> None:
    one, other = share(tmp_path)
    path = tmp_path / "hub.git" / "hooks" / "pre-receive"
    path.write_text("#!/bin/sh\n! grep -q refs/heads/wf/ || { echo rule 7 >&2; exit 1; }\n")
    path.chmod(0o755)
    synced(one)
    add_run(one)
    for outcome in ("ok", "quiet"):  # with news, and with the branch alone
        if outcome == "ok":
            add_task(one, "a")
        assert synced(one)[0].outcome == outcome
        view = remote_view(one)
        assert view is not None
        assert [note.partition(":")[0] for note in view.notes] == [
            "origin refuses wf/r1, and nothing lands there"
        ]
        assert "rule 7" in view.notes[0]
    synced(other)
    assert statuses(other) == {"r1.a": "waiting"}
    beat = git(tmp_path / "hub.git", "for-each-ref", "--format=%(refname)", "refs/wfledger/beat")
    assert one.machine.id in beat
    path.unlink()
    synced(one)
    view = remote_view(one)
    assert view is not None
    assert view.notes == ()
