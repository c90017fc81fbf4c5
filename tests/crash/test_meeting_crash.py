"""A machine that is killed at each point of a meeting, and comes to the same end with the next."""

from pathlib import Path

import pytest

from tests.support.crashing import die_on
from tests.support.sharing import (
    granted,
    granting,
    reopened,
    share,
    shows_the_tip,
    statuses,
    synced,
)
from tests.support.workspaces import add_run, add_task, open_workspace
from wfledger import faults
from wfledger.core.statuses import Actor, Status
from wfledger.run.hub import losses
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.workspace import Workspace

_OURS = ("apply.", "confirm.", "meet.", "compose.", "showing.")
#: In their order: whoever dies at one of them passes the next in the following meeting.
_BEFORE = (
    "meet.fetched", "apply.rotated", "apply.branch-moved", "apply.lost-noted",
    "showing.task.moved", "showing.task.done", "showing.file.done", "apply.shown",
    "apply.rewritten", "apply.applied", "meet.taken", "compose.written", "meet.composed",
    "meet.noted", "meet.pushed", "apply.settled",
)  # fmt: skip
#: These are passed only once what is pushed has come through.
_AFTER = ("confirm.branch-moved", "confirm.shown", "confirm.dropped", "confirm.applied",
          "meet.confirmed")  # fmt: skip


def test_every_point_of_a_meeting_is_died_at() -> None:
    named = {name for name in faults.names() if name.startswith(_OURS)}
    assert named == {*_BEFORE, *_AFTER}


def meet_and_ask(root: Path) -> None:
    meet(open_workspace(root), (granting,))


def only(name: str) -> object:
    """Ask for one task, and for nothing else that waits."""

    def propose(workspace: Workspace, sight: Sight) -> list[Proposal]:
        del sight
        return [granted(workspace, workspace.ledger.get(name).task)]

    return propose


def edit(workspace: Workspace, name: str, said: str) -> None:
    with workspace.ledger.transaction("people") as changes:
        changes.update(name, why=said, answers=(said,))


def cancel(workspace: Workspace, name: str) -> None:
    with workspace.ledger.transaction("people") as changes:
        changes.move(name, Status.CANCELLED, actor=Actor.PERSON, why="no")


def begin(one: Workspace, other: Workspace, at: int) -> None:
    """Let the remote have an offer of one's that is cancelled, and an edit that one made, too."""
    offer, both = add_task(one, f"offer-{at}"), add_task(one, f"both-{at}")
    meet(one, (only(offer.id),))  # type: ignore[arg-type]
    synced(other)
    cancel(other, offer.id)
    edit(other, both.id, "theirs")
    with other.ledger.transaction("people") as changes:
        changes.put_file("fleet.toml", f"# {at}\n".encode(), why="edited")
    synced(other)
    edit(one, both.id, "ours")
    add_task(one, f"new-{at}")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-022", "WFL-HUB-018")
def test_a_death_anywhere_in_a_meeting_changes_nothing_of_its_end(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    synced(one, other)
    for at, chain in enumerate([_BEFORE, *((name,) for name in _AFTER)]):
        begin(one, other, at)
        for name in chain:
            assert die_on(one.main, meet_and_ask, name), f"no meeting passed {name}"
        meet_and_ask(one.main)
        point = chain[-1]
        one, other = reopened(one), reopened(other)
        synced(other)
        ends = statuses(one)
        assert ends[f"r1.offer-{at}"] == "cancelled", point
        assert (ends[f"r1.both-{at}"], ends[f"r1.new-{at}"]) == ("pending", "pending"), point
        assert one.ledger.get(f"r1.both-{at}").task.answers == ("theirs",), point
        assert (one.ledger.layout.root / "fleet.toml").read_text() == f"# {at}\n", point
        assert [lost.task for lost in losses.read(one)].count(f"r1.both-{at}") == 1, point
        assert one.ledger.journal.is_empty(), point
        shows_the_tip(one)
        shows_the_tip(other)
