"""The vectors of the smallest class against the shell worker of the examples."""

from pathlib import Path
from typing import Any

import pytest

from tests.conformance import offering, vectors
from tests.support.byhand import shell_worker
from tests.support.workspaces import make_workspace

pytestmark = pytest.mark.long

TAKES = [case for _, case in vectors.cases() if case["when"]["op"] == "take"]


@pytest.mark.parametrize("case", TAKES, ids=lambda case: case["id"])
def test_shell_worker_takes_what_the_vector_says(tmp_path: Path, case: dict[str, Any]) -> None:
    workspace = make_workspace(tmp_path)
    offering.lay_out(workspace.ledger.layout, case["when"])
    done = shell_worker(workspace.main, "-1")
    given = offering.answer(workspace.ledger.layout, case["when"], stops=done.status == 1)
    assert vectors.agrees(case["when"], case["then"], given), (given, done.err)
