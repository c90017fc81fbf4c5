"""One process of a machine syncs: when it meets the remote, who takes over, how it leaves."""

from pathlib import Path

import pytest

from tests.support.meetings import Meetings, make_shared
from tests.support.processes import Worker, start
from tests.support.waiting import until
from tests.support.workspaces import add_task, make_workspace, open_workspace
from wfledger.run.hub import diary, poking
from wfledger.run.hub.attending import meet_here
from wfledger.run.hub.meeting import Met, Moved
from wfledger.run.hub.syncer import Syncer
from wfledger.run.workspace import Workspace

Events = list[tuple[str, str]]


def make_syncer(workspace: Workspace, meetings: Meetings) -> tuple[Syncer, Events, list[int]]:
    events: Events = []
    woken: list[int] = []
    syncer = Syncer(
        workspace, report=lambda subject, text: events.append((subject, text)),
        woke=lambda: woken.append(1), meeting=meetings,
    )  # fmt: skip
    return syncer, events, woken


def sync_for_ever(root: str) -> None:
    workspace = open_workspace(Path(root))
    syncer, _, _ = make_syncer(workspace, Meetings(workspace, lambda: Met("quiet")))
    syncer.tend()
    until(lambda: False, within_s=600)


def test_nothing_is_synced_where_there_is_no_remote(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    syncer, _, _ = make_syncer(workspace, Meetings(workspace, lambda: Met("quiet")))
    syncer.tend()
    assert not poking.is_synced_here(workspace)
    syncer.close()


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-140")
def test_one_process_syncs_and_another_goes_on_when_it_is_killed(tmp_path: Path) -> None:
    workspace = make_shared(tmp_path)
    first: Worker = start(sync_for_ever, str(workspace.main))
    until(lambda: poking.is_synced_here(workspace))
    meetings = Meetings(workspace, lambda: Met("quiet"))
    syncer, _, _ = make_syncer(workspace, meetings)
    syncer.tend()
    try:
        assert meet_here(workspace, force=True, meeting=meetings) is None
        assert meetings.began == []
        first.kill()
        until(lambda: len(meetings.began) > 0)
    finally:
        syncer.close()
    assert not poking.is_synced_here(workspace)


@pytest.mark.long
def test_change_goes_out_at_once_and_wakes_who_works(tmp_path: Path) -> None:
    workspace = make_shared(tmp_path, interval_s=3600.0)
    came = (Moved("r1.a", None, "waiting", 0, "somebody", "added", "m2"),)
    meetings = Meetings(workspace, lambda: Met("quiet", came=came))
    syncer, _, woken = make_syncer(workspace, meetings)
    syncer.tend()
    try:
        until(lambda: len(meetings.began) == 1)
        add_task(workspace, "a")
        until(lambda: len(meetings.began) == 2)
        until(lambda: len(woken) == 2)
        assert workspace.ledger.journal.is_empty()
    finally:
        syncer.close()


@pytest.mark.long
def test_who_asks_for_a_meeting_gets_one_that_began_after_that(tmp_path: Path) -> None:
    workspace = make_shared(tmp_path, interval_s=3600.0)
    meetings = Meetings(workspace, lambda: Met("ok", pushed=True))
    syncer, _, _ = make_syncer(workspace, meetings)
    syncer.tend()
    try:
        until(lambda: len(meetings.began) == 1)
        asked, before = poking.ask(workspace), workspace.clock.elapsed()
        until(lambda: diary.answered(workspace) >= asked)
        assert meetings.began[-1] >= before
    finally:
        syncer.close()


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-142")
def test_trouble_is_said_once_and_so_is_its_end(tmp_path: Path) -> None:
    workspace = make_shared(tmp_path)
    answers = [Met("unreachable", "no route to host", "wfledger remote probe")] * 2
    meetings = Meetings(workspace, lambda: answers.pop() if answers else Met("quiet"))
    syncer, events, _ = make_syncer(workspace, meetings)
    syncer.tend()
    try:
        until(lambda: len(meetings.began) >= 4)
    finally:
        syncer.close()
    (name, said), (_, again) = events
    assert name == "origin"
    assert said == "cannot be reached: no route to host; wfledger remote probe"
    assert again.startswith("is in step again after ")


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-143")
def test_who_leaves_brings_what_is_left_unless_the_remote_is_away(tmp_path: Path) -> None:
    workspace = make_shared(tmp_path, interval_s=3600.0)
    away = False
    meetings = Meetings(
        workspace, lambda: Met("unreachable", "away") if away else Met("ok", pushed=True)
    )
    for away in (False, True):
        poking.ask(workspace)
        syncer, _, _ = make_syncer(workspace, meetings)
        syncer.tend()
        until(lambda: diary.answered(workspace) == poking.pokes(workspace).now)
        before = len(meetings.began)
        add_task(workspace, "b" if away else "a")
        syncer.close()
        assert len(meetings.began) == before + (not away)
        assert workspace.ledger.journal.is_empty() is not away


def test_meeting_that_raises_is_one_that_failed_and_is_remembered(tmp_path: Path) -> None:
    workspace = make_shared(tmp_path)

    def raises() -> Met:
        raise OSError(28, "No space left on device")

    met = meet_here(workspace, force=True, meeting=Meetings(workspace, raises))
    assert met is not None
    assert met.outcome == "failed"
    record = diary.last(workspace)
    assert record is not None
    assert (record.outcome, record.said) == ("failed", "[Errno 28] No space left on device")


def test_prompt_waits_for_no_push_before_its_time_nor_for_a_remote_that_was_away(
    tmp_path: Path,
) -> None:
    workspace = make_shared(tmp_path, interval_s=3600.0)
    meetings = Meetings(workspace, lambda: Met("unreachable", "away"))
    assert meet_here(workspace, force=False, meeting=meetings) is not None
    assert meet_here(workspace, force=False, meeting=meetings) is None
    assert meet_here(workspace, force=True, meeting=meetings) is not None
    assert len(meetings.began) == 2


def test_defect_in_a_meeting_is_one_line_and_a_file_that_has_the_rest(tmp_path: Path) -> None:
    workspace = make_shared(tmp_path)

    def broken(workspace: Workspace, within_s: float) -> Met:
        raise LookupError("no\nsuch thing")

    met = meet_here(workspace, force=True, meeting=broken)
    assert met is not None
    path = workspace.ledger.layout.local / "hub/failed.log"
    assert met.said == f"a defect of wfledger: LookupError: no such thing; the rest is in {path}"
    assert "in broken" in path.read_text()
