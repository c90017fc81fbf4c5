"""What is said of tasks and machines elsewhere: how old it is, who has room, and who cannot push."""

from pathlib import Path

import pytest

from tests.support.cli import wf, wf_json
from tests.support.clock import FakeClock
from tests.support.hubs import Hub
from tests.support.sharing import granting, share, synced
from tests.support.workspaces import add_run, add_task
from wfledger.cli.machinetable import machine_rows
from wfledger.run.attempts.claims import claim
from wfledger.run.hub import diary
from wfledger.run.hub.attending import meet_here
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.meeting import Met
from wfledger.run.hub.proposals import Proposer
from wfledger.run.hub.telling import Telling
from wfledger.run.looks.remote import MachineRow, fleet, outlook
from wfledger.run.presence import driving
from wfledger.run.workspace import Workspace


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-144")
def test_what_another_machine_does_is_shown_with_its_age(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    add_run(one)
    add_task(one, "a")
    add_task(one, "b", after=("r1.a",))
    synced(one, proposers=[granting])
    claim(one, worker="w", task_id="r1.a")
    synced(one, other)
    for line in ("list", "show a", "history"):
        assert "remote origin: as of " in wf(other.main, *line.split()).err
        assert wf_json(other.main, *line.split())["remote"]["age_s"] >= 0
    assert "remote origin" not in wf(one.main, "list").err, "what is shown is its own"
    said = wf(other.main, "why", "a").out
    assert "that machine was last heard of" in said
    assert " s ago" in said
    assert wf_json(other.main, "why", "a")["remote"]["name"] == "origin"


@pytest.mark.long
def test_what_waits_for_a_place_is_said_to(tmp_path: Path) -> None:
    one, other = share(tmp_path)
    synced(one, other, one)
    assert "no machine works on tasks that wait" in outlook(one, "origin", held=0)
    with driving(one, None, slots=2):
        assert "a machine takes it when it meets origin next" in outlook(one, "origin", held=1)
        assert "all 2 places on the only machine that works" in outlook(one, "origin", held=2)
        with driving(other, None, slots=1):
            synced(other, one)
            assert "all 3 places on 2 machines are taken" in outlook(one, "origin", held=3)
            assert "takes it when" in outlook(one, "origin", held=2)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-147")
def test_who_is_refused_says_so_to_the_others_where_its_heartbeat_comes_through(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    one, other = share(tmp_path, clock=clock)
    add_run(one)
    add_task(one, "a")
    synced(one, other)
    hub = Hub(Path(one.hub.url)) if one.hub else None
    assert hub is not None
    hub.protects("refs/wfledger/ledger", "not from here")
    assert _met(one, granting) == "refused"
    clock.advance(one.policy().lease_s / 3)
    assert _met(one) == "ok", "the heartbeat alone"
    synced(other)
    row = _elsewhere(other)
    assert "not from here" in row.refused
    clock.advance(60)
    assert "cannot push for 60s: " in machine_rows([row], clock.now())[0][-1]
    hub.unhook("update")
    assert _met(one, granting) == "ok"
    synced(other)
    assert _elsewhere(other).refused == ""


def _met(workspace: Workspace, *proposers: Proposer) -> str:
    met = meet_here(workspace, force=True, meeting=lambda here, _: meet(here, proposers))
    assert met is not None
    return met.outcome


def _elsewhere(workspace: Workspace) -> MachineRow:
    return next(row for row in fleet(workspace, ()) if not row.is_here)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-142")
def test_a_refusal_is_over_when_something_was_taken(tmp_path: Path) -> None:
    (one,) = share(tmp_path, 1)
    told: list[str] = []
    telling = Telling(one, lambda _, text: told.append(text))
    for met in (
        Met("refused", "no", pushed=True), Met("ok", pushed=True), Met("refused", "no", pushed=True),
        Met("ok", pushed=True, granted=("grant r1.a",)),
    ):  # fmt: skip
        telling.tell(met)
    assert told[0] == "refuses: no"
    assert [text for text in told if "in step again" in text] == told[1:]
    assert len(told) == 2
    assert diary.last(one) is None
