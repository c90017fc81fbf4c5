"""Locks exclude threads and processes, have one order, and die with their holder."""

import itertools
import os
import signal
import threading
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.faults import Pause
from tests.support.ledgers import make_ledger, open_ledger
from tests.support.waiting import until
from wfledger.errors import BusyError, EnvironmentFailedError
from wfledger.store.locks import ORDER, LiveLock, Locks, is_alive


def _count_up(folder: Path, times: int) -> None:
    locks = Locks(folder)
    path = folder / "counter"
    for _ in range(times):
        with locks.hold("ledger"):
            path.write_text(str(int(path.read_text()) + 1))


def _hold(folder: Path) -> None:
    with open_ledger(folder).transaction("holder"):
        pass


@pytest.mark.requirement("WFL-LEDGER-026")
@pytest.mark.parametrize(("first", "second"), list(itertools.product(ORDER, ORDER)))
def test_locks_are_taken_downwards_only(tmp_path: Path, first: str, second: str) -> None:
    locks = Locks(tmp_path)
    if ORDER.index(second) > ORDER.index(first):
        with locks.hold(first), locks.hold(second):
            return
    with locks.hold(first), pytest.raises(RuntimeError, match="lock order"), locks.hold(second):
        pass


def test_order_holds_across_two_ledgers_and_is_free_again_after_a_failure(tmp_path: Path) -> None:
    one, other = Locks(tmp_path / "1"), Locks(tmp_path / "2")
    with pytest.raises(ValueError, match="mine"), one.hold("sync"):
        raise ValueError("mine")
    with one.hold("ledger"), pytest.raises(RuntimeError), other.hold("git"):
        pass
    with other.hold("git"), one.hold("ledger"):
        pass


def test_one_thread_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    inside: list[int] = []
    most = 0

    def work() -> None:
        nonlocal most
        for _ in range(50):
            with locks.hold("ledger"):
                inside.append(1)
                most = max(most, len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.long
def test_one_process_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes.race(_count_up, [(tmp_path, 100)] * 4)
    assert (tmp_path / "counter").read_text() == "400"


def test_names_of_one_kind_are_different_locks(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    with locks.hold("target", "a"):
        thread = threading.Thread(target=_enter, args=(locks, "b"))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()


def _enter(locks: Locks, name: str) -> None:
    with locks.hold("target", name):
        pass


def test_held_lock_is_reported_as_busy_and_killing_its_holder_frees_it(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path)
    with Pause(tmp_path, "ledger.lock.taken") as pause:
        holder = processes.start(_hold, tmp_path, env=pause.env)
        pause.wait()
        with pytest.raises(BusyError) as caught, ledger.transaction("other", timeout=0.05):
            pass
        assert caught.value.exit_status == 75
        holder.kill()
        with ledger.transaction("other", timeout=10):
            pass


def test_thread_waits_for_a_thread_no_longer_than_it_was_told(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    failures: list[BusyError] = []

    def attempt() -> None:
        try:
            with locks.hold("ledger", timeout=0.02):
                pass
        except BusyError as error:
            failures.append(error)

    with locks.hold("ledger"):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert len(failures) == 1


def test_threads_that_wait_leave_the_processor_to_the_holder(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    inside = []

    def work() -> None:
        with locks.hold_briefly("trust"):
            inside.append(1)

    threads = [threading.Thread(target=work) for _ in range(100)]
    with locks.hold_briefly("trust"):
        for thread in threads:
            thread.start()
        until(lambda: len(inside) == 0 and all(thread.is_alive() for thread in threads))
        before = os.times()
        threading.Event().wait(0.2)  # what is measured: a while in which all of them wait
        after = os.times()
        assert after.user + after.system - before.user - before.system < 0.1
    for thread in threads:
        thread.join()
    assert len(inside) == 100


def test_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(EnvironmentFailedError), Locks(tmp_path).hold("ledger"):
        pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.requirement("WFL-LEDGER-028")
def test_lock_file_stays_after_release(tmp_path: Path) -> None:
    with Locks(tmp_path).hold("ledger"):
        pass
    assert (tmp_path / "ledger.lock").exists()


# -- liveness ------------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-CLAIM-030")
def test_attempt_is_alive_exactly_while_its_lock_is_held(tmp_path: Path) -> None:
    path = tmp_path / "r.a.1"
    assert not is_alive(path)
    lock = LiveLock(path)
    assert is_alive(path)
    with pytest.raises(BusyError):
        LiveLock(path)
    lock.release()
    assert not is_alive(path)


def _live(path: Path, folder: Path) -> None:
    lock = LiveLock(path)
    with open_ledger(folder).transaction("runtime"):
        lock.release()


@pytest.mark.requirement("WFL-CLAIM-030")
def test_killed_runtime_is_dead_at_once(tmp_path: Path) -> None:
    make_ledger(tmp_path)
    path = tmp_path / "r.a.1"
    with Pause(tmp_path, "ledger.lock.taken") as pause:
        runtime = processes.start(_live, path, tmp_path, env=pause.env)
        pause.wait()
        assert is_alive(path)
        runtime.kill()
        assert not is_alive(path)


def test_looking_whether_it_lives_never_keeps_it_from_living(tmp_path: Path) -> None:
    path = tmp_path / "r.a.1"
    LiveLock(path).release()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_alive(path)

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(200):
            LiveLock(path).release()
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()


def hold_for_ever(folder: Path, note: Path) -> None:
    """Hold the ledger lock until this process ends."""
    with Locks(folder).hold("ledger"):
        note.touch()
        signal.pause()


@pytest.mark.long
@pytest.mark.requirement("WFL-LEDGER-029")
def test_busy_lock_names_its_holder_and_says_whether_it_is_stopped(tmp_path: Path) -> None:
    holder = processes.start(hold_for_ever, tmp_path, tmp_path / "held")
    until((tmp_path / "held").exists)
    with pytest.raises(BusyError) as busy, Locks(tmp_path).hold("ledger", timeout=0.05):
        pass
    assert f"(process {holder.pid}) holds it" in busy.value.message
    os.kill(holder.pid, signal.SIGSTOP)
    until(lambda: ") T " in Path(f"/proc/{holder.pid}/stat").read_text())
    with pytest.raises(BusyError) as busy, Locks(tmp_path).hold("ledger", timeout=0.05):
        pass
    assert busy.value.message.endswith("holds it and stands still, stopped")
    assert busy.value.hint == f"kill -CONT {holder.pid} lets it go on"
