"""A controller that goes on as soon as one of the tasks that it waits for is settled."""

import pytest

from wfledger.core.control import Control, ControlState
from wfledger.core.documents import Task, TaskSpec
from wfledger.core.graph import Standing, readiness
from wfledger.core.statuses import Status

WAITS = Standing(Status.WAITING, "skip_continue")
DONE = Standing(Status.DONE, "skip_continue")
FAILED = Standing(Status.BLOCKED, "skip_continue", "task")
ASKS = Standing(Status.BLOCKED, "skip_continue", "question")


def controller(on: tuple[str, ...], *, any_of: bool, after: tuple[str, ...] = ()) -> Task:
    spec = TaskSpec(control=Control(kind="script", script=""), after=after)
    return Task(
        id="r1.s", run="r1", seq=1, attempt=0, created="2026-01-01T00:00:00Z", spec=spec,
        spec_sha256=spec.digest(), control=ControlState(on=on, any_of=any_of),
    )  # fmt: skip


@pytest.mark.requirement("WFL-CTRL-090")
@pytest.mark.parametrize(
    ("other", "any_of", "kind"),
    [
        (DONE, True, "ready"), (FAILED, True, "ready"), (None, True, "ready"),
        (WAITS, True, "waits"), (ASKS, True, "waits"), (DONE, False, "waits"),
    ],
)  # fmt: skip
def test_one_settled_task_is_enough(other: Standing | None, any_of: bool, kind: str) -> None:
    standings = {"r1.a": WAITS} | ({} if other is None else {"r1.b": other})
    found = readiness(controller(("r1.a", "r1.b"), any_of=any_of), standings)
    assert found.kind == kind


@pytest.mark.requirement("WFL-CTRL-090")
def test_with_nothing_to_wait_for_it_goes_on_at_once_but_after_what_it_comes_after() -> None:
    assert readiness(controller((), any_of=True), {}).kind == "ready"
    late = controller((), any_of=True, after=("r1.a",))
    assert readiness(late, {"r1.a": WAITS}).kind == "waits"
    assert readiness(late, {"r1.a": DONE}).kind == "ready"
