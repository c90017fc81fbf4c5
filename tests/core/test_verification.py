"""What files, verifiers and people say of a result, decided without any of them."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core.documents import Approval, Block, Check, Result, Task, TaskSpec
from wfledger.core.ids import check_id
from wfledger.core.statuses import Status
from wfledger.core.values import value_reason
from wfledger.core.verification import (
    Kind,
    approved,
    asked_of_people,
    delivered,
    judgement,
    may_be_verifier,
    missing_file,
    verifier_id,
)

HEAD, OTHER = "a" * 40, "b" * 40


class Files:
    """A tree as a table of paths."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds

    def kind_at(self, path: str) -> Kind | None:
        return self._kinds.get(path)

    def files(self) -> list[str]:
        return [path for path, kind in self._kinds.items() if kind == "file"]


TREE = Files({
    "out": "folder", "out/a.txt": "file", "out/b.log": "file", "link.txt": "link", "sub": "repository",
})  # fmt: skip


@pytest.mark.requirement("WFL-RESULT-034")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("out/a.txt", None), ("./out//a.txt", None), ("out/*.txt", None), ("**/b.log", None),
        ("out/c.txt", "out/c.txt is missing"),
        ("out/*.md", "no file matches out/*.md"),
        ("out", "out is a folder, not a file"),
        ("link.txt", "link.txt is a symbolic link, not a file"),
        ("*.txt", "no file matches *.txt"),
        ("sub", "sub is a repository of its own, not a file"),
        (".wfledger/x", "the pattern '.wfledger/x': the ledger's own folder is in no scope"),
    ],
)  # fmt: skip
def test_only_a_regular_file_is_there(path: str, reason: str | None) -> None:
    assert missing_file(TREE, path) == reason


@pytest.mark.requirement("WFL-RESULT-050")
def test_deliverables_stand_for_files_and_each_that_is_missing_is_named() -> None:
    found = delivered(TREE, ("out", "out/*.txt", "link.txt", "gone/**", "out/none"))
    assert found.paths == ("out/a.txt", "out/b.log")
    assert found.reasons == (
        "deliverable link.txt is a symbolic link", "deliverable gone/** is missing",
        "deliverable out/none is missing",
    )  # fmt: skip


@pytest.mark.requirement("WFL-RESULT-037")
@pytest.mark.parametrize(
    ("values", "equals", "passes"),
    [
        ([], None, False), ([None], None, False), ([False], None, False), ([True, False], None, False),
        ([0], None, True), ([""], None, True), ([[]], None, True), ([{}], None, True),
        ([1], 1, True), ([1.0], 1, True), ([True], 1, False), ([0], False, False), ([1, 2], 1, False),
        ([{"a": [1]}], {"a": [1]}, True), ([{"a": [True]}], {"a": [1]}, False), ([], 1, False),
    ],
)  # fmt: skip
def test_value_passes_by_the_table(values: list[Any], equals: Any, passes: bool) -> None:
    assert (value_reason("$.a in f", values, equals) is None) == passes


def _result(**fields: Any) -> Result:
    return Result(**({"task": "r.a-v1", "attempt": 1, "status": "succeeded"} | fields))


@pytest.mark.requirement("WFL-RESULT-049")
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "passed"),
        ({"status": "no_change"}, "passed"),
        ({"outputs": {"verdict": "passed"}}, "passed"),
        ({"outputs": {"verdict": " Approved "}, "findings": ({"note": "nit"},)}, "passed"),
        ({"outputs": {"verdict": "failed"}, "summary": "no tests"}, "failed"),
        ({"outputs": {"verdict": "hm"}}, "failed"),
        ({"outputs": {"verdict": False}}, "failed"),
        ({"findings": ({"message": "a hole"},)}, "failed"),
    ],
)
def test_envelope_of_a_verifier_decides(fields: dict[str, Any], kind: str) -> None:
    said = judgement(Status.DONE, _result(**fields), None)
    assert said.kind == kind
    assert bool(said.reason) == (kind == "failed")


@pytest.mark.requirement("WFL-RESULT-049")
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (Status.WAITING, None, "pending"), (Status.PENDING, None, "pending"),
        (Status.IN_PROGRESS, None, "pending"), (Status.MERGING, None, "pending"),
        (Status.CANCELLED, None, "abstained"), (Status.DONE, None, "abstained"),
        (Status.BLOCKED, "task", "failed"), (Status.BLOCKED, "question", "failed"),
        (Status.BLOCKED, "exhausted", "abstained"), (Status.BLOCKED, "environment", "abstained"),
        (Status.BLOCKED, "stopped", "pending"),
        (Status.BLOCKED, "read_only_violation", "abstained"), (Status.BLOCKED, None, "abstained"),
    ],
)  # fmt: skip
def test_verifier_that_says_nothing_abstains(status: Status, code: str | None, kind: str) -> None:
    block = Block(code=code, reason="why", command="x") if code else None
    assert judgement(status, None, block).kind == kind


@pytest.mark.requirement("WFL-RESULT-045")
@given(
    name=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}(\.[a-z0-9][a-z0-9_.-]{0,41})?", fullmatch=True),
    attempt=st.integers(1, 100), check=st.integers(0, 25), turn=st.integers(1, 99),
)  # fmt: skip
def test_name_of_a_verifier_is_an_id_of_the_same_run(
    name: str, attempt: int, check: int, turn: int
) -> None:
    try:
        check_id(name)
    except ValueError:
        return
    found = verifier_id(name, attempt, check=check, turn=turn)
    assert check_id(found) == found
    assert found.partition(".")[0] == name.partition(".")[0] or "." not in name
    assert may_be_verifier(found)
    others = {verifier_id(name, attempt, check=c, turn=t) for c in range(4) for t in range(1, 4)}
    assert len(others) == 12


def _task(*said: Approval) -> Task:
    spec = TaskSpec(command="true", verify=(Check(kind="manual", prompt="the  figures"), Check(kind="manual")))
    return Task(
        id="r.a", run="r", seq=1, attempt=1, created="now", spec=spec, spec_sha256=spec.digest(),
        approvals=said,
    )  # fmt: skip


def _said(verdict: Any, head: str | None = HEAD, attempt: int = 1) -> Approval:
    return Approval(attempt=attempt, head=head, verdict=verdict, by="me", at="now")


@pytest.mark.requirement("WFL-RESULT-042")
def test_approval_holds_for_the_head_that_was_shown_and_the_last_word_counts() -> None:
    assert asked_of_people(_task().spec.verify) == "the figures"
    assert asked_of_people(()) is None
    assert not approved(_task(), attempt=1, head=HEAD)
    assert approved(_task(_said("no"), _said("yes")), attempt=1, head=HEAD)
    assert not approved(_task(_said("yes"), _said("no")), attempt=1, head=HEAD)
    assert not approved(_task(_said("yes")), attempt=1, head=OTHER)
    assert not approved(_task(_said("yes")), attempt=2, head=HEAD)
