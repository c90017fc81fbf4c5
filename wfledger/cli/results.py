"""The verbs that show what came of work: `diff`, `logs`, `history`. They change nothing."""

import codecs
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.machinetable import age_json, say_age
from wfledger.cli.render import is_fancy, plural, say, table
from wfledger.core.statuses import Status
from wfledger.core.text import clean, clean_line
from wfledger.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from wfledger.run.looks.changed import Difference
    from wfledger.run.looks.past import Happening

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
    from wfledger.run.looks.changed import difference, patch

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
@click.option("-f", "--follow", is_flag=True,
              help="Show what comes, from attempt to attempt, until the task is over.")  # fmt: skip
@click.option("--attempt", type=click.IntRange(1), help="Default: the last one with output.")
@click.option("--raw", is_flag=True, help="Print the bytes as they are, control characters too.")
@json_option
@pass_app
def logs(
    app: App, *, task_id: str, follow: bool, attempt: int | None, raw: bool, as_json: bool
) -> None:
    """Show an attempt's output; of very long output the first and the last part are kept."""
    full = _task_of(app, task_id)
    if follow and as_json:
        raise UsageError("--follow and --json exclude each other")
    if follow:
        _follow(app, full, attempt, raw=raw)
        return
    number, path = _log_of(app, full, attempt)
    if as_json:
        text = path.read_bytes().decode("utf-8", "replace")
        emit({"task": full, "attempt": number, "path": str(path), "text": text})
        return
    _print(_read(path), raw=raw)


def _task_of(app: App, name: str) -> str:
    """Return the task of that name; of a run, raise what says which of its tasks run."""
    from wfledger.run.looks.naming import find_run

    try:
        return app.task_id(name)
    except NotFoundError:
        try:
            run = find_run(app.workspace, name).id
        except NotFoundError:
            run = None
        if run is None:
            raise
        running = app.workspace.ledger.names(Status.IN_PROGRESS, run=run)
        hint = f"wfledger logs -f {running[0]}" if running else f"wfledger list --run {run}"
        raise NotFoundError(
            f"{name} is a run; logs are those of one task", hint=hint, run=run, running=running
        ) from None


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


def _follow(app: App, task_id: str, attempt: int | None, *, raw: bool) -> None:
    from wfledger.run.looks.following import Said, follow, follow_attempt

    pieces = (
        follow_attempt(app.workspace, task_id, attempt) if attempt
        else follow(app.workspace, task_id)
    )  # fmt: skip
    # Between two of them nothing of a line is held back for a next piece.
    for is_said, group in groupby(pieces, key=lambda piece: isinstance(piece, Said)):
        if is_said:
            for piece in group:
                say(piece.text if isinstance(piece, Said) else "", err=True)
        else:
            _print((piece for piece in group if isinstance(piece, bytes)), raw=raw)


def _print(chunks: Iterator[bytes], *, raw: bool) -> None:
    if raw:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        return
    for text in _lines(chunks):
        click.echo(clean(text), nl=False)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


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
    from wfledger.run.hub.machines import names
    from wfledger.run.looks.past import happenings

    task, run = _named(app, task_id) if task_id else (None, None)
    found = happenings(app.workspace, task=task, run=run, limit=limit)
    if as_json:
        emit({"changes": [one.as_json() for one in found], **age_json(app)})
        return
    called = names(app.workspace) if any(one.machine for one in found) else {}
    for line in table([_row(one, called) for one in found]):
        say(line)
    here = app.workspace.machine.id
    say_age(app, others=any(one.machine not in {None, "", here} for one in found))


def _named(app: App, name: str) -> tuple[str | None, str | None]:
    """Return the task or the run of that name."""
    from wfledger.run.looks.naming import find_run

    try:
        return app.task_id(name), None
    except NotFoundError:
        return None, find_run(app.workspace, name).id


def _row(one: "Happening", called: Mapping[str, str]) -> tuple[str, ...]:
    moved = f"{one.source or 'new'} -> {one.target}" if one.source != one.target else one.target
    where = [called.get(one.machine or "", one.machine or "")] if called else []
    return one.at, one.task, moved, f"#{one.attempt}", *where, one.by, clean_line(one.why)
