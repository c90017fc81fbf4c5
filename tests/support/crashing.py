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
    passes: Callable[[list[int]], list[int]] = list,
) -> int:
    """Call *act* once for each fault point that it passes, dying there, and *verify* each time.

    Each death gets a folder of its own that *prepare* has filled. *passes* may take fewer of the
    passes of a point, which are given as numbers. Returns how many deaths there were.
    """
    model = folder / "model"
    model.mkdir(parents=True)
    prepare(model)
    case = folder / "case-0"
    shutil.copytree(model, case, symlinks=True)
    found = _passed(case, act)
    verify(case)
    shutil.rmtree(case)
    deaths = 0
    for number in sorted(number for numbers in found.values() for number in passes(numbers)):
        case = folder / f"case-{number}"
        shutil.copytree(model, case, symlinks=True)
        point = die_at(case, act, number)
        deaths += point is not None
        try:
            verify(case)
        except BaseException as error:
            error.add_note(f"after a death at {point}, number {number}, in {case}")
            raise
        shutil.rmtree(case)
    return deaths


def first_and_last(numbers: list[int]) -> list[int]:
    """Return the first pass of a point and its last: of what is done over and over."""
    return sorted({numbers[0], numbers[-1]})


def _passed(folder: Path, act: Callable[[Path], object]) -> dict[str, list[int]]:
    """Call *act* in a child; return which of the points that it passed have which name."""
    trace = folder / "trace"
    child = os.fork()
    if child == 0:
        _be_the_child(folder, act, f"trace:*:{trace}")
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the function raised; see above"
    found: dict[str, list[int]] = {}
    for number, name in enumerate(trace.read_text().split() if trace.exists() else [], start=1):
        found.setdefault(name, []).append(number)
    trace.unlink(missing_ok=True)
    return found


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


def die_at_each(folder: Path, act: Callable[[Path], object], points: Sequence[str]) -> None:
    """Call *act* again and again, dying at the first pass of each of *points*; then once to its end.

    A point that is not passed fails, so *points* are in the order in which they are passed.
    """
    for name in (*points, None):
        child = os.fork()
        if child == 0:
            _be_the_child(folder, act, f"kill:{name}:1" if name else "")
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) == (name is not None), f"{name}: see above"


def die_on(folder: Path, act: Callable[[Path], object], name: str) -> bool:
    """Call *act* in a child that dies when it first passes *name*; False when it never did."""
    child = os.fork()
    if child == 0:
        _be_the_child(folder, act, f"kill:{name}")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the function raised; see above"
    return False


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
