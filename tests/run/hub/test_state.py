"""What this machine knows of its remote survives another version, and is never half believed."""

import json
from pathlib import Path
from typing import Any

import pytest

from wfledger.errors import LedgerDamagedError
from wfledger.run.hub.state import (
    Hub,
    Inflight,
    State,
    read_hub,
    read_state,
    write_hub,
    write_state,
)

HUB = Hub("origin", "/srv/x.git", "hidden", atomic=True, root="1" * 40)
FLIGHT = Inflight("2" * 40, "1" * 40, 3, {"refs/heads/wf/r": (None, "4" * 40)})


@pytest.fixture
def local(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    write_hub(tmp_path, HUB)
    write_state(tmp_path, State(applied="1" * 40, inflight=FLIGHT, earlier=(FLIGHT,)))
    return tmp_path


def change(local: Path, name: str, **changed: Any) -> None:
    path = local / "hub" / name
    facts = json.loads(path.read_bytes()) | changed
    path.write_text(json.dumps(facts))


def test_what_a_newer_version_says_besides_is_passed_over(local: Path) -> None:
    change(local, "remote.json", more=1)
    change(local, "state.json", more=1)
    known = State(applied="1" * 40, inflight=FLIGHT, earlier=(FLIGHT,))
    assert (read_hub(local), read_state(local)) == (HUB, known)


@pytest.mark.parametrize("inflight", [{"commit": "2" * 40}, {"targets": []}, "2"])
def test_push_that_is_not_told_whole_is_damage(local: Path, inflight: object) -> None:
    change(local, "state.json", inflight=inflight)
    with pytest.raises(LedgerDamagedError, match=r"state\.json"):
        read_state(local)


def test_remote_that_is_not_told_whole_is_damage(local: Path) -> None:
    path = local / "hub" / "remote.json"
    path.write_text(json.dumps({"name": "origin"}))
    with pytest.raises(LedgerDamagedError, match=r"remote\.json"):
        read_hub(local)
