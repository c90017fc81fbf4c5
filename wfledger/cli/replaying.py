"""The verb that decides again from the records: `replay`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.planfiles import checked_source, plan_of, read_source, say_problems
from wfledger.cli.render import plural, say
from wfledger.core import bounds
from wfledger.errors import LiveReplayUnavailableError, PlanError, UsageError

if TYPE_CHECKING:
    from wfledger.plans.traces import Execution
    from wfledger.run.replay.replaying import Report

_FILE = click.Path(path_type=Path, allow_dash=True)


@click.command("replay")
@click.argument("run", required=False)
@click.option("--plan", "file", type=_FILE, metavar="FILE",
              help="Decide as this plan would, from what RUN has recorded.")  # fmt: skip
@click.option("--worker", "role", metavar="ROLE",
              help="With --plan: role of prompts that name none.")  # fmt: skip
@click.option("--trace", type=_FILE, metavar="FILE",
              help="A trace that the original recorded, of the workflow of --plan.")  # fmt: skip
@click.option("--live", is_flag=True, help="Ask models for what is not on record: not offered.")
@json_option
@pass_app
def replay(
    app: App, *, run: str | None, file: Path | None, role: str | None, trace: Path | None,
    live: bool, as_json: bool,
) -> int:  # fmt: skip
    """Decide again, from the records alone, whatever a run has decided, and say what differs.

    Conditions, items, rounds, gates, reductions and choices are worked out anew; nothing is
    started and nothing is changed. With --plan as that plan has them: prompts and commands whose
    results are not on record differ, too. What has no record differs; it never ends the replay.

    Exit status 0: all the same. 1: something differs.
    """
    if live:
        raise LiveReplayUnavailableError(
            "a replay asks nobody; what is not on record differs",
            hint=f"wfledger replay {run}" if run else "wfledger replay RUN",
        )
    if role is not None and file is None:
        raise UsageError("--worker belongs to --plan")
    if trace is not None:
        return _of_trace(app, run, file, trace, as_json=as_json)
    if run is None:
        raise UsageError("which run? Name it, or a trace with --trace", hint="wfledger status")
    return _of_run(app, run, file, role, as_json=as_json)


def _of_run(
    app: App, name: str, file: Path | None, role: str | None, *, as_json: bool
) -> int:
    from wfledger.run.looks.naming import find_run
    from wfledger.run.replay import replaying

    plan = None
    if file is not None:
        source = read_source(file, start=app.start)
        checked = checked_source(source, app.clock, lenient=False)
        plan = plan_of(checked, source.name)
        say_problems(checked, source.name)
    workspace = app.workspace
    found = replaying.replay(workspace, find_run(workspace, name), plan, role=role)
    if as_json:
        emit(found.as_json())
    else:
        _say_report(found)
    return int(found.diverged)


def _say_report(found: "Report") -> None:
    for one in found.divergences:
        say(f"{one.task} ({one.kind}): {one.message}")
        if one.recorded is not None or one.now is not None:
            say(f"  recorded: {one.recorded}")
            say(f"  now:      {one.now}")
    again = f"{plural(found.decisions, 'decision')} of {plural(found.controllers, 'controller')}"
    many = len(found.divergences)
    say(f"{again} made again: {plural(many, 'difference') if many else 'all the same'}")


def _of_trace(
    app: App, run: str | None, file: Path | None, trace: Path, *, as_json: bool
) -> int:
    from wfledger.plans.traces import read_trace, replay_trace

    if run is not None or file is None:
        raise UsageError(
            "a trace is replayed over its workflow, not over a run",
            hint=f"wfledger replay --trace {trace} --plan WORKFLOW",
        )
    recorded = read_trace(read_source(trace, start=app.start).text[: bounds.PLAN_BYTES])
    found = replay_trace(_document(app, file), recorded)
    if as_json:
        emit(found.as_json())
    else:
        _say_execution(found)
    return int(found.diverged)


def _document(app: App, file: Path) -> dict[str, Any]:
    """Return a workflow as it is written, whatever is wrong with it as a plan of ours."""
    source = read_source(file, start=app.start)
    checked = checked_source(source, app.clock, lenient=True)
    if not isinstance(checked.document, dict) or "nodes" not in checked.document:
        first = checked.errors[0].message if checked.errors else "it has no nodes"
        raise PlanError(f"{source.name}: {first}", hint=f"wfledger check {source.name}")
    return checked.document


def _say_execution(found: "Execution") -> None:
    for one in found.leaf_results:
        say(f"{one['leaf_id']}: {one.get('status', 'succeeded')}")
    for one in found.control_node_results:
        say(f"{one['node_id']} ({one['kind']}): {one.get('status', 'succeeded')}")
    missing = f", no record of {', '.join(found.missing[:20])}" if found.missing else ""
    say(f"{found.status}{missing}")
