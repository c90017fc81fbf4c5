"""A thread of its own for each piece of long work, with its end as a future.

A pool queues what it has no thread for, so that work which could not be started may still run
later, when its caller has given it up. Here it either runs or `RuntimeError` is raised.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_thread(name: str, work: Callable[[], T], *, then: Callable[[], object]) -> "Future[T]":
    """Run *work* in a new thread and call *then* there when it has ended, however it did.

    Raises `RuntimeError` when the system allows no more threads; *work* then never runs.
    """
    future: Future[T] = Future()

    def body() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever reads the future raises it
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            then()

    threading.Thread(target=body, name=name).start()
    return future
