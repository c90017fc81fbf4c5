"""What becomes of a record when the remote has gone on meanwhile."""

from typing import Any

import pytest

from tests.support.ledgers import make_task
from wfledger.core.documents import ClaimNote, Grant, Intent, Run, Task
from wfledger.core.records import plain
from wfledger.core.replaying import Lost, Seen, Taken, There, judge, merge_runs, overruled
from wfledger.core.statuses import Status

HERE, THERE = "here", "there"
OID = "1" * 40


def task(seq: int = 3, *, grant: str | None = None, **fields: Any) -> Task:
    given = None if grant is None else Grant(machine=grant, since="2026-01-05T09:00:00.000Z")
    return make_task("r.a", seq=seq, attempt=fields.pop("attempt", 1), grant=given, **fields)


def record(after: Task, source: Status | None, target: Status, why: str = "why") -> dict[str, Any]:
    return {
        "kind": "task", "task": after.id, "attempt": after.attempt, "seq": after.seq,
        "from": source.value if source else None, "to": target.value, "why": why, "by": "ana",
        "at": "2026-01-05T09:00:00.000Z", "content": plain(after),
    }  # fmt: skip


def claimed(offer: Task) -> dict[str, Any]:
    told = record(offer, Status.PENDING, Status.IN_PROGRESS, "claim")
    return {**told, "kind": "claim", "content": None}


def verdict(told: dict[str, Any], seen: Seen | None) -> Taken | There | Lost:
    return judge(told, seen, here=HERE)


@pytest.mark.requirement("WFL-HUB-016")
def test_what_follows_from_the_tip_is_taken_as_it_is() -> None:
    told = record(task(4), Status.WAITING, Status.BLOCKED)
    found = verdict(told, Seen(task(3), Status.WAITING))
    assert found == Taken(told, Seen(task(4), Status.BLOCKED))


@pytest.mark.requirement("WFL-HUB-016")
@pytest.mark.parametrize(
    "seen",
    [
        Seen(task(4), Status.WAITING),
        Seen(task(2), Status.WAITING),
        Seen(task(3), Status.BLOCKED),
        Seen(task(3, grant=HERE), Status.PENDING),
        None,
    ],
)
def test_what_does_not_follow_from_the_tip_is_lost(seen: Seen | None) -> None:
    assert isinstance(verdict(record(task(4), Status.WAITING, Status.BLOCKED), seen), Lost)


@pytest.mark.requirement("WFL-HUB-018")
def test_what_the_tip_has_verbatim_is_neither_pushed_again_nor_lost() -> None:
    told = record(task(4), Status.WAITING, Status.BLOCKED)
    assert verdict(told, Seen(task(4), Status.BLOCKED)) == There()


def test_a_new_task_is_taken_where_its_id_is_free() -> None:
    told = record(task(1, attempt=0), None, Status.WAITING)
    assert isinstance(verdict(told, None), Taken)
    assert verdict(told, Seen(task(9), Status.DONE)) == There()
    other = make_task("r.a", created="2026-02-05T09:00:00.000Z")
    assert verdict(told, Seen(other, Status.WAITING)) == Lost("another task has that id")


@pytest.mark.requirement("WFL-HUB-016")
def test_a_claim_is_taken_where_the_offer_is_ours() -> None:
    offer = task(3, grant=HERE)
    told = claimed(offer)
    assert verdict(told, Seen(offer, Status.PENDING)) == Taken(told, Seen(offer, Status.IN_PROGRESS))
    assert verdict(told, Seen(offer, Status.IN_PROGRESS)) == There()


@pytest.mark.parametrize(
    "seen",
    [
        Seen(task(3, grant=THERE), Status.PENDING),
        Seen(task(3, grant=THERE), Status.IN_PROGRESS),
        Seen(task(4, grant=HERE, attempt=2), Status.PENDING),
        Seen(task(4), Status.WAITING),
        None,
    ],
)
def test_a_claim_of_what_is_no_longer_on_offer_here_is_lost(seen: Seen | None) -> None:
    assert isinstance(verdict(claimed(task(3, grant=HERE)), seen), Lost)


def test_the_end_of_an_attempt_that_was_claimed_by_a_rename_is_taken() -> None:
    told = record(task(4, grant=HERE), Status.IN_PROGRESS, Status.MERGING)
    assert isinstance(verdict(told, Seen(task(3, grant=HERE), Status.PENDING)), Taken)
    assert isinstance(verdict(told, Seen(task(3, grant=THERE), Status.PENDING)), Lost)


@pytest.mark.requirement("WFL-HUB-012")
def test_a_change_in_place_of_what_is_on_offer_elsewhere_is_lost() -> None:
    offer = task(3, grant=THERE)
    told = record(task(4, grant=THERE), Status.IN_PROGRESS, Status.IN_PROGRESS)
    assert isinstance(verdict(told, Seen(offer, Status.PENDING)), Lost)


@pytest.mark.requirement("WFL-HUB-017")
@pytest.mark.parametrize(
    ("status", "grant"),
    [
        (Status.WAITING, None), (Status.PENDING, HERE), (Status.PENDING, THERE),
        (Status.IN_PROGRESS, THERE), (Status.MERGING, HERE), (Status.BLOCKED, None),
    ],
)  # fmt: skip
def test_a_cancellation_is_made_anew_on_what_the_task_has_become(
    status: Status, grant: str | None
) -> None:
    seen = Seen(task(7, grant=grant, answers=("theirs",)), status)
    found = verdict(record(task(4), Status.WAITING, Status.CANCELLED, "not needed"), seen)
    assert isinstance(found, Taken)
    after = found.after.task
    assert (found.after.status, after.seq, after.grant) == (Status.CANCELLED, 8, None)
    assert after.answers == ("theirs",)
    assert (found.record["from"], found.record["seq"]) == (status.value, 8)
    assert found.record["content"] == plain(after)


@pytest.mark.requirement("WFL-HUB-017")
def test_an_attempt_that_is_cancelled_elsewhere_is_noted_as_stopped() -> None:
    note = ClaimNote(attempt=1, worker="bo", machine=THERE, token_sha256="", since="2026")
    seen = Seen(task(7, grant=THERE, claim=note), Status.IN_PROGRESS)
    found = verdict(record(task(4), Status.WAITING, Status.CANCELLED, "not needed"), seen)
    assert isinstance(found, Taken)
    over = found.after.task.attempts[-1]
    assert (over.number, over.worker, over.outcome, over.message) == (1, "bo", "stopped", "not needed")


@pytest.mark.requirement("WFL-HUB-017")
def test_what_is_over_or_landing_is_not_cancelled() -> None:
    told = record(task(4), Status.WAITING, Status.CANCELLED)
    intent = Intent(round=1, target="refs/heads/x", tip=OID, candidate=OID, tree=OID, epoch=1)
    assert isinstance(verdict(told, Seen(task(7), Status.DONE)), Lost)
    assert isinstance(verdict(told, Seen(task(7, intent=intent), Status.MERGING)), Lost)


def test_the_cancellation_of_an_offer_elsewhere_says_what_it_was_there() -> None:
    told = record(task(4), Status.IN_PROGRESS, Status.CANCELLED)
    found = verdict(told, Seen(task(3, grant=THERE), Status.PENDING))
    assert isinstance(found, Taken)
    assert found.record["from"] == "pending"


def test_a_record_that_cannot_be_read_is_lost() -> None:
    told = record(task(4), Status.WAITING, Status.BLOCKED) | {"content": {"id": "r.a"}}
    assert "cannot be read" in getattr(verdict(told, Seen(task(3), Status.WAITING)), "because", "")


# -- runs ----------------------------------------------------------------------------------------

BASE = Run(id="r", seq=3, created="2026", branch="refs/heads/wf/r", target="refs/heads/main",
           base=OID, tasks=("r.a",))  # fmt: skip


@pytest.mark.requirement("WFL-HUB-019")
def test_what_both_sides_added_to_a_run_is_united() -> None:
    ours, theirs = BASE.but(seq=4, tasks=("r.a", "r.b")), BASE.but(seq=5, tasks=("r.a", "r.c"))
    merged = merge_runs(BASE, ours, theirs)
    assert (merged.tasks, merged.seq) == (("r.a", "r.c", "r.b"), 6)


@pytest.mark.requirement("WFL-HUB-019")
def test_each_field_of_a_run_is_as_the_side_has_it_that_changed_it() -> None:
    ours, theirs = BASE.but(seq=4, max_concurrent=2), BASE.but(seq=4, home=THERE)
    merged = merge_runs(BASE, ours, theirs)
    assert (merged.max_concurrent, merged.home) == (2, THERE)
    both = merge_runs(BASE, BASE.but(home=HERE), BASE.but(seq=4, home=THERE))
    assert both == BASE.but(seq=4, home=THERE)


@pytest.mark.requirement("WFL-HUB-019")
@pytest.mark.parametrize(
    ("was", "ours", "theirs", "merged"),
    [
        ("open", "paused", "open", "paused"),
        ("paused", "open", "paused", "open"),
        ("open", "open", "aborted", "aborted"),
        ("open", "paused", "aborted", "aborted"),
        ("open", "aborted", "paused", "aborted"),
        ("open", "paused", "landed", "landed"),
        (None, "paused", "open", "paused"),
        (None, "open", "paused", "paused"),
    ],
)
def test_the_state_of_a_run_is_what_was_decided_last_or_weighs_more(
    was: Any, ours: Any, theirs: Any, merged: str
) -> None:
    base = None if was is None else BASE.but(state=was)
    found = merge_runs(base, BASE.but(seq=4, state=ours), BASE.but(seq=4, state=theirs))
    assert found.state == merged


def test_a_run_that_both_began_alike_is_the_remote_s() -> None:
    assert merge_runs(None, BASE.but(seq=1), BASE) == BASE


@pytest.mark.requirement("WFL-HUB-019")
@pytest.mark.parametrize("state", ["open", "paused"])
def test_who_stops_what_runs_of_a_run_is_heard_before_who_lets_it_go_on(state: str) -> None:
    base = BASE.but(state="paused")
    stops, other = base.but(seq=4, ends=True), base.but(seq=4, state=state)
    for ours, theirs in ((stops, other), (other, stops)):
        found = merge_runs(base, ours, theirs)
        assert (found.state, found.ends) == ("paused", True)


@pytest.mark.requirement("WFL-HUB-037")
def test_what_was_decided_of_a_run_and_does_not_hold_is_named() -> None:
    ours = BASE.but(seq=4, state="paused", max_concurrent=1, home=HERE)
    theirs = BASE.but(seq=4, state="aborted", reason="enough", max_concurrent=2, home=THERE)
    merged = merge_runs(BASE, ours, theirs)
    assert overruled(BASE, ours, merged) == ("state", "max_concurrent")
    assert overruled(BASE, theirs, merged) == ()
    assert overruled(None, ours, merged) == ()
