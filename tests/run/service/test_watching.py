"""Events are hints: any that come set a flag, whatever they say; none may end what delivers them."""

import resource
import shutil
import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import processes
from tests.support.clock import FakeClock
from tests.support.waiting import until
from wfledger.clock import SystemClock
from wfledger.run.service.watching import RETRY_S, Handler, Watching

_EVENTS = st.lists(st.one_of(st.none(), st.integers(), st.text(), st.binary()), max_size=20)


@pytest.mark.requirement("WFL-DAEMON-020")
@given(_EVENTS, st.randoms(use_true_random=False))
def test_events_lost_doubled_or_out_of_order_set_the_same_flag(
    events: list[Any], chance: Any
) -> None:
    flag = threading.Event()
    handler = Handler(flag.set)
    delivered = [event for event in events * 2 if chance.random() < 0.5]
    chance.shuffle(delivered)
    for event in delivered:
        handler.dispatch(event)
    assert flag.is_set() == bool(delivered)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, MemoryError, SystemExit])
def test_handler_raises_nothing(error: type[BaseException]) -> None:
    def fail() -> NoReturn:
        raise error

    Handler(fail).dispatch(None)  # type: ignore[arg-type]


class Seen:
    """A watched folder, and how often something in it woke us."""

    def __init__(self, root: Path, clock: FakeClock | SystemClock) -> None:
        self.root = root
        (root / "waiting").mkdir(parents=True)
        self.flag = threading.Event()
        self.watching = Watching(root, self.flag.set, clock=clock)
        self.watching.tend()
        self.flag.clear()

    def change(self) -> None:
        """Move a file in and wait until that was noticed."""
        new = self.root.with_name("new.json")
        new.write_text("{}")
        new.replace(self.root / "waiting" / "new.json")
        assert self.flag.wait(10)
        self.settle()

    def settle(self) -> None:
        """Wait until no event is under way: one that is made last has come."""
        until(self._is_quiet)

    def _is_quiet(self) -> bool:
        self.flag.clear()
        return not self.flag.wait(0.05)


@pytest.fixture
def seen(tmp_path: Path, clock: FakeClock) -> Any:
    """A folder that is watched."""
    found = Seen(tmp_path / "ledger", clock)
    assert found.watching.how.mode == "events"
    yield found
    found.watching.close()


@pytest.mark.requirement("WFL-DAEMON-023")
def test_file_that_is_moved_in_wakes_and_looking_does_not(seen: Seen) -> None:
    seen.change()
    for path in seen.root.rglob("*"):
        _ = path.read_text() if path.is_file() else list(path.iterdir())
    assert not seen.flag.wait(0.1)


def test_folder_that_is_seen_twice_while_it_is_new_ends_no_thread(seen: Seen) -> None:
    folder = seen.root / "waiting" / "r1"
    folder.mkdir()
    seen.settle()
    (emitter,) = seen.watching._observer.emitters  # type: ignore[union-attr]
    # What watchdog does where the event of a folder comes after it was found by walking.
    emitter._inotify._add_all_callbacks(bytes(folder))  # type: ignore[attr-defined]
    assert seen.watching.how.mode == "events"
    seen.change()


@pytest.mark.requirement("WFL-DAEMON-022")
def test_folder_that_was_replaced_is_watched_again(seen: Seen) -> None:
    seen.root.rename(seen.root.with_name("old"))
    seen.watching.tend()
    assert (seen.watching.how.mode, "not there" in seen.watching.how.why) == ("polling", True)
    (seen.root / "waiting").mkdir(parents=True)
    seen.watching.tend()
    assert seen.watching.how.mode == "events"
    seen.settle()
    seen.change()


@pytest.mark.requirement("WFL-DAEMON-022")
def test_folder_that_was_made_anew_in_its_place_is_watched_again(seen: Seen) -> None:
    observer = seen.watching._observer
    shutil.rmtree(seen.root)
    (seen.root / "waiting").mkdir(parents=True)  # perhaps with the very same inode

    def is_begun_anew() -> bool:
        seen.watching.tend()
        return seen.watching._observer is not observer

    until(is_begun_anew)
    seen.settle()
    seen.change()


@pytest.mark.requirement("WFL-DAEMON-022")
@pytest.mark.parametrize("which", ["observer", "emitter"])
def test_what_delivers_events_is_begun_anew_when_it_has_died(seen: Seen, which: str) -> None:
    observer: Any = seen.watching._observer
    victim = observer if which == "observer" else next(iter(observer.emitters))
    victim.stop()
    until(lambda: not victim.is_alive())
    seen.watching.tend()
    assert seen.watching._observer is not observer
    seen.settle()
    seen.change()


def _watch_without_descriptors(root: Path) -> tuple[str, str, str]:
    clock = FakeClock()
    watching = Watching(root, threading.Event().set, clock=clock)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    import watchdog.events
    import watchdog.observers  # noqa: F401

    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    watching.tend()
    refused = watching.how
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    watching.tend()
    early = watching.how
    clock.advance(RETRY_S)
    watching.tend()
    found = (f"{refused.mode} {refused.why}", early.mode, watching.how.mode)
    watching.close()
    return found


@pytest.mark.requirement("WFL-DAEMON-022")
@pytest.mark.long
def test_events_that_the_system_refuses_are_asked_for_again_later(tmp_path: Path) -> None:
    refused, early, later = processes.race(_watch_without_descriptors, [(tmp_path,)])[0]
    assert refused.startswith("polling no events: ")
    assert (early, later) == ("polling", "events")


def test_events_that_are_turned_off_stay_off(tmp_path: Path, clock: FakeClock) -> None:
    watching = Watching(tmp_path, threading.Event().set, clock=clock, wanted=False)
    watching.tend()
    assert (watching.how.mode, watching.how.why) == ("polling", "events are turned off")
