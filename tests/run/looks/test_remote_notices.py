"""What people are told of a remote that waits for them, and of what was lost to others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.meetings import make_shared
from wfledger.core.statuses import Status
from wfledger.run.config.notify_settings import EVENTS
from wfledger.run.hub import diary
from wfledger.run.hub.diary import Told
from wfledger.run.hub.meeting import Lost
from wfledger.run.hub.state import read_state, write_state
from wfledger.run.looks.notices import notices
from wfledger.run.looks.view import View
from wfledger.run.step import Step
from wfledger.run.workspace import Workspace


def told(workspace: Workspace) -> dict[str, tuple[str, str]]:
    step = Step(View({status: [] for status in Status}, frozenset()))
    found = notices(workspace, step, None)
    return {one.event: (one.reason, one.command) for one in found if one.event in {"remote", "lost"}}


@pytest.mark.requirement("WFL-HUB-148")
def test_people_are_told_that_syncing_is_stopped_and_what_was_lost(tmp_path: Path) -> None:
    workspace = make_shared(tmp_path)
    local = workspace.ledger.layout.local
    assert {"remote", "lost"} < set(EVENTS)
    assert told(workspace) == {}
    write_state(local, replace(read_state(local), stopped="rewound", reason="it is older"))
    lost = Lost("2026-01-01T00:00:00.000Z", "r1.x", 1, "merging", "done", "w", "y", "taken over")
    (local / "hub/lost.jsonl").write_text(json.dumps(lost.as_json()) + "\n")
    assert told(workspace) == {
        "remote": ("origin: it is older", "wfledger remote restore"),
        "lost": ("done here, and too late: r1.x: taken over", "wfledger sync"),
    }
    diary.note_told(workspace, Told(lost=1))
    assert set(told(workspace)) == {"remote"}
