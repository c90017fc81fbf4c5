"""A machine says that it is there, and finds out that another goes by its name."""

import shutil
from pathlib import Path

import pytest

from tests.support.hubs import Hub
from tests.support.repos import git
from tests.support.sharing import granting, shows_the_tip, statuses
from tests.support.silence import GONE_S, LEASE_S, Machines
from tests.support.workspaces import add_run, add_task
from wfledger.errors import BusyError, PausedError, StaleError
from wfledger.run.attempts.claims import claim, heartbeat
from wfledger.run.hub import beating, renaming, renewing
from wfledger.run.hub.machines import machines as known
from wfledger.run.hub.state import read_state
from wfledger.run.presence import driving
from wfledger.run.workspace import Workspace

pytestmark = pytest.mark.long


def _copied(machines: Machines) -> None:
    """Put a copy of the first machine's folder in the place of the second one."""
    one, other = (workspace.main for workspace in machines.all[:2])
    shutil.rmtree(other)
    shutil.copytree(one, other, symlinks=True)
    for path in (
        other / ".wfledger/.git", other / ".git/wfledger/ledger-path.json",
        *other.glob(".git/worktrees/*/gitdir"),
    ):  # fmt: skip
        path.write_text(path.read_text().replace(str(one), str(other)))
    machines.all[1] = machines.again(1)


@pytest.mark.requirement("WFL-HUB-055", "WFL-HUB-054")
def test_a_copied_clone_begins_nothing_and_stops_until_it_has_a_name(tmp_path: Path) -> None:
    machines = Machines(tmp_path, 2)
    add_run(machines.all[0])
    add_task(machines.all[0], "a")
    machines.meet([0])
    machines.meet([0], also=[granting])
    _copied(machines)
    one, copy = machines.all
    assert statuses(copy) == {"r1.a": "pending"}
    with pytest.raises(PausedError, match="confirmed nothing"):
        claim(copy, worker="w", task_id="r1.a")
    machines.pass_time(LEASE_S / 3)
    assert machines.meet([0])[0].pushed
    (met,) = machines.meet([1])
    assert (met.outcome, met.hint) == ("stopped", "wfledger remote rename-machine")
    assert read_state(copy.ledger.layout.local).stopped == "twin"
    with driving(copy, None, slots=1), pytest.raises(BusyError):
        renaming.rename(copy)
    assert one.machine.id in renaming.rename(copy)
    machines.all[1] = renamed = machines.again(1)
    assert renamed.machine.id != one.machine.id
    assert [met.outcome for met in machines.meet()] == ["quiet", "ok"]
    assert statuses(renamed) == {"r1.a": "in-progress"}
    assert statuses(one) == {"r1.a": "pending"}
    shows_the_tip(renamed)


@pytest.mark.requirement("WFL-HUB-055")
def test_a_server_that_has_older_heartbeats_again_is_no_twin(tmp_path: Path) -> None:
    machines = Machines(tmp_path, 2)
    machines.meet()
    shutil.copytree(tmp_path / "hub.git", tmp_path / "backup.git")
    for _ in range(3):
        machines.pass_time(LEASE_S / 2)
        assert all(met.pushed for met in machines.meet())
    shutil.rmtree(tmp_path / "hub.git")
    (tmp_path / "backup.git").rename(tmp_path / "hub.git")
    assert all(met.is_well for met in machines.meet())
    machines.pass_time(LEASE_S / 2)
    assert [met.outcome for met in machines.meet()] == ["ok", "ok"]


@pytest.mark.requirement("WFL-HUB-055")
def test_a_heartbeat_whose_answer_was_lost_is_no_twin(tmp_path: Path) -> None:
    machines = Machines(tmp_path, 1)
    machines.meet()
    one, hub = machines.all[0], machines.all[0].hub
    assert hub is not None
    ref = hub.names.beat(one.machine.id)
    late = beating.compose(one, git(machines.hub, "rev-parse", ref), interval_s=1.0)
    beating.compose(one, late.old, interval_s=1.0)
    git(one.main, "push", "--quiet", str(machines.hub), f"+{late.new}:{ref}")
    machines.pass_time(LEASE_S)
    assert [met.outcome for met in machines.meet()] == ["ok"]
    git(machines.hub, "update-ref", ref, git(machines.hub, "rev-parse", hub.names.ledger))
    assert [met.outcome for met in machines.meet()] == ["stopped"]


@pytest.mark.requirement("WFL-HUB-054")
def test_who_has_not_renewed_for_half_a_lease_begins_nothing_until_he_has(tmp_path: Path) -> None:
    machines = Machines(tmp_path, 1)
    one = machines.all[0]
    add_run(one)
    add_task(one, "a")
    assert renewing.held_back(one) is not None
    machines.meet()
    machines.meet(also=[granting])
    assert renewing.held_back(one) is None
    machines.clocks[0].sleep(LEASE_S / 2 + 1)
    with pytest.raises(PausedError, match="half of the lease"):
        claim(one, worker="w")
    machines.meet()
    assert claim(one, worker="w").task.id == "r1.a"


@pytest.mark.requirement("WFL-HUB-061", "WFL-HUB-035")
def test_the_heartbeat_of_a_machine_long_gone_goes(tmp_path: Path) -> None:
    machines = Machines(tmp_path, 2)
    machines.meet([0, 1, 0])
    one, gone = machines.all
    assert [peer.id for peer in known(one)] == [one.machine.id, gone.machine.id]
    machines.pass_time(40 * 86_400)
    Hub(machines.hub).protects(f"refs/wfledger/beat/{gone.machine.id}")  # nobody may delete it
    machines.go_on(GONE_S, [0])
    add_run(one)
    machines.go_on(20, [0])
    assert one.ledger.journal.is_empty(), "nothing else is kept back by that"
    Hub(machines.hub).unhook("update")
    machines.go_on(20, [0])
    refs = git(machines.hub, "for-each-ref", "--format=%(refname)").split()
    assert f"refs/wfledger/beat/{one.machine.id}" in refs
    assert f"refs/wfledger/beat/{gone.machine.id}" not in refs
    machines.meet([0])
    assert [peer.id for peer in known(one)] == [one.machine.id]
    machines.meet([1, 0])
    assert len(known(one)) == 2


def _is_gone(workspace: Workspace, machine: str) -> bool:
    return next(peer.is_gone for peer in known(workspace) if peer.id == machine)


@pytest.mark.requirement("WFL-HUB-050")
def test_the_machines_are_known_without_asking_the_remote(tmp_path: Path) -> None:
    machines = Machines(tmp_path, 2)
    machines.meet()
    one, other = machines.all
    machines.meet()
    machines.cut()
    found = {peer.id: peer for peer in known(one)}
    assert found[one.machine.id].is_here
    beat = found[other.machine.id].beat
    assert beat is not None
    assert (beat.machine, beat.number, beat.drives) == (other.machine.id, 1, False)
    machines.mend()
    machines.go_on(GONE_S, [0])
    assert _is_gone(one, other.machine.id)


@pytest.mark.requirement("WFL-HUB-062")
def test_heartbeats_of_who_works_without_a_runtime_reach_the_others(tmp_path: Path) -> None:
    machines = Machines(tmp_path, 2)
    one, other = machines.all
    add_run(one)
    add_task(one, "a")
    machines.meet([0])
    machines.meet([0], also=[granting])
    claimed = claim(one, worker="me", task_id="r1.a")
    machines.meet()
    for _ in range(5):
        machines.go_on(LEASE_S / 3, [1])
        heartbeat(one, "r1.a", claimed.token)
    assert not any(peer.is_gone for peer in known(other))
    machines.go_on(GONE_S, [1])
    assert statuses(other) == {"r1.a": "waiting"}
    with pytest.raises(StaleError, match="nothing is heard of"):
        heartbeat(one, "r1.a", claimed.token)
