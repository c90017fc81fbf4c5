"""The verbs that look: `status`, `list`, `show`, `why`. They change nothing and take no lock."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.machinetable import age_json, machine_rows, remote_lines, say_age
from wfledger.cli.render import ago, plural, say, short, status_name, table
from wfledger.cli.together import say_together
from wfledger.core.statuses import Status
from wfledger.core.tally import total
from wfledger.core.text import clean_line
from wfledger.errors import UsageError

if TYPE_CHECKING:
    from wfledger.core.documents import Result, Task
    from wfledger.core.routes import Routed
    from wfledger.run.looks.overview import Overview, RunLine, Working

#: Lines of one kind that `status` shows.
_SHOWN: Final = 20
#: Characters of a run's goal in a table.
_GOAL: Final = 50
_STATUSES: Final = tuple(status.value for status in Status)


@click.command("status")
@click.argument("run", required=False)
@json_option
@pass_app
def status(app: App, *, run: str | None, as_json: bool) -> None:
    """Count tasks and runs; say who works and what waits for you."""
    from wfledger.run.looks.costs import spent_line
    from wfledger.run.looks.naming import find_run
    from wfledger.run.looks.overview import overview

    workspace = app.workspace
    found = overview(workspace, find_run(workspace, run) if run else None)
    if as_json:
        emit(found.as_json())
        return
    _say_counts(found)
    _say_runs(found, every=run is not None)
    used = [(one.who, plural(one.spent.attempts, "attempt"), spent_line(one.spent))
            for one in found.shares[:_SHOWN]]  # fmt: skip
    _say_table("used:", used, len(found.shares))
    now = app.clock.now()
    _say_remote(found, now)
    _say_table("at work:", [_at_work(one, now) for one in found.working[:_SHOWN]],
               len(found.working))  # fmt: skip
    needs = [(need.task, need.code, need.command) for need in found.needs[:_SHOWN]]
    _say_table("waiting for you:", needs, len(found.needs))


def _say_counts(found: "Overview") -> None:
    counts = [f"{count} {status_name(name)}" for name, count in found.counts.items() if count]
    # The names are ours, and coloured; nothing of a document is in this line.
    click.echo(", ".join(counts) or "no tasks")
    failed = failures_line(total(line.failures for line in found.runs))
    if failed and sum(1 for line in found.runs if line.failures) > 1:
        say(f"failed attempts: {failed}")
    if found.paused is not None:
        say(f"paused: {found.paused}; to go on: {found.resumes}")
    if found.short_of is not None:
        say(f"starts nothing more here: {found.short_of}")
    for shut in found.shut:
        say(f"nothing more is started on {shut.provider}: {shut.what}; {shut.command}")
    if found.quarantined:
        say(f"in quarantine: {plural(found.quarantined, 'file')}; why: wfledger doctor")


def _say_remote(found: "Overview", now: datetime) -> None:
    if found.remote is None:
        return
    for line in remote_lines(found.remote, len(found.machines)):
        say(line)
    _say_table("machines:", machine_rows(found.machines[:_SHOWN], now), len(found.machines))


def _say_runs(found: "Overview", *, every: bool) -> None:
    shown = [line for line in found.runs if every or line.run.state != "landed"]
    rows = [_run_row(line) for line in shown[-_SHOWN:]]
    _say_table("runs:", rows, len(shown))
    landed = len(found.runs) - len(shown)
    if landed:
        say(f"  {plural(landed, 'run')} landed")


def _run_row(line: "RunLine") -> tuple[str, ...]:
    from wfledger.run.looks.costs import spent_line

    run = line.run
    done = f"{line.counts[Status.DONE.value]}/{line.total}"
    found = line.found
    if found is not None and found.due != found.total:
        done += f" ({found.covered} of {found.due} due)"
    state = run.state if run.state != "open" else line.verdict or "open"
    if line.is_idle:
        state = f"nobody works on it: wfledger run {run.id} (or wfledger daemon)"
    failed = failures_line(line.failures)
    more = [f"failed attempts: {failed}"] if failed else []
    more += [f"used: {spent_line(line.spent)}"] if line.spent is not None else []
    more += [f"takes results of {run.reuses[0]}"] if run.reuses else []
    return run.id, clean_line(run.name or run.goal, _GOAL), done, "; ".join([state, *more])


def _at_work(one: "Working", now: datetime) -> tuple[str, ...]:
    doing = one.doing
    return doing.task.id, doing.worker or "?", ago(one.since, now), doing.state.value, doing.text


def failures_line(counts: Mapping[str, int]) -> str:
    """Return counts of failed attempts for people; empty when there are none."""
    said = {"scope": "out of scope"}
    return ", ".join(f"{count} {said.get(kind, kind)}" for kind, count in counts.items() if count)


def _say_table(title: str, rows: Sequence[Sequence[str]], total: int) -> None:
    if not rows:
        return
    say(title)
    for line in table(rows, indent="  "):
        say(line)
    if total > len(rows):
        say(f"  and {total - len(rows)} more")


@click.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES),
              help="Only tasks that stand there; may be given more than once.")  # fmt: skip
@click.option("--run", metavar="RUN", help="Only tasks of that run.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True)
@click.option("--after", metavar="ID", default="", help="Begin after that task.")
@json_option
@pass_app
def list_(
    app: App, *, statuses: tuple[str, ...], run: str | None, limit: int, after: str, as_json: bool
) -> None:
    """List tasks in the order of their ids."""
    from wfledger.run.looks.doing import Watcher, with_state
    from wfledger.run.looks.naming import find_run
    from wfledger.run.looks.overview import page

    workspace = app.workspace
    entries, more = page(
        workspace, statuses=[Status(name) for name in statuses or _STATUSES],
        run=find_run(workspace, run).id if run else None, limit=limit, after=after,
    )  # fmt: skip
    watcher = Watcher(workspace)
    if as_json:
        shown = [with_state(entry, watcher) for entry in entries]
        emit({"tasks": shown, "next": more, **age_json(app)})
        return
    used = [watcher.costs.task(entry.task.id) for entry in entries]
    where = [watcher.machine(entry.task) for entry in entries]
    rows = [
        (entry.task.id, entry.status.value, *([machine] if any(where) else []),
         *([cost] if any(used) else []), _title(entry.task))
        for entry, cost, machine in zip(entries, used, where, strict=True)
    ]  # fmt: skip
    for line in table(rows):
        say(line)
    say_age(app, others=any(watcher.is_elsewhere(entry.task) for entry in entries))
    if more is not None:
        say(f"there are more: --after {more}", err=True)


def _title(task: "Task") -> str:
    from wfledger.core.progress import described

    spec = task.spec
    command = spec.command if isinstance(spec.command, str) else " ".join(spec.command or ())
    return clean_line(spec.title or spec.prompt or command or described(spec), 80)


@click.command("show")
@click.argument("task_id", metavar="ID", required=False)
@click.option("--brief", "is_brief", is_flag=True,
              help="In at most 6,000 bytes, for a session that has just begun.")  # fmt: skip
@json_option
@pass_app
def show(app: App, *, task_id: str | None, is_brief: bool, as_json: bool) -> None:
    """Show a task, its attempts and its last result.

    With --brief and without ID: the task that you hold, by WFLEDGER_TASK and WFLEDGER_TOKEN or by
    the worktree that you stand in; else what is ready, and how to begin.
    """
    from wfledger.run.looks.doing import Watcher, last_result, with_state

    if is_brief:
        _show_brief(app, task_id, as_json=as_json)
        return
    if task_id is None:
        raise UsageError("which task? Name it, or ask for --brief")
    workspace = app.workspace
    entry = workspace.ledger.get(app.task_id(task_id))
    task = entry.task
    result = last_result(workspace, task)
    watcher = Watcher(workspace)
    if as_json:
        shown = result.model_dump(mode="json", by_alias=True) if result else None
        emit({"task": with_state(entry, watcher), "result": shown, **age_json(app)})
        return
    click.echo(f"{task.id}: {status_name(entry.status.value)}")
    facts = [*_facts(task), ("machine", watcher.machine(task))]
    rows = [(name, value) for name, value in facts if value]
    for line in table(rows, indent="  "):
        say(line)
    if task.spec.prompt:
        say("prompt:")
        say(_indented(task.spec.prompt))
    _say_attempts(task)
    used = watcher.costs.task(task.id)
    if used:
        say(f"used: {used}")
    if result is not None:
        _say_result(result)
    if task.block is not None and entry.status is Status.BLOCKED:
        say(f"blocked ({task.block.code}): {task.block.reason}")
        say(f"  {task.block.command}")
    say_age(app, others=watcher.is_elsewhere(task))


def _show_brief(app: App, task_id: str | None, *, as_json: bool) -> None:
    from wfledger.run.looks.brief import Holding, brief

    named, token = os.environ.get("WFLEDGER_TASK"), os.environ.get("WFLEDGER_TOKEN")
    holding = Holding(named, token) if named and token else None
    found = brief(
        app.workspace, task_id=app.task_id(task_id) if task_id else None, holding=holding
    )
    if as_json:
        emit(found.as_json())
        return
    say(found.text)


def _facts(task: "Task") -> list[tuple[str, str]]:
    from wfledger.core.progress import described, progress

    spec = task.spec
    command = spec.command if isinstance(spec.command, str) else " ".join(spec.command or ())
    landed = task.landed.commit if task.landed else None
    return [
        ("title", spec.title),
        ("command", command),
        ("decides", described(spec)),
        ("so far", progress(spec, task.control)),
        ("worker", spec.role or ("anybody" if spec.manual else "")),
        ("may write", ", ".join(spec.write) or ("" if spec.control else "nothing")),
        ("labels", ", ".join(spec.contracts)),
        ("after", ", ".join(short(name, task.run) for name in spec.after)),
        ("added by", spec.parent or ""),
        ("created", task.created),
        ("missing", ", ".join(task.missing)),
        ("landed", landed or ""),
        ("answers", " / ".join(task.answers)),
    ]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())


def _say_attempts(task: "Task") -> None:
    rows = [
        (f"attempt {one.number}", one.outcome, one.worker, one.ended, one.message)
        for one in task.attempts
    ]
    for line in table(rows, indent="  "):
        say(line)


def _say_result(result: "Result") -> None:
    if result.reused is not None:
        say(f"reused from {result.reused.task}, attempt {result.reused.attempt}")
    if result.summary:
        say("summary:")
        say(_indented(result.summary))
    say_together(result)
    for changed in result.changed[:_SHOWN]:
        mark = "" if changed.in_scope else "  (out of scope)"
        say(f"  {changed.kind} {changed.path}{mark}")
    if len(result.changed) > _SHOWN:
        say(f"  and {plural(len(result.changed) - _SHOWN, 'more path')}")
    if result.route is not None:
        _say_route(result.route)
    if result.confined is not None:
        network = "network" if result.confined.network else "no network"
        kept: str = result.confined.sandbox
        if kept == "own" and (result.agent or {}).get("adapter") == "model":
            kept = "none (it could run no commands)"
        say(f"sandbox: {kept}, {network}, in a {result.confined.isolation}")


def _say_route(route: "Routed") -> None:
    """Say which model it was, by whose word, and why those before it were not taken."""
    words = {"primary": "the task's own", "role_default": "of its role", "fallback": "a fallback"}
    if route.model is not None:
        name = f"{route.provider}/{route.model}" if route.provider else route.model
        say(f"model: {name}, {words[route.source]}")
    for one in route.rejected:
        say(f"  not {one.candidate}: {one.why}")


@click.command("why")
@click.argument("task_id", metavar="ID")
@json_option
@pass_app
def why(app: App, *, task_id: str, as_json: bool) -> None:
    """Say what a task waits for, who holds that, since when, and the command that ends it."""
    from wfledger.run.looks.explain import explain

    found = explain(app.workspace, app.task_id(task_id))
    if as_json:
        emit(found.as_json() | age_json(app))
        return
    lasting = _lasting(found.since)
    click.echo(f"{found.task} is {status_name(found.status.value)}{lasting}")
    say(_indented(found.reason))
    for wait in found.waits_for:
        holder = f", {wait.holder} works on it" if wait.holder else ""
        say(f"  {wait.task} is {wait.status}{holder}{_lasting(wait.since)}")
    if found.root is not None:
        say(f"behind it: {found.root.task}, {found.root.status}")
        say(_indented(found.root.reason))
    if found.command is not None:
        say(f"to end that: {found.command}")


def _lasting(since: str | None) -> str:
    return f" for {ago(since, datetime.now(UTC))} (since {since})" if since else ""
