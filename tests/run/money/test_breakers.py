"""What is known of providers holds for every process of a machine, and over restarts."""

import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.clock import START, FakeClock
from tests.support.faults import kill_at
from tests.support.workspaces import make_workspace, open_workspace
from wfledger.clock import iso
from wfledger.core.breaking import Breaker
from wfledger.run.beating import Heart
from wfledger.run.money import breakers
from wfledger.run.slots import Slots
from wfledger.run.workers.launch import Trouble


def test_refusal_is_known_to_others_until_somebody_closes(tmp_path: Path) -> None:
    clock = FakeClock()
    workspace = make_workspace(tmp_path, clock=clock)
    assert breakers.shut(workspace) == {}
    breakers.note(workspace, "a.b", Trouble("quota", "used up\nquite"))
    other = open_workspace(workspace.main, clock=clock)
    shut = breakers.shut_now(other, "a.b")
    assert shut is not None
    assert shut.reason == (
        f"provider a.b: quota or balance is used up since {iso(START)}: used up quite"
    )
    assert shut.command == "wfledger provider close a.b"
    breakers.succeeded(other, "a.b")
    assert set(breakers.shut(workspace)) == {"a.b"}
    assert breakers.close(workspace, "a.b")
    assert breakers.states(other) == {}
    assert not breakers.close(workspace, "a.b")


def test_moment_is_said_and_comes(tmp_path: Path) -> None:
    clock = FakeClock()
    workspace = make_workspace(tmp_path, clock=clock)
    breakers.note(workspace, "a", Trouble("quota", "", retry_after_s=90))
    shut = breakers.shut_now(workspace, "a")
    assert shut is not None
    assert shut.reason.endswith(", until 2026-01-05T09:01:30.000Z")
    clock.advance(90)
    assert breakers.shut(workspace) == {}
    breakers.succeeded(workspace, "a")
    assert breakers.state(workspace, "a") == Breaker()


def test_rate_limit_takes_one_of_the_slots_that_are_held(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    heart = Heart(workspace)
    kind = breakers.kind_of_slot("a")
    held = [Slots(workspace, 8, heart=heart, kind=kind).take() for _ in range(4)]
    # Of a provider whose name begins alike.
    other = Slots(workspace, 8, heart=heart, kind=breakers.kind_of_slot("a-1")).take()
    assert breakers.note(workspace, "a", Trouble("rate", "")).limit == 3
    for slot in (*held, other):
        assert slot is not None
        slot.release()


def test_words_of_a_provider_give_no_secret_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "canary-0123456789")
    workspace = make_workspace(tmp_path)
    breakers.note(workspace, "a", Trouble("auth", "wrong key: canary-0123456789" + "!" * 900))
    raw = (workspace.ledger.layout.local / breakers.FOLDER / "a.json").read_text()
    assert "canary" not in raw
    assert len(raw) < 500


def _meets(root: Path, kind: str) -> None:
    breakers.note(open_workspace(root), "a", Trouble(kind, "from elsewhere"))


@pytest.mark.long
@pytest.mark.requirement("WFL-ROUTE-020")
def test_refusal_that_was_noted_outlives_who_met_it(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    dying = processes.start(_meets, workspace.main, "auth", env=kill_at("breakers.noted"))
    assert dying.wait() == -signal.SIGKILL
    assert set(breakers.shut(workspace)) == {"a"}


@pytest.mark.parametrize(
    "raw", ["", "[]", "{}", '{"opened": {"kind": "x"}}', '{"opened": null, "limit": "x"}',
            '{"opened": {"kind": "auth", "message": "", "since": "noon", "until": null}}',
            '{"opened": null, "limit": 1, "limited": "2026-01-05T09:00:00", "overloads": 0}'],
)  # fmt: skip
def test_file_that_says_nothing_is_written_anew(tmp_path: Path, raw: str) -> None:
    workspace = make_workspace(tmp_path)
    folder = workspace.ledger.layout.local / breakers.FOLDER
    folder.mkdir()
    (folder / "a.json").write_text(raw)
    assert breakers.state(workspace, "a") == Breaker()
    breakers.note(workspace, "a", Trouble("auth", ""))
    assert set(breakers.shut(workspace)) == {"a"}
