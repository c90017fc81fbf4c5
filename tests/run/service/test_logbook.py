"""A log that stays small and stops nobody."""

from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from wfledger.run.service.logbook import Logbook


@pytest.mark.requirement("WFL-DAEMON-042")
def test_log_is_bounded_and_its_newest_lines_are_kept(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "daemon.log"
    log = Logbook(path, clock=clock, size=1000, kept=2)
    for number in range(500):
        log.say(f"entry {number}")
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["daemon.log", "daemon.log.1", "daemon.log.2"]
    assert all(file.stat().st_size < 1100 for file in files)
    kept = [line for file in reversed(files) for line in file.read_text().splitlines()]
    numbers = [int(line.rpartition(" ")[2]) for line in kept]
    assert numbers == list(range(numbers[0], 500))


def test_full_disk_stops_nobody(clock: FakeClock) -> None:
    echoed: list[str] = []
    log = Logbook(Path("/dev/full"), clock=clock, echo=echoed.append)
    log.say("one")
    log.say("two")
    log.close()
    assert echoed == ["one", "two"]


def test_folder_that_cannot_be_written_keeps_the_log_where_it_is(
    tmp_path: Path, clock: FakeClock
) -> None:
    path = tmp_path / "logs" / "daemon.log"
    path.parent.mkdir()
    log = Logbook(path, clock=clock, size=10)
    log.say("the first entry")
    path.parent.rename(tmp_path / "away")
    log.say("the folder is away")  # cannot be renamed there, and is lost
    (tmp_path / "away").rename(path.parent)
    log.say("it is back")
    log.close()
    text = "".join(file.read_text() for file in sorted(path.parent.iterdir(), reverse=True))
    assert "the first entry" in text
    assert "1 entries could not be written" in text
    assert "it is back" in text
