"""Locks that dead gits have left."""

from pathlib import Path

from wfledger.vcs import stale


def test_process_that_has_gone_while_it_is_looked_at_has_nothing_open(tmp_path: Path) -> None:
    assert stale._open_files(tmp_path / "gone/fd") == set()


def test_file_that_somebody_has_open_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "held.lock"
    with path.open("w"):
        assert stale._is_open(path.stat())
    assert not stale._is_open(path.stat())
