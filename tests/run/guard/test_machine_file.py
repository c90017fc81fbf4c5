"""machine.toml lies outside of every repository, and a worker that writes it gains nothing by it."""

from pathlib import Path

import pytest

from tests.support.engines import drive, noted, statuses
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core.usage import Budget
from wfledger.errors import PausedError
from wfledger.run.config import machine
from wfledger.run.guard import fingerprints, trusting, vouching
from wfledger.run.pausing import alarm_of
from wfledger.run.workspace import Workspace

WHO = f"{RUN}.a.1"
BUDGET = "[provider.openai]\nslots = {slots}\nbudget = {{ usd = {usd} }}\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    machine.path().parent.mkdir(parents=True)
    machine.path().write_text(BUDGET.format(slots=1, usd=5))
    return make_workspace(tmp_path)


def _begin(workspace: Workspace) -> None:
    fingerprints.check(workspace)
    fingerprints.begin(workspace, WHO)


@pytest.mark.requirement("WFL-ROUTE-004")
@pytest.mark.parametrize(
    "text", ["allow_unsandboxed = true\n", BUDGET.format(slots=1, usd=500), ""],
    ids=["more is allowed", "a larger budget", "nothing"],
)
def test_what_a_worker_changes_is_run_by_nobody_before_it_is_trusted(
    workspace: Workspace, text: str
) -> None:
    _begin(workspace)
    machine.path().write_text(text)
    alarm = fingerprints.end(workspace, WHO)
    assert alarm is not None
    assert str(machine.path()) in alarm.reason
    with pytest.raises(PausedError):
        vouching.fleet(workspace)
    known = vouching.known_fleet(workspace)
    assert known.unsandboxed is False
    assert known.providers[0].budget == Budget(usd=5.0)
    assert trusting.restore(workspace) == ()
    assert alarm_of(workspace) is None
    assert machine.path().read_text() == BUDGET.format(slots=1, usd=5)


def test_what_a_person_changes_while_nobody_works_holds(workspace: Workspace) -> None:
    fingerprints.check(workspace)
    machine.path().write_text("allow_unsandboxed = true\n")
    assert vouching.fleet(workspace).unsandboxed is True


def test_a_number_that_is_no_budget_alarms_nobody(workspace: Workspace) -> None:
    _begin(workspace)
    machine.path().write_text(BUDGET.format(slots=9, usd=5))
    assert fingerprints.end(workspace, WHO) is None


def test_another_home_hides_no_change(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin(workspace)
    machine.path().write_text("allow_unsandboxed = true\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert vouching.known_fleet(workspace).providers == ()
    assert fingerprints.end(workspace, WHO) is not None


@pytest.mark.long
def test_command_that_a_worker_puts_there_is_not_run(workspace: Workspace, tmp_path: Path) -> None:
    planted = f'[worktree]\nsetup = "echo planted >> {tmp_path}/noted"\n'
    (tmp_path / "planted").write_text(planted)
    add_task(workspace, "a", command=f"cp {tmp_path}/planted {machine.path()}")
    add_task(workspace, "b", command="true", after=(f"{RUN}.a",))
    drive(workspace)
    assert noted(tmp_path) == []
    assert statuses(workspace)[f"{RUN}.b"] == "waiting"
