"""Hints that something in the ledger has changed: events of the kernel, where it gives any.

An event does nothing but wake whoever dispatches; what has changed he finds by a rescan, which he
does now and then anyway. So an event that is lost, doubled or out of order costs time at most, and
where there are none, polling does the same (WFL-DAEMON-020).
"""

import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

from wfledger.clock import Clock
from wfledger.run.doctor.mounts import network_kind, unsure_kind

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers.api import BaseObserver

#: Seconds after which events are tried again that the system refused.
RETRY_S: Final = 60.0
_JOIN_S: Final = 2.0

Mode = Literal["events", "polling"]


@dataclass(frozen=True)
class Watched:
    """How changes are noticed now; *why* says so where it is by polling."""

    mode: Mode
    why: str = ""


class Handler:
    """What watchdog calls for each event.

    It raises nothing: an exception would end watchdog's thread, and nobody would be told.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake

    def dispatch(self, event: "FileSystemEvent") -> None:
        """Take the hint; what the event says is not even looked at."""
        del event
        with suppress(BaseException):  # whoever dispatches rescans all the same
            self._wake()


class _Overheard(logging.Handler):
    """What watchdog only logs, such as an overflow of the kernel's queue: a hint like any other."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(logging.WARNING)
        self._handler = handler

    def emit(self, record: logging.LogRecord) -> None:
        del record
        self._handler.dispatch(cast("FileSystemEvent", None))


class Watching:
    """Looks after the observer of one folder, everything below it included.

    All of the folder by one observer: the two halves of a rename across two of them would come
    half a second apart, and hold up what comes behind them.
    """

    def __init__(
        self, root: Path, wake: Callable[[], object], *, clock: Clock, wanted: bool = True
    ) -> None:
        self._root = root
        self._handler = Handler(wake)
        self._overheard = _Overheard(self._handler)
        self._clock = clock
        self._wanted = wanted
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None
        self._again = float("-inf")
        #: How changes are noticed now.
        self.how = Watched("polling", "" if wanted else "events are turned off")

    def tend(self) -> None:
        """Make sure that events come if they can; to be called at every rescan, before it.

        A folder that was replaced, an observer or emitter that died: neither says so by itself.
        """
        if not self._wanted:
            return
        identity = _identity(self._root)
        if self._observer is not None and identity == self._identity and self._is_alive():
            return
        self.close()
        if identity is None:
            self.how = Watched("polling", f"{self._root} is not there")
        elif self._clock.elapsed() >= self._again:
            self._begin(identity)

    def close(self) -> None:
        """Stop the observer; no event comes any more."""
        observer, self._observer = self._observer, None
        logging.getLogger("watchdog").removeHandler(self._overheard)
        if observer is not None:
            with suppress(RuntimeError, OSError):  # one that is dead or half begun
                observer.stop()
                observer.join(_JOIN_S)

    def _is_alive(self) -> bool:
        observer = self._observer
        if observer is None or not observer.is_alive():
            return False
        emitters = list(observer.emitters)
        return bool(emitters) and all(emitter.is_alive() for emitter in emitters)

    def _begin(self, identity: tuple[int, int]) -> None:
        foreign = network_kind(self._root) or unsure_kind(self._root)
        try:
            if foreign is not None:
                raise OSError(f"what others change on {foreign} gives no events")  # noqa: TRY301
            self._observer = _observer(self._root, self._handler)
        except (ImportError, OSError, RuntimeError) as error:
            self._again = self._clock.elapsed() + RETRY_S
            self.how = Watched("polling", f"no events: {error}")
            return
        self._identity = identity
        self.how = Watched("events")
        logger = logging.getLogger("watchdog")
        logger.addHandler(self._overheard)
        logger.propagate = False
        self._handler.dispatch(cast("FileSystemEvent", None))  # what came before it began


def _observer(root: Path, handler: Handler) -> "BaseObserver":
    """Return a running observer of everything below *root*."""
    from watchdog import events
    from watchdog.observers import Observer

    # A folder made while its parent is being taken in is seen by both; the second look warns of
    # the first, and where warnings are errors that would end watchdog's thread.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    # Not the opening and closing of what is read: each rescan would be a reason for the next.
    wanted: list[type[FileSystemEvent]] = [
        events.FileCreatedEvent, events.FileMovedEvent, events.FileDeletedEvent,
        events.FileModifiedEvent, events.FileClosedEvent,
        events.DirCreatedEvent, events.DirMovedEvent, events.DirDeletedEvent,
    ]  # fmt: skip
    observer = Observer()
    observer.schedule(
        cast("FileSystemEventHandler", handler), str(root), recursive=True, event_filter=wanted
    )
    try:
        observer.start()
    except BaseException:
        with suppress(Exception):
            observer.unschedule_all()
        raise
    return observer


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
