"""Output is bounded on the disk at every moment, and what is kept is its beginning and its end."""

import itertools
import os
import re
import resource
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.jobs import job, run
from wfledger.run.processes.output import BoundedLog, Pump
from wfledger.run.processes.process import ProcessLimits

MARKER = re.compile(rb"\n\[wfledger: +(\d+) bytes of output were dropped here\]\n")
LINE = 64


def numbered(count: int) -> bytes:
    return b"".join(b"%07d\n" % number for number in range(count // 8 + 1))[:count]


def check(kept: bytes, given_bytes: bytes, limit: int) -> None:
    if len(given_bytes) <= limit:
        assert kept == given_bytes
        return
    match = MARKER.search(kept)
    assert match is not None
    head, tail = kept[: match.start()], kept[match.end() :]
    half = limit // 2
    assert head == given_bytes[:half]
    assert tail == given_bytes[-half:]
    assert int(match[1]) == len(given_bytes) - len(head) - len(tail)


@given(
    limit=st.integers(2, 400).map(lambda half: half * 2),
    sizes=st.lists(st.one_of(st.integers(1, 40), st.integers(1, 3000)), max_size=30),
)
def test_first_and_last_half_are_kept(limit: int, sizes: list[int]) -> None:
    stream = numbered(sum(sizes))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        log = BoundedLog(path, limit)
        at = 0
        for size in sizes:
            log.feed(stream[at : at + size])
            at += size
            assert path.stat().st_size <= limit * 1.5 + LINE
        log.finish()
        check(path.read_bytes(), stream, limit)
        assert log.total == len(stream)
        assert (log.dropped > 0) == (len(stream) > limit)


@given(
    limit=st.integers(200, 600).map(lambda half: half * 2),
    sizes=st.lists(st.integers(1, 4000), min_size=2, max_size=4),
)
def test_what_goes_on_keeps_the_end_of_what_was_there_within_the_bound(
    limit: int, sizes: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        for number, size in enumerate(sizes):
            before = path.read_bytes() if number else b""
            log = BoundedLog(path, limit, said=f"again {number}" if number else None)
            line = f"\n[wfledger: again {number}]\n".encode() if number else b""
            assert path.read_bytes()[: log.start].endswith(line)
            kept = path.read_bytes()[: log.start - len(line)]
            assert before.endswith((kept, MARKER.split(kept)[-1]))
            log.feed(numbered(size))
            log.finish()
            check(path.read_bytes()[log.start :], numbered(size), (limit - log.start) // 2 * 2)
            assert path.stat().st_size <= limit + 2 * LINE


def test_file_can_be_read_while_it_grows(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "log", 4096)
    log.feed(b"first line\n")
    assert (tmp_path / "log").read_bytes() == b"first line\n"
    log.feed(numbered(100_000))
    assert (tmp_path / "log").read_bytes().startswith(b"first line\n")
    assert (tmp_path / "log").read_bytes().endswith(numbered(100_000)[-2048:])
    log.finish()


@pytest.mark.long
@pytest.mark.requirement("WFL-PROC-002")
def test_gigabyte_of_output_is_bounded(tmp_path: Path) -> None:
    limits = ProcessLimits(output_bytes=1 << 20)
    work = job(tmp_path, "head", "-c", "1000000000", "/dev/zero", limits=limits)
    ended = run(work)
    assert (ended.status, ended.output_bytes, ended.truncated) == (0, 1_000_000_000, True)
    assert work.output.stat().st_size <= (1 << 20) + LINE


def fill_up(path: str) -> tuple[int, int]:
    """Write to a log in a process that may write no large file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    log = BoundedLog(Path(path), 4096)
    for _ in range(10):
        log.feed(b"x" * 300)
    log.finish()
    return log.total, log.dropped


@pytest.mark.long
def test_full_disk_loses_output_only(tmp_path: Path) -> None:
    from tests.support import processes

    path = tmp_path / "log"
    total, dropped = processes.start(fill_up, str(path)).result()
    assert total == 3000
    assert path.stat().st_size == total - dropped == 1000


@pytest.mark.parametrize("watched", [True, False])
def test_end_is_seen_with_and_without_pidfd(tmp_path: Path, *, watched: bool) -> None:
    read, write = os.pipe()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    with Pump(BoundedLog(tmp_path / "log", 4096), pipe=read, ended=lambda: True) as pump:
        if watched:
            pump.watch(pid)
        os.write(write, b"said")
        said = False
        while not pump.exited or not said:
            said = pump.turn(1) or said
        os.close(write)
        pump.drain()
        assert not pump.turn(0)
    os.waitpid(pid, 0)
    assert (tmp_path / "log").read_bytes() == b"said"


@given(
    pieces=st.lists(st.sampled_from([b"secret-", b"value", b"secret-value", b"x", b"secret-secret-", b"\n"]), max_size=40),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=80),
)
def test_secret_reaches_no_file_however_it_arrives(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        log = BoundedLog(path, 10_000, ("secret-value", "short"))
        at = 0
        for size in itertools.cycle(cuts):
            if at >= len(stream):
                break
            log.feed(stream[at : at + size])
            at += size
            assert b"secret-value" not in path.read_bytes()
        log.finish()
        assert path.read_bytes() == stream.replace(b"secret-value", b"[redacted]")
        assert log.total == len(stream)
