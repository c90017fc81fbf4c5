"""The one state of a task, and how failed attempts are counted."""

from typing import Any

import pytest

from wfledger.core.documents import Attempt, Block, Task, TaskSpec
from wfledger.core.outcome import SOURCES
from wfledger.core.states import LANDING, REPORTED, SILENT_S, WORKING, Seen, State, state_of
from wfledger.core.statuses import Status
from wfledger.core.tally import KINDS, failures_of, kind_of, total


def task(**fields: Any) -> Task:
    """Return a task."""
    spec = TaskSpec(**fields.pop("spec", {"command": "true"}))
    return Task(
        id="r.a", run="r", seq=1, attempt=1, created="2026-01-01T00:00:00.000Z", spec=spec,
        spec_sha256=spec.digest(), **fields,
    )  # fmt: skip


def blocked(code: str) -> Task:
    """Return a task that is blocked."""
    return task(block=Block(code=code, reason="so", command="wfledger why r.a"))


@pytest.mark.requirement("WFL-STATUS-040")
@pytest.mark.parametrize(
    ("found", "status", "seen", "state"),
    [
        (task(), Status.WAITING, Seen(), State.QUEUED),
        (task(), Status.PENDING, Seen("running"), State.QUEUED),
        (task(spec={"manual": True}), Status.PENDING, Seen(), State.ESCALATED),
        (task(), Status.IN_PROGRESS, Seen(), State.LEASED),
        (task(), Status.IN_PROGRESS, Seen("of-a-newer-version"), State.LEASED),
        (task(), Status.IN_PROGRESS, Seen("verifying"), State.LEASED),
        (task(), Status.IN_PROGRESS, Seen("running", quiet_s=SILENT_S - 1), State.RUNNING),
        (task(), Status.IN_PROGRESS, Seen("running", quiet_s=SILENT_S), State.SILENT),
        (task(), Status.IN_PROGRESS, Seen("model_wait", quiet_s=9e9), State.MODEL_WAIT),
        (task(), Status.MERGING, Seen(), State.MERGING),
        (task(), Status.MERGING, Seen("running"), State.MERGING),
        (task(), Status.MERGING, Seen("gating", is_lost=True), State.STALE),
        (blocked("stopped"), Status.BLOCKED, Seen(), State.INTERRUPTED),
        (blocked("exhausted"), Status.BLOCKED, Seen(), State.FAILED),
        (blocked("question"), Status.BLOCKED, Seen(), State.ESCALATED),
        (blocked("dependency_cancelled"), Status.BLOCKED, Seen(), State.ESCALATED),
        (task(), Status.BLOCKED, Seen(), State.ESCALATED),
        (task(), Status.DONE, Seen("running"), State.COMPLETED),
        (task(), Status.CANCELLED, Seen(), State.CANCELLED),
    ],
)
def test_each_task_has_one_state(found: Task, status: Status, seen: Seen, state: State) -> None:
    assert state_of(found, status, seen) is state


@pytest.mark.parametrize("said", sorted(WORKING | LANDING))
def test_what_was_said_shows_where_it_fits(said: State) -> None:
    working = state_of(task(), Status.IN_PROGRESS, Seen(said))
    landing = state_of(task(), Status.MERGING, Seen(said))
    assert working is (said if said in WORKING else State.LEASED)
    assert landing is (said if said in LANDING else State.MERGING)


@pytest.mark.requirement("WFL-STATUS-042")
@pytest.mark.parametrize("said", [None, *REPORTED])
def test_lost_attempt_is_stale_whatever_it_said(said: str | None) -> None:
    assert state_of(task(), Status.IN_PROGRESS, Seen(said, is_lost=True)) is State.STALE


@pytest.mark.requirement("WFL-STATUS-043")
def test_failed_attempts_are_counted_under_one_kind() -> None:
    outcomes = ["succeeded", "lost", "released", "stopped", "question", "out_of_scope", "gate"]
    attempts = [
        Attempt(number=number, worker="w", outcome=outcome, ended="2026-01-01T00:00:00.000Z")
        for number, outcome in enumerate(outcomes, 1)
    ]
    assert failures_of(attempts) == {"transport": 1, "scope": 1, "merge": 1}
    assert total([failures_of(attempts), {"scope": 2}]) == {
        "transport": 1, "runtime": 0, "task": 0, "scope": 3, "verification": 0, "merge": 1,
    }  # fmt: skip


@pytest.mark.parametrize("failure_class", sorted(SOURCES))
def test_every_failure_has_a_kind_or_is_none(failure_class: str) -> None:
    expected = failure_class in {"question", "stopped"}
    assert (kind_of(failure_class) is None) is expected
    assert kind_of(failure_class) in {*KINDS, None}
