"""Killing a function at each fault point in turn, and looking at what it leaves.

Runs in a process of its own that has no threads, and forks for each death: a thousand of them take
seconds.
"""

import os
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wfledger import faults

#: Exit status of a child whose function raised.
_RAISED = 70


def die_everywhere(
    folder: Path,
    prepare: Callable[[Path], None],
    act: Callable[[Path], object],
    verify: Callable[[Path], None],
    *,
    stride: int = 1,
) -> int:
    """Call *act* once for each fault point that it passes, dying there, and *verify* each time.

    Each death gets a folder of its own that *prepare* has filled. With a *stride* only each so many
    points are died at. Returns how many deaths there were.
    """
    model = folder / "model"
    model.mkdir(parents=True)
    prepare(model)
    deaths = 0
    while True:
        case = folder / f"case-{deaths}"
        shutil.copytree(model, case, symlinks=True)
        point = die_at(case, act, deaths * stride + 1)
        if point is None:
            verify(case)
            return deaths
        deaths += 1
        try:
            verify(case)
        except BaseException as error:
            error.add_note(f"after a death at {point}, number {deaths}, in {case}")
            raise
        shutil.rmtree(case)


def die_at(folder: Path, act: Callable[[Path], object], number: int) -> str | None:
    """Call *act* in a child that dies at its *number*th fault point; None when it got through."""
    trace = folder / "trace"
    trace.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _be_the_child(folder, act, f"trace:*:{trace};kill:*:{number}")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return trace.read_text().split()[-1]
    assert os.waitstatus_to_exitcode(status) == 0, "the function raised; see above"
    trace.unlink(missing_ok=True)
    return None


def die_in_turn(
    folder: Path, act: Callable[[Path], object], points: Sequence[str],
    *, trace: Path | None = None,
) -> int:  # fmt: skip
    """Call *act* again and again, each time dying at one of *points* until it gets through.

    By turns at the first that it passes, and at the first that it passes twice: for what is done
    again is passed again. Returns how many deaths there were; *trace* names what was passed.
    """
    deaths = 0
    while True:
        kills = (f"kill:{name}:{1 + deaths % 2}" for name in points)
        orders = ";".join([*([f"trace:*:{trace}"] if trace else []), *kills])
        child = os.fork()
        if child == 0:
            _be_the_child(folder, act, orders)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0, "the function raised; see above"
            return deaths
        deaths += 1


def _be_the_child(folder: Path, act: Callable[[Path], object], orders: str) -> None:
    status = _RAISED
    try:
        _arm(orders)
        act(folder)
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _arm(orders: str) -> None:
    module: Any = faults
    module.point = faults.armed(orders)
