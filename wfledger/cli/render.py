"""Text for people: tables, times, colours. What comes out of documents is made safe here.

Colour and live tables only where standard output is a terminal and the user has not said no
(https://no-color.org).
"""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Final

import click

from wfledger.core.text import clean, clean_line

#: Status -> colour of its name.
_COLOURS: Final = {
    "done": "green",
    "succeeded": "green",
    "landed": "green",
    "blocked": "red",
    "failed": "red",
    "degraded": "yellow",
    "waits": "yellow",
    "in-progress": "cyan",
    "running": "cyan",
    "merging": "blue",
    "pending": "yellow",
}


def is_fancy(stream: IO[str] | None = None) -> bool:
    """Whether *stream* (default: standard output) is a terminal that may be coloured."""
    out = sys.stdout if stream is None else stream
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    return out.isatty() and not dumb and not os.environ.get("NO_COLOR")


def say(text: str = "", *, err: bool = False) -> None:
    """Print a text that may come from a document."""
    click.echo(clean(text), err=err)


def status_name(name: str) -> str:
    """Return the name of a status or verdict, coloured where that is wanted."""
    colour = _COLOURS.get(name)
    return click.style(name, fg=colour) if colour and is_fancy() else name


def table(rows: Iterable[Sequence[str]], *, indent: str = "") -> list[str]:
    """Return *rows* as aligned lines; the last column is as wide as it is."""
    cells = [[clean_line(cell) for cell in row] for row in rows]
    if not cells:
        return []
    columns = max(len(row) for row in cells) - 1
    widths = [max(len(row[at]) for row in cells if at < len(row)) for at in range(columns)]
    return [
        indent + "  ".join([*map(str.ljust, row[:-1], widths), row[-1]]).rstrip() for row in cells
    ]


def ago(since: str | None, now: datetime) -> str:
    """Return how long ago *since* (ISO 8601) was, in the largest fitting unit; empty if unknown."""
    if since is None:
        return ""
    return span((now - datetime.fromisoformat(since)).total_seconds())


def span(seconds: float) -> str:
    """Return a duration for people: 8s, 3m, 2h05m, 4d."""
    whole = max(int(seconds), 0)
    if whole < 100:
        return f"{whole}s"
    if whole < 100 * 60:
        return f"{whole // 60}m"
    if whole < 48 * 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d"


def short(task_id: str, run_id: str | None = None) -> str:
    """Return a task's id without its run, where the run is *run_id*."""
    prefix = f"{run_id}."
    return task_id.removeprefix(prefix) if run_id else task_id


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"
