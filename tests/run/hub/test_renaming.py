"""What people call a machine."""

from pathlib import Path

import pytest

from tests.support.meetings import make_shared
from wfledger.errors import UsageError
from wfledger.run.hub.beating import own_name
from wfledger.run.hub.renaming import call


def test_machine_is_called_as_somebody_says_and_else_as_its_host(tmp_path: Path) -> None:
    workspace = make_shared(tmp_path)
    host, before = own_name(workspace), workspace.machine.id
    assert call(workspace, "anna") == "anna"
    assert call(workspace, "") == host
    assert type(workspace).open(
        workspace.main, clock=workspace.clock, state_home=workspace.state
    ).machine.id == before  # fmt: skip


@pytest.mark.parametrize("name", ["two\nlines", " anna", "a" * 61])
def test_name_that_fits_no_table_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        call(make_shared(tmp_path), name)
