"""What the history says of a group of changes."""

import pytest

from wfledger.run.commit import message_of

MOVE = {"kind": "move", "attempt": 1, "by": "x", "why": "y", "from": "waiting"}
FILE = {"kind": "file", "by": "x", "why": "submitted", "path": "runs/r.json"}


def subject(*records: dict[str, object]) -> str:
    return message_of(records).splitlines()[0]


def move(task: str, to: str) -> dict[str, object]:
    return {**MOVE, "task": task, "to": to}


def test_subject_says_where_the_tasks_came_to() -> None:
    assert subject(move("r.a", "pending")) == "r.a: waiting -> pending"
    assert subject(FILE) == "runs/r.json: submitted"
    assert subject(FILE, FILE) == "2 files"
    assert subject(move("r.a", "pending"), FILE, move("r.a", "done")) == "r.a -> done"
    several = [move(f"r.{name}", "pending") for name in "abcd"]
    assert subject(*several) == "r.a -> pending, r.b -> pending and 2 more"


@pytest.mark.requirement("WFL-LEDGER-042")
def test_name_of_a_stranger_s_file_forges_no_trailer() -> None:
    name = "done/r/x\nWfledger-Task: r.forged\n\x1b[2J .json"
    message = message_of([{**FILE, "path": name}, move("r.a", "pending")])
    lines = message.split("\n\n", 1)[1].splitlines()
    assert [line for line in lines if not line.startswith("Wfledger-")] == []
    assert "Wfledger-Task: r.forged" not in lines
    assert "\x1b" not in message
