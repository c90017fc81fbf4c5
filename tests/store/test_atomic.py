"""Whole files, moves that replace nothing, reads that neither block nor follow."""

import errno
import itertools
import os
import threading
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.faults import kill_at, raise_at
from wfledger.errors import InvalidDocumentError, LedgerDamagedError
from wfledger.store import atomic


@pytest.fixture
def tmp(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def _replace(path: Path, data: bytes, tmp: Path) -> None:
    atomic.replace(path, data, tmp=tmp)


def test_replace_leaves_exactly_the_new_bytes_and_no_temporary(tmp_path: Path, tmp: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old and longer")
    atomic.replace(path, b"new", tmp=tmp)
    assert path.read_bytes() == b"new"
    assert list(tmp.iterdir()) == []


@pytest.mark.parametrize(
    ("point", "expected"),
    [("atomic.replace.before-rename", b"old"), ("atomic.replace.after-rename", b"new")],
)
def test_killed_replace_leaves_the_old_bytes_or_the_new(
    tmp_path: Path, tmp: Path, point: str, expected: bytes
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    worker = processes.start(_replace, path, b"new", tmp, env=kill_at(point))
    assert worker.wait() < 0
    assert path.read_bytes() == expected


def test_failed_rename_leaves_no_temporary(tmp_path: Path, tmp: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic.replace(tmp_path / "missing" / "a", b"x", tmp=tmp)
    assert list(tmp.iterdir()) == []


def test_temporary_left_by_a_dead_process_of_our_pid_is_no_obstacle(
    tmp_path: Path, tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_serial", itertools.count())
    for serial in range(5):
        (tmp / f"{os.getpid()}-{serial}.tmp").touch()
    atomic.replace(tmp_path / "a", b"x", tmp=tmp)
    assert (tmp_path / "a").read_bytes() == b"x"


def test_move_refuses_to_replace(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    with pytest.raises(FileExistsError):
        atomic.move(one, other)
    assert (one.read_bytes(), other.read_bytes()) == (b"1", b"2")


@pytest.mark.parametrize("has_kernel_support", [True, False])
def test_move_has_the_same_answers_without_kernel_support(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_kernel_support: bool
) -> None:
    if not has_kernel_support:
        monkeypatch.setattr(atomic, "_renameat2", None)
    one, other = tmp_path / "one", tmp_path / "other"
    with pytest.raises(FileNotFoundError):
        atomic.move(one, other)
    one.write_bytes(b"1")
    atomic.move(one, other)
    assert other.read_bytes() == b"1"
    one.write_bytes(b"2")
    with pytest.raises(FileExistsError):
        atomic.move(one, other)


def test_only_one_of_many_creates_a_name(tmp_path: Path) -> None:
    wins: list[int] = []

    def create(number: int) -> None:
        try:
            atomic.create(tmp_path / "name", b"%d" % number)
        except FileExistsError:
            return
        wins.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert (tmp_path / "name").read_bytes() == b"%d" % wins[0]


def _make(path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"x")
        os.link(path, path.with_name("second"))


@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "folder", "hard-link"])
def test_read_refuses_what_is_no_plain_file_and_keeps_no_descriptor(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "a"
    _make(path, kind)
    with pytest.raises(LedgerDamagedError):
        atomic.read(path, limit=100)
    assert [name for name in _held() if name.startswith(str(tmp_path))] == []


def _held() -> list[str]:
    """Return what this process has open."""
    names = Path("/proc/self/fd").iterdir()
    return [str(name.readlink()) for name in names if name.is_symlink()]


def test_read_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 101)
    assert atomic.read(tmp_path / "a", limit=101) == b"x" * 101
    with pytest.raises(InvalidDocumentError):
        atomic.read(tmp_path / "a", limit=100)


def test_reader_of_a_file_that_is_replaced_meanwhile_gets_one_version_whole(
    tmp_path: Path, tmp: Path
) -> None:
    path = tmp_path / "a"
    versions = {b"a" * 3000, b"b" * 2000}
    atomic.replace(path, b"a" * 3000, tmp=tmp)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for version in versions:
                atomic.replace(path, version, tmp=tmp)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {atomic.read(path, limit=5000) for _ in range(3000)}
    finally:
        stop.set()
        writer.join()
    assert seen <= versions


def test_short_writes_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp: Path) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:7]))
    atomic.replace(tmp_path / "a", b"0123456789" * 5, tmp=tmp)
    assert (tmp_path / "a").read_bytes() == b"0123456789" * 5


def test_full_disk_leaves_the_old_file_and_no_temporary(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp: Path
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def full(_: int, __: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        atomic.replace(tmp_path / "a", b"new", tmp=tmp)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert list(tmp.iterdir()) == []


def test_ordered_failure_names_its_point(tmp_path: Path, tmp: Path) -> None:
    worker = processes.start(
        _replace, tmp_path / "a", b"x", tmp, env=raise_at("atomic.replace.before-rename")
    )
    assert worker.wait() == 70
    assert "atomic.replace.before-rename" in worker.output()
