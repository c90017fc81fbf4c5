"""The verbs `import` and `export`: tasks from other trackers, and for other programs."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.confirming import send
from wfledger.cli.render import plural, say, table
from wfledger.errors import UsageError

if TYPE_CHECKING:
    from wfledger.core.documents import Task
    from wfledger.run.exchange.imported import Imported
    from wfledger.run.exchange.taking import Taken, Terms

#: Lines of each list that people are shown.
_SHOWN: Final = 30
_OPTIONS: Final = (
    click.option("--worker", "role", metavar="ROLE",
                 help="Role that works on what is open there; else all is for whoever claims it."),
    click.option("--write", multiple=True, metavar="PATTERN",
                 help="Path that the tasks may write; repeat. Else they only read."),
    click.option("--target", metavar="BRANCH", help="Branch that the results are for."),
    click.option("--lenient", is_flag=True,
                 help="Leave out what cannot be read, and dependencies on what is not there."),
    click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing."),
    json_option,
)  # fmt: skip


@click.group("import")
def import_() -> None:
    """Take over the tasks of another tracker.

    They go into a run of their own. Text, order, dependencies and importance come along; what a
    task has no place for is kept in it under `imported`. What is done or dropped there is not
    imported, and nothing waits for it. What somebody is at there, or has put off, is for people
    even with --worker.

    All or nothing: with anything that cannot be read, a ring or a doubled id nothing is imported.
    Importing again adds what is new, brings the text of what still waits here up to date, and says
    what has become another there.
    """


def _terms(command: Callable[..., "Imported"]) -> Callable[..., None]:
    """Give a source the options that all have; it returns what it read."""

    @wraps(command)
    def taken_over(
        app: App, *, role: str | None, write: tuple[str, ...], target: str | None, lenient: bool,
        dry_run: bool, as_json: bool, **rest: Any,
    ) -> None:  # fmt: skip
        from wfledger.run.exchange.taking import Terms, take

        workspace = app.workspace
        imported = command(app, **rest)
        terms = Terms(role=role, write=write, target=target, lenient=lenient)
        taken = take(workspace, imported, terms, dry_run=dry_run)
        brought = {} if dry_run else send(app)
        if as_json:
            emit({"dry_run": dry_run, **taken.as_json(), **brought})
        else:
            _say(app, taken, terms, dry_run=dry_run)

    found: Callable[..., None] = pass_app(taken_over)
    for option in reversed(_OPTIONS):
        found = option(found)
    return found


def _place(app: App, path: Path) -> str:
    """Return the name of a source that stays, also in another clone if it lies in the checkout."""
    whole = Path(os.path.abspath(app.start / path))  # noqa: PTH100 - links are not followed
    main = app.workspace.main
    inside = whole.is_relative_to(main)
    return whole.relative_to(main).as_posix() if inside else whole.as_posix()


@import_.command("beads")
@click.argument("file", type=click.Path(path_type=Path))
@_terms
def beads(app: App, *, file: Path) -> "Imported":
    """Take over the issues of beads: .beads/issues.jsonl."""
    from wfledger.run.exchange import beads as source

    return source.read(app.start / file, place=_place(app, file))


@import_.command("claude-tasks")
@click.argument("task_list", metavar="[LIST]", required=False)
@_terms
def claude_tasks(app: App, *, task_list: str | None) -> "Imported":
    """Take over a task list of Claude Code: its name, a folder, or the only one there is.

    Lists lie in ~/.claude/tasks/; CLAUDE_CODE_TASK_LIST_ID and CLAUDE_CONFIG_DIR are heeded.
    """
    from wfledger.run.exchange import claude_tasks as source

    home = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    name = task_list or os.environ.get("CLAUDE_CODE_TASK_LIST_ID") or None
    folder = source.find(name, home / "tasks", start=app.start)
    return source.read(folder, place=_place(app, folder))


@import_.command("backlog")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_terms
def backlog(app: App, *, folder: Path) -> "Imported":
    """Take over the tasks of Backlog.md: a project's folder, or its backlog/."""
    from wfledger.run.exchange import backlog as source

    return source.read(app.start / folder, place=_place(app, folder))


@import_.command("taskmaster")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tag", metavar="NAME", help="Which list; else master, or the only one.")
@_terms
def taskmaster(app: App, *, file: Path, tag: str | None) -> "Imported":
    """Take over the tasks of task-master: .taskmaster/tasks/tasks.json."""
    from wfledger.run.exchange import taskmaster as source

    return source.read(app.start / file, tag=tag, place=_place(app, file))


def _say(app: App, taken: "Taken", terms: "Terms", *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    say(
        f"run {taken.run.id}: {plural(len(taken.added), 'task')} {would}added, "
        f"{len(taken.updated)} {would}updated, {len(taken.unchanged)} unchanged"
    )
    _rows([_row(task) for task in (*taken.added, *taken.updated)])
    if taken.skipped:
        say("not imported, and nothing waits for them:")
        _rows([(item.id, item.status, item.title) for item in taken.skipped])
    missing = [edge for edge in taken.settled if edge.status is None]
    if missing or taken.left_out:
        say("left out:")
        _rows([(edge.item, f"waits for {edge.on}, which is not there") for edge in missing])
        _rows([(one.where, one.message) for one in taken.left_out])
    if taken.kept:
        say("left as they are:")
        _rows([(one.task, one.reason) for one in taken.kept])
    if not dry_run and taken.added:
        say(_next(app, taken, terms), err=True)


def _row(task: "Task") -> tuple[str, ...]:
    origin = task.imported
    return (origin.id if origin else "", "→", task.id, origin.status if origin else "",
            task.spec.title)  # fmt: skip


def _rows(rows: list[tuple[str, ...]]) -> None:
    for line in table(rows[:_SHOWN], indent="  "):
        say(line)
    if len(rows) > _SHOWN:
        say(f"  and {len(rows) - _SHOWN} more; --json lists all")


def _next(app: App, taken: "Taken", terms: "Terms") -> str:
    if terms.role is not None:
        return app.goes_on(taken.run.id)
    first = next((task for task in taken.added if not task.spec.after), taken.added[0])
    return f"next: wfledger claim {first.id} --worktree"


@click.command("export")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--jsonl", is_flag=True, required=True, help="One line of JSON for each task.")
@click.option("--run", "run_name", metavar="RUN", help="Only the tasks of one run.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
@pass_app
def export(
    app: App, *, file: Path | None, jsonl: bool, run_name: str | None, force: bool, as_json: bool
) -> None:
    """Write every task out, one to a line: where it stands, what was asked, attempts, results.

    To FILE, whole or not at all, or to standard output. Tasks stand in the order of their ids.
    """
    from wfledger.run.exchange import exporting
    from wfledger.run.looks.naming import find_run

    del jsonl  # the only format; asked for by name, so that there can be others
    workspace = app.workspace
    run = find_run(workspace, run_name).id if run_name else None
    if file is None:
        if as_json:
            raise UsageError("--json says what was written to a FILE; give one")
        for line in exporting.lines(workspace, run=run):
            sys.stdout.buffer.write(line)
        return
    path = app.start / file
    count = exporting.write(workspace, path, run=run, replace=force)
    if as_json:
        emit({"file": str(file), "tasks": count})
    else:
        say(f"{plural(count, 'task')} in {file}")
