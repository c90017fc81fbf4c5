"""Queues that others have made, each emptied by several processes with one claim for each call."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.measuring import take_all


def names(count: int) -> list[str]:
    """Return the tasks that every queue is filled with."""
    return [f"bench.t{number:06}" for number in range(count)]


def _popped(pop: Any, read: Any) -> Iterator[str]:
    while (item := pop()) is not None:
        yield read(item)


# -- litequeue: SQLite in WAL mode ---------------------------------------------------------------


def fill_litequeue(folder: Path, count: int) -> None:
    """Put *count* messages into a litequeue."""
    from litequeue import LiteQueue

    queue = LiteQueue(str(folder / "lite.db"))
    with queue.transaction():
        for name in names(count):
            queue.put(name)


def drain_litequeue(folder: Path, synchronous: str) -> tuple[float, float, list[str]]:
    """Claim until nothing is left. *synchronous* NORMAL is its default; FULL outlives power loss."""
    from litequeue import LiteQueue

    queue = LiteQueue(str(folder / "lite.db"), timeout=60)
    queue.conn.execute(f"PRAGMA synchronous = {synchronous}")
    return take_all(partial(_popped, queue.pop, lambda message: message.data))


# -- huey: SQLite and files ----------------------------------------------------------------------


def _huey(folder: Path, kind: str) -> Any:
    from huey.storage import FileStorage, SqliteStorage

    if kind == "files":
        return FileStorage("bench", path=str(folder / "huey"))
    return SqliteStorage("bench", filename=str(folder / "huey.db"), timeout=60)


def fill_huey(folder: Path, count: int, kind: str) -> None:
    """Put *count* tasks into a huey storage."""
    storage = _huey(folder, kind)
    for name in names(count):
        storage.enqueue(name.encode())


def drain_huey(folder: Path, kind: str) -> tuple[float, float, list[str]]:
    """Claim until nothing is left."""
    storage = _huey(folder, kind)
    return take_all(partial(_popped, storage.dequeue, bytes.decode))


# -- persist-queue: SQLite, made for threads -----------------------------------------------------


def _persist(folder: Path) -> Any:
    from persistqueue import SQLiteQueue

    return SQLiteQueue(str(folder / "persist"), auto_commit=True, multithreading=True)


def fill_persist(folder: Path, count: int) -> None:
    """Put *count* tasks into a persist-queue."""
    queue = _persist(folder)
    for name in names(count):
        queue.put(name)


def drain_persist(folder: Path) -> tuple[float, float, list[str]]:
    """Claim until nothing is left."""
    from persistqueue import Empty

    queue = _persist(folder)

    def get() -> Any:
        while True:
            try:
                return queue.get(block=False)
            except Empty:
                return None
            except sqlite3.OperationalError:  # busy: it has no timeout of its own
                continue

    return take_all(partial(_popped, get, str))
