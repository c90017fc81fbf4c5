"""The doctor says what keeps a machine from taking part in a shared ledger, and what ends it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.checkups import fix, look
from tests.support.sharing import share
from wfledger.core.records import canonical
from wfledger.run.doctor.remotes import troubles
from wfledger.run.hub.state import left, read_hub, read_state, write_hub, write_state
from wfledger.run.workspace import Workspace


def found(workspace: Workspace) -> dict[str, str]:
    """Return the findings about the remote: code -> message."""
    return {one.finding.code: one.finding.message for one in troubles(workspace)}


@pytest.mark.long
def test_a_machine_that_takes_part_has_no_findings_and_each_trouble_its_own(
    tmp_path: Path,
) -> None:
    (one,) = share(tmp_path, 1)
    assert found(one) == {}
    local, state = one.ledger.layout.local, read_state(one.ledger.layout.local)
    write_state(local, replace(state, trouble="no route to host", seen="2026-01-05T09:00:00Z"))
    assert "no route to host; it was last seen at 2026" in found(one)["remote-trouble"]
    write_state(local, replace(state, stopped="rewound", reason="origin lost it"))
    assert "wfledger remote accept" in found(one)["remote-rewound"]
    write_state(local, replace(state, stopped="twin", reason="another clone pushes as this one"))
    assert "wfledger remote rename-machine" in found(one)["remote-twin"]


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-041")
def test_a_lease_that_has_become_too_short_is_an_error_with_its_command(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    config = one.config()
    policy = config.policy.but(remote=config.policy.remote.but(interval_s=200.0))
    (one.ledger.layout.root / "ledger.json").write_bytes(canonical(config.but(policy=policy)))
    assert "wfledger remote set origin --lease 1200" in found(one)["lease-short"]


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-097")
def test_an_address_that_nobody_agreed_to_is_an_error_with_its_command(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    hub = read_hub(one.ledger.layout.local)
    assert hub is not None
    write_hub(one.ledger.layout.local, replace(hub, url="/elsewhere"))
    assert f"wfledger remote set {hub.url}" in found(one)["remote-address"]


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-092")
def test_a_leaving_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    local = one.ledger.layout.local
    (local / "hub/remote.json").rename(local / "hub/remote.left")
    assert list(found(one)) == ["remote-half-left"]
    fix(one.main)
    assert left(local) is None
    assert "error" not in {finding.severity for finding in look(one.main)}
