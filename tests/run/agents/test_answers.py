"""An agent's result is its file, its structured output, or a block at its end; prose is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from wfledger.run.agents.answers import envelope_of
from wfledger.run.agents.transcript import Transcript
from wfledger.run.attempts.envelope import Envelope
from wfledger.run.config.adapters import Adapter, Ends, Pick

ADAPTER = Adapter("x", ("x",), ends=Ends(text=(Pick("text"),), result=(Pick("structured"),)))
FAILED = {"status": "failed", "summary": "no way"}
BLOCKED = {"status": "blocked", "summary": "which?", "open_questions": ["a or b?"]}


def fenced(value: object) -> str:
    return f"I looked at it.\n```json\n{json.dumps(value)}\n```\n"


def read(tmp_path: Path, *, file: object = None, **event: Any) -> Envelope:
    path = tmp_path / "result.json"
    if file is not None:
        path.write_text(json.dumps(file))
    return envelope_of(ADAPTER, Transcript((event,)), path, task_id="r.a", attempt=1)


@pytest.mark.requirement("WFL-ADAPT-014")
def test_file_goes_before_structured_output_and_that_before_a_block(tmp_path: Path) -> None:
    said = fenced({"status": "succeeded", "summary": "said"})
    assert read(tmp_path, text=said).result.summary == "said"
    assert read(tmp_path, text=said, structured=BLOCKED).result.open_questions == ("a or b?",)
    found = read(tmp_path, file=FAILED, text=said, structured=BLOCKED)
    assert (found.result.status, found.result.summary) == ("failed", "no way")


def test_structured_output_may_come_as_text(tmp_path: Path) -> None:
    assert read(tmp_path, structured=json.dumps(BLOCKED)).result.status == "blocked"


@pytest.mark.requirement("WFL-ADAPT-014")
@pytest.mark.parametrize(
    "text",
    [
        "I failed, sorry.", '{"status": "failed"', fenced({"status": "failed"}),
        fenced({"status": "over", "summary": "x"}), fenced(["status"]), fenced({"name": "app"}),
        fenced({"status": "failed", "summary": {"not": "text"}}),
    ],
)  # fmt: skip
def test_prose_and_other_blocks_are_a_summary_alone(text: str, tmp_path: Path) -> None:
    found = read(tmp_path, text=text)
    assert found.result.status == "succeeded"
    assert not found.given
    assert found.result.summary == text.strip()


def test_summary_is_bounded(tmp_path: Path) -> None:
    assert len(read(tmp_path, text="x" * 5000).result.summary) == 1200


def test_broken_file_is_no_success_whatever_is_said(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{")
    found = read(tmp_path, text=fenced({"status": "succeeded", "summary": "fine"}))
    assert found.problem is not None
