"""What a block asks for, and what a person's decision means in a run that is over."""

import shlex

import pytest

from tests.support.ledgers import make_task
from wfledger.core import outcome
from wfledger.core.documents import Accepted, Attempt, Task, TaskSpec
from wfledger.core.graph import is_halted, is_lifted

OID = "a" * 40


def attempted(*outcomes: str, forgiven: int = 0) -> Task:
    """Return a task with attempts behind it that ended like that."""
    attempts = tuple(
        Attempt(number=number, worker="w", outcome=one, ended="2026-01-05T09:00:00.000Z")
        for number, one in enumerate(outcomes, start=1)
    )
    return make_task("r1.a").but(attempts=attempts, attempt=len(attempts), forgiven=forgiven)


@pytest.mark.parametrize(
    ("code", "writer", "reader"),
    [
        ("question", "answer", "answer"),
        ("verification", "open", "retry"),
        ("conflict", "open", "retry"),
        ("gate", "open", "retry"),
        ("result_changed", "open", "retry"),
        ("no_change", "accept", "accept"),
        ("read_only_violation", "accept", "accept"),
        ("dependency_cancelled", "cancel", "cancel"),
        ("exhausted", "retry", "retry"),
        ("whatever comes", "retry", "retry"),
    ],
)
def test_command_suits_the_code_and_the_kind_of_task(code: str, writer: str, reader: str) -> None:
    for write, verb in ((("src",), writer), ((), reader)):
        task = make_task("r1.a", spec=TaskSpec(command="true", write=write))
        assert outcome.block(task, code, "why").command.split()[:3] == ["wfledger", verb, "r1.a"]


def test_paths_to_be_allowed_are_quoted_for_a_shell() -> None:
    paths = ("a b", "it's", "$HOME", "x*")
    command = outcome.command_for("r1.a", "out_of_scope", paths)
    assert shlex.split(command) == ["wfledger", "widen", "r1.a", *paths]


@pytest.mark.requirement("WFL-ROUTE-020")
def test_what_is_no_fault_of_the_task_does_not_count() -> None:
    free = ["succeeded", "released", "stopped", "environment", "spec_changed", "auth", "quota"]
    assert outcome.counted_attempts(attempted(*free, "task", "lost")) == 2


def test_decision_holds_until_an_attempt_has_ended() -> None:
    assert not is_lifted(attempted())
    assert not is_lifted(attempted("task"))
    assert is_lifted(attempted("task", forgiven=1))
    assert not is_lifted(attempted("task", "lost", forgiven=1))
    accepted = Accepted(attempt=1, head=OID, base=OID)
    assert is_lifted(attempted("conflict").but(accepted=accepted))


@pytest.mark.parametrize(
    ("state", "fresh", "lifted"),
    [("open", False, False), ("paused", True, True), ("aborted", True, False)],
)
def test_abort_gives_up_what_nobody_decided_on_and_a_pause_holds_all(
    state: str, fresh: bool, lifted: bool
) -> None:
    assert is_halted(attempted(), state) is fresh
    assert is_halted(attempted("task", forgiven=1), state) is lifted
