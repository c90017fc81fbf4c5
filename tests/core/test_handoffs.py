"""Handoffs: which a task of a role receives, and in which order."""

from typing import Any

import pytest

from wfledger.core.bounds import HANDOFF_BYTES, HANDOFFS
from wfledger.core.control import Delivered, Handoff
from wfledger.core.documents import Result
from wfledger.core.handoffs import RECEIVED, Offered, received, same_role
from wfledger.core.records import canonical_json
from wfledger.errors import InvalidDocumentError
from wfledger.run.attempts.envelope import parse_envelope


def left(task: str, when: str, *, to: str = "builder", number: int = 0) -> Offered:
    at = Delivered(task=f"r1.{task}", attempt=1, number=number)
    return Offered(at, when, Handoff(to_role=to, kind="notes"))


@pytest.mark.requirement("WFL-CTRL-050")
def test_newest_comes_first_and_what_is_for_others_not_at_all() -> None:
    old, new, second = left("a", "1"), left("b", "2"), left("b", "2", number=1)
    other = left("c", "3", to="tester")
    assert received("Builder", [old, other, new, second], set()) == (second, new, old)


@pytest.mark.requirement("WFL-CTRL-051")
def test_what_was_given_to_another_is_not_given_again() -> None:
    one, two = left("a", "1"), left("b", "2")
    assert received("builder", [one, two], {two.at}) == (one,)
    assert received("builder", [one, two], {one.at, two.at}) == ()


@pytest.mark.requirement("WFL-CTRL-052")
def test_more_than_one_task_can_read_is_for_the_next_one() -> None:
    many = [left(f"t{number:03}", "1") for number in range(RECEIVED + 3)]
    first = received("builder", many, set())
    assert len(first) == RECEIVED
    assert len(received("builder", many, {one.at for one in first})) == 3


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("a", "A", True), ("ß", "SS", False), ("É", "é", False), ("a", "b", False), (None, "a", False)],
)  # fmt: skip
def test_roles_are_compared_without_regard_to_ascii_case(
    one: str | None, other: str, same: bool
) -> None:
    assert same_role(one, other) is same


def envelope(handoffs: Any) -> Result:
    return parse_envelope(canonical_json({"handoffs": handoffs}), task_id="r1.a", attempt=1)


@pytest.mark.requirement("WFL-CTRL-050")
@pytest.mark.parametrize(
    "handoffs",
    [
        [{"to_role": "a", "kind": "k", "payload": "x" * HANDOFF_BYTES}],
        [{"to_role": "a", "kind": "k"}] * (HANDOFFS + 1),
        [{"to_role": "", "kind": "k"}],
        [{"to_role": "a"}],
        ["a"],
    ],
)
def test_handoffs_beyond_their_bounds_make_an_envelope_invalid(handoffs: Any) -> None:
    with pytest.raises(InvalidDocumentError):
        envelope(handoffs)


@pytest.mark.requirement("WFL-CTRL-050")
def test_payload_is_kept_as_it_is() -> None:
    payload = {"files": ["a", "b"], "n": 1.5, "none": None}
    found = envelope([{"to_role": "a", "kind": "k", "payload": payload}]).handoffs
    assert [one.payload for one in found] == [payload]
