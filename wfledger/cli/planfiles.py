"""Reading a plan that a command line names."""

import sys
from pathlib import Path
from typing import NamedTuple

from wfledger.cli.render import say
from wfledger.clock import Clock
from wfledger.core import bounds
from wfledger.errors import PlanError, UsageError
from wfledger.plans.checking import Checked
from wfledger.plans.compiling import Plan


class Source(NamedTuple):
    """A plan's text and where it came from."""

    text: bytes
    name: str


def read_source(path: Path, *, start: Path) -> Source:
    """Read a plan file, named as seen from *start*, or standard input for `-`.

    Raises `UsageError` where that cannot be.
    """
    limit = bounds.PLAN_BYTES + 1
    if str(path) == "-":
        return Source(sys.stdin.buffer.read(limit), "standard input")
    try:
        with (start / path).open("rb") as file:
            return Source(file.read(limit), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def checked_source(source: Source, clock: Clock, *, lenient: bool) -> Checked:
    """Check a plan, in whatever language it is."""
    from wfledger.run.plantexts import check_plan

    return check_plan(source.text, source.name, lenient=lenient, clock=clock)


def say_problems(checked: Checked, source: str) -> None:
    """Print errors and warnings, each with its place, to standard error."""
    for title, problems in (("error", checked.errors), ("warning", checked.warnings)):
        for problem in problems:
            place = f"{source}:{problem.line}:{problem.column}" if problem.line else source
            said = problem.message.removeprefix(f"{place}: ")
            where = f" ({problem.pointer})" if problem.pointer else ""
            say(f"{place}: {title}: {said}{where} [{problem.kind}]", err=True)
    if checked.omitted:
        say(f"{source}: and {checked.omitted} more", err=True)


def plan_of(checked: Checked, source: str) -> Plan:
    """Return the plan; raises `PlanError`, after printing every error, where there is none."""
    if checked.plan is not None:
        return checked.plan
    checked = checked.placed()
    errors = [problem.as_json() for problem in checked.errors]
    first = checked.errors[0]
    raise PlanError(
        f"{source}: {first.message}", hint=f"wfledger check {source}", errors=errors,
    )
