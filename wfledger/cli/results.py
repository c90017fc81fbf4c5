"""The verbs that show what came of work: `diff`, `logs`, `history`. They change nothing."""

import codecs
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.render import is_fancy, plural, say, table
from wfledger.core.statuses import Status
from wfledger.core.text import clean, clean_line
from wfledger.errors import NotFoundError

if TYPE_CHECKING:
    from wfledger.clock import Clock
    from wfledger.run.changed import Difference
    from wfledger.run.past import Happening

#: Pause between two looks at a log that is followed.
_LOOK_S: Final = 0.2
_CHUNK: Final = 1 << 16
_COLOURS: Final = {"+": "green", "-": "red", "@": "cyan"}


@click.command("diff")
@click.argument("task_id", metavar="ID")
@click.option("--attempt", type=click.IntRange(1), help="Default: the last one.")
@click.option("--patch", "as_patch", is_flag=True, help="Print the bare patch, byte for byte.")
@json_option
@pass_app
def diff(app: App, *, task_id: str, attempt: int | None, as_patch: bool, as_json: bool) -> None:
    """Show what an attempt changed, and what of that is out of its scope."""
    from wfledger.run.changed import difference, patch

    workspace = app.workspace
    found = difference(workspace, app.task_id(task_id), attempt)
    raw = patch(workspace, found)
    if as_json:
        emit({**found.as_json(), "patch": raw.decode("utf-8", "replace")})
        return
    if as_patch:
        sys.stdout.buffer.write(raw)
        return
    _say_changed(found)
    for line in clean(raw.decode("utf-8", "replace")).splitlines():
        colour = _COLOURS.get(line[:1]) if is_fancy() else None
        click.echo(click.style(line, fg=colour) if colour else line)


def _say_changed(found: "Difference") -> None:
    paths = plural(len(found.changed), "path")
    say(f"attempt {found.attempt} of {found.task} changed {paths}")
    rows = [
        (one.kind, one.path, "" if one.in_scope else "OUT OF SCOPE")
        for one in sorted(found.changed, key=lambda one: one.in_scope)
    ]
    for line in table(rows, indent="  "):
        say(line)


@click.command("logs")
@click.argument("task_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the attempt is over.")
@click.option("--attempt", type=click.IntRange(1), help="Default: the last one with output.")
@click.option("--raw", is_flag=True, help="Print the bytes as they are, control characters too.")
@json_option
@pass_app
def logs(
    app: App, *, task_id: str, follow: bool, attempt: int | None, raw: bool, as_json: bool
) -> None:
    """Show an attempt's output; of very long output the first and the last part are kept."""
    full = app.task_id(task_id)
    number, path = _log_of(app, full, attempt)
    if as_json:
        text = path.read_bytes().decode("utf-8", "replace")
        emit({"task": full, "attempt": number, "path": str(path), "text": text})
        return
    goes_on = _runs(app, full, number) if follow else _ended
    chunks = _read(path, goes_on, app.clock)
    if raw:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        return
    for text in _lines(chunks):
        click.echo(clean(text), nl=False)


def _log_of(app: App, task_id: str, attempt: int | None) -> tuple[int, Path]:
    """Return the attempt that is meant and the path of its output."""
    layout = app.workspace.ledger.layout
    present = app.workspace.ledger.get(task_id).task.attempt
    for number in [attempt] if attempt else range(present, 0, -1):
        path = layout.log(task_id, number)
        if path.is_file():
            return number, path
    which = f"attempt {attempt} of {task_id}" if attempt else task_id
    raise NotFoundError(
        f"{which} has no output on this machine", hint=f"wfledger why {task_id}", task=task_id
    )


def _runs(app: App, task_id: str, attempt: int) -> Callable[[], bool]:
    def goes_on() -> bool:
        entry = app.workspace.ledger.find(task_id)
        if entry is None or entry.status is not Status.IN_PROGRESS:
            return False
        return entry.task.attempt == attempt

    return goes_on


def _ended() -> bool:
    return False


def _read(path: Path, goes_on: Callable[[], bool], clock: "Clock") -> Iterator[bytes]:
    """Yield what is in the file and what is appended to it as long as *goes_on*."""
    offset = 0
    with path.open("rb", buffering=0) as file:
        while True:
            going = goes_on()  # asked before the look, so that the last bytes are not missed
            # The runtime drops the middle of long output in place; what follows is shown.
            offset = min(offset, path.stat().st_size)
            file.seek(offset)
            while chunk := file.read(_CHUNK):
                offset += len(chunk)
                yield chunk
            if not going:
                return
            clock.wait(_LOOK_S)


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield whole lines, so that no escape sequence is cut in two and so gets through."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    for chunk in chunks:
        text, newline, rest = (rest + decoder.decode(chunk)).rpartition("\n")
        if newline:
            yield text + newline
    if rest:
        yield rest + "\n"


@click.command("history")
@click.argument("task_id", metavar="[ID|RUN]", required=False)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@json_option
@pass_app
def history(app: App, *, task_id: str | None, limit: int, as_json: bool) -> None:
    """Show how things came about, oldest first: of a task, of a run, or of everything."""
    from wfledger.run.past import happenings

    task, run = _named(app, task_id) if task_id else (None, None)
    found = happenings(app.workspace, task=task, run=run, limit=limit)
    if as_json:
        emit({"changes": [one.as_json() for one in found]})
        return
    for line in table([_row(one) for one in found]):
        say(line)


def _named(app: App, name: str) -> tuple[str | None, str | None]:
    """Return the task or the run of that name."""
    from wfledger.run.naming import find_run

    try:
        return app.task_id(name), None
    except NotFoundError:
        return None, find_run(app.workspace, name).id


def _row(one: "Happening") -> tuple[str, ...]:
    moved = f"{one.source or 'new'} -> {one.target}" if one.source != one.target else one.target
    return one.at, one.task, moved, f"#{one.attempt}", one.by, clean_line(one.why)
