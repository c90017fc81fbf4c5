"""What a shared ledger may run here is asked again when it changes elsewhere (spec 97, section 8)."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cli import wf
from tests.support.engines import LIMITS, drive
from tests.support.sharing import granting, reopened, share, synced
from tests.support.workspaces import add_run, add_task
from wfledger.core.records import canonical
from wfledger.errors import EnvironmentFailedError, PausedError
from wfledger.run.attempts.claims import claim
from wfledger.run.guard import fingerprints, vouching
from wfledger.run.guard import trusting as guard
from wfledger.run.hub import trusting
from wfledger.run.hub.state import read_hub, write_hub
from wfledger.run.pausing import alarm_of
from wfledger.run.workspace import Workspace

ROLE = '[role.new]\nargv = ["touch", "/tmp/evil"]\n'


def edit(workspace: Workspace, text: str) -> None:
    """Add to fleet.toml as a person does."""
    path = workspace.ledger.layout.root / "fleet.toml"
    path.write_text(path.read_text() + text)


def code(workspace: Workspace) -> str | None:
    alarm = alarm_of(workspace)
    return None if alarm is None else alarm.code


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-095")
def test_a_role_that_comes_from_elsewhere_waits_until_somebody_agrees(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    edit(one, ROLE)
    synced(one, other)
    assert (code(one), code(other)) == (None, trusting.CODE)
    assert vouching.fleet(one).roles[0].name == "new"
    with pytest.raises(PausedError, match=r"brought another fleet\.toml"):
        vouching.fleet(reopened(other))
    with pytest.raises(PausedError):
        claim(reopened(other), worker="worker")
    guard.accept(other)
    synced(other)
    assert (code(other), vouching.fleet(other).roles[0].name) == (None, "new")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-095")
def test_putting_back_is_for_all_machines_and_ends_the_alarm(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    edit(one, ROLE)
    synced(one, other)
    found = guard.suspicion(other)
    assert found.from_remote
    assert [change.key for change in found.changes][-1] == "/role/new/argv"
    assert any('+argv = ["touch"' in line for lines in found.differences.values() for line in lines)
    assert guard.restore(other) == ()
    synced(other, one)
    assert (code(one), code(other)) == (None, None)  # it had been agreed to there before
    assert vouching.fleet(one).roles == vouching.fleet(other).roles == ()


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-101")
def test_what_comes_while_somebody_looks_is_not_agreed_to_with_what_he_saw(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    edit(one, ROLE)
    synced(one, other)
    seen = guard.suspicion(other)
    edit(one, ROLE.replace("new", "newer"))
    synced(one, other)
    guard.accept(other, seen)
    assert code(other) == trusting.CODE
    with pytest.raises(PausedError, match=r"brought another fleet\.toml"):
        vouching.fleet(reopened(other))
    shown = guard.suspicion(other)
    assert {change.key for change in shown.changes if change.key} == {"/role/newer/argv"}
    guard.accept(other, shown)
    assert (code(other), len(vouching.fleet(other).roles)) == (None, 2)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-101", "WFL-HUB-094")
def test_putting_back_agrees_to_nothing_that_nobody_has_seen(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    trusting.forget(one)
    guard.restore(one)
    with pytest.raises(PausedError, match="nobody has agreed here"):
        vouching.policy(reopened(one))


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-094")
def test_no_key_goes_to_a_provider_that_came_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = share(tmp_path)
    url = 'base_url = "http://127.0.0.1:9/v1"'
    edit(one, f'[provider.theirs]\nprofile = "openai"\n{url}\nkey = "OURS"\n')
    synced(one, other)
    monkeypatch.setenv("OURS", "secret")
    asked = wf(other.main, "provider", "test", "theirs", "--model", "m")
    assert (asked.status, "dispatch is paused" in asked.err) == (8, True), asked.err


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-095")
def test_what_is_taken_back_elsewhere_ends_the_alarm(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    before = one.ledger.read_text("fleet.toml") or ""
    edit(one, ROLE)
    synced(one, other)
    assert code(other) == trusting.CODE
    (one.ledger.layout.root / "fleet.toml").write_text(before)
    synced(one, other)
    assert code(other) is None


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-095")
def test_what_makes_nothing_run_is_agreed_to_by_itself(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    edit(one, "# a word\n")
    config = one.config()
    policy = config.policy.but(lease_s=700.0)
    (one.ledger.layout.root / "ledger.json").write_bytes(canonical(config.but(policy=policy)))
    synced(one, other)
    assert code(other) is None
    assert vouching.policy(other).lease_s == 700.0
    assert (other.ledger.read_text("fleet.toml") or "").endswith("# a word\n")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-096")
def test_what_arrives_while_an_attempt_runs_is_not_taken_for_its_doing(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    fingerprints.begin(other, "r1.a.1")
    edit(one, ROLE)
    synced(one, other)
    assert code(other) == trusting.CODE
    guard.accept(other)
    assert fingerprints.end(other, "r1.a.1") is None


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-096")
def test_what_is_edited_here_while_nobody_of_ours_works_is_agreed_to(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(other)
    add_task(other, "a", command="true")
    synced(other, proposers=[granting])
    claim(reopened(other), worker="worker")
    synced(other, one)
    edit(one, ROLE)  # the task that is in progress here is another machine's
    synced(one)
    assert (fingerprints.check(one), code(one)) == (None, None)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-096")
def test_what_a_worker_writes_is_not_agreed_to_by_the_meeting(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    fingerprints.begin(one, "r1.a.1")
    edit(one, ROLE)
    synced(one)
    assert code(one) == fingerprints.CODE
    record = trusting.recorded(one)
    text = one.ledger.read_text("fleet.toml") or ""
    assert record is not None
    assert text.endswith(ROLE)
    assert not record.has("fleet.toml", text)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-096")
def test_notifications_are_meanwhile_those_that_were_agreed_to(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    edit(one, '[notify]\ncommand = "true"\n')
    synced(one, other)
    assert vouching.known_fleet(one).notify is not None
    assert vouching.known_fleet(other).notify is None


@pytest.mark.requirement("WFL-HUB-094")
def test_without_an_agreement_nothing_runs(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    trusting.forget(one)
    with pytest.raises(PausedError, match="nobody has agreed here"):
        vouching.policy(reopened(one))
    assert not list(one.common_dir.rglob("trusted"))


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-094")
def test_nothing_starts_before_somebody_has_agreed(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    add_run(one)
    task = add_task(one, "a", command="true", limits=LIMITS)
    synced(one, proposers=[granting])
    trusting.forget(one)
    drive(one)
    assert one.ledger.claim_record(task.id, 1) is None
    guard.accept(one)
    synced(one, proposers=[granting])
    assert claim(reopened(one), worker="worker").task.id == task.id


@pytest.mark.requirement("WFL-HUB-097")
def test_another_address_than_the_agreed_one_is_not_called(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    local = one.ledger.layout.local
    hub = read_hub(local)
    assert hub is not None
    write_hub(local, replace(hub, url=str(tmp_path / "evil.git")))
    with pytest.raises(EnvironmentFailedError, match="somebody wrote down"):
        synced(reopened(one))
