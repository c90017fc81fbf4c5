"""The verbs that look at a plan before it runs: `check` and `plan`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wfledger.cli.card import card_of, show
from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.launching import Limits, launch_options, launch_problems, require_launch
from wfledger.cli.planfiles import checked_source, plan_of, read_source, say_problems
from wfledger.cli.render import plural, say
from wfledger.cli.reusing import say_diff
from wfledger.errors import InvalidDocumentError, NoLedgerError, RepositoryError, UsageError
from wfledger.plans.checking import Checked
from wfledger.plans.compiling import Plan
from wfledger.plans.expand import expand_checked
from wfledger.plans.picture import Picture, draw
from wfledger.plans.problems import REPORTED, Problem

if TYPE_CHECKING:
    from wfledger.run.staffing import Staffed
    from wfledger.run.submit import Neighbour

_FILE: Final = click.Path(path_type=Path, allow_dash=True)
#: Steps, tasks of a step, collisions and paths that people are shown.
_SHOWN: Final = 12


@click.command("check")
@click.argument("files", metavar="FILE...", type=_FILE, nargs=-1, required=True)
@click.option("--lenient", is_flag=True, help="Warn of unknown fields instead of refusing them.")
@json_option
@pass_app
def check(app: App, *, files: tuple[Path, ...], lenient: bool, as_json: bool) -> int:
    """Say everything that is wrong with plans, at once.

    Plans are YAML, JSON, TOML, `.workflow.js`, `.workflow.ts`, `.star`, and Fleet task documents.
    In a repository with a ledger it warns of prompts that nobody of its fleet would do.

    Exit status 0: all can be run. 7: one has errors.
    """
    looked = [_looked_at(app, file, several=len(files) > 1, lenient=lenient) for file in files]
    if as_json:
        shown = [one.as_json() for one in looked]
        ok = all(one.checked.ok for one in looked)
        emit(shown[0] if len(files) == 1 else {"ok": ok, "files": shown})
    else:
        for one in looked:
            one.say()
    return 0 if all(one.checked.ok for one in looked) else InvalidDocumentError.exit_status


@dataclass(frozen=True)
class _Looked:
    """A plan that was looked at, and who would do its prompts."""

    name: str
    checked: Checked
    staff: Sequence["Staffed | str"]
    #: Whether it is one of several.
    named: bool

    def as_json(self) -> dict[str, Any]:
        name = {"file": self.name} if self.named else {}
        routes = {"routes": _routes(self.staff)} if self.staff else {}
        return name | self.checked.as_json() | routes

    def say(self) -> None:
        say_problems(self.checked, self.name)
        if self.checked.plan is not None and self.checked.ok:
            say(f"{self.name} is a plan of {plural(len(self.checked.plan.tasks), 'task')}")
            _show_staff(self.staff)


def _looked_at(app: App, file: Path, *, several: bool, lenient: bool) -> _Looked:
    source = read_source(file, start=app.start)
    checked = checked_source(source, app.clock, lenient=lenient).placed()
    staff = _staff(app, checked.plan) if checked.plan is not None else ()
    # Whether a document is sound does not depend on where it is checked: `run` refuses the rest.
    of_place = (*launch_problems(checked.plan), *_unstaffed(staff))
    left = max(0, len(of_place) - REPORTED)
    checked = replace(
        checked, warnings=(*checked.warnings, *of_place[:REPORTED]), omitted=checked.omitted + left
    )
    return _Looked(source.name, checked, staff, named=several)


@click.command("plan")
@click.argument("file", type=_FILE)
@click.option("--expand", is_flag=True, help="Print the plan as phases, with everything spelt out.")
@click.option("--lenient", is_flag=True, help="Warn of unknown fields instead of refusing them.")
@click.option("--target", metavar="BRANCH", help="Branch that the results are for.")
@click.option("--diff", metavar="RUN", multiple=True,
              help="Say instead what would run again after RUN, and why; last: after the newest "
              "run of this plan.")  # fmt: skip
@click.option("--base", metavar="REV", help="With --diff: start there, and not where RUN started.")
@click.option("--worker", "role", metavar="ROLE",
              help="With --diff: role of prompts that name none.")  # fmt: skip
@launch_options
@json_option
@pass_app
def plan(
    app: App, *, file: Path, expand: bool, lenient: bool, target: str | None,
    diff: tuple[str, ...], base: str | None, role: str | None, limits: Limits, as_json: bool,
) -> None:  # fmt: skip
    """Show what a plan would do, before anything runs: order, width, who waits for whom."""
    if (base or role) and not diff:
        raise UsageError("--base and --worker belong to --diff", hint=f"wfledger plan {file}")
    source = read_source(file, start=app.start)
    checked = checked_source(source, app.clock, lenient=lenient)
    if expand:
        click.echo(expand_checked(checked, lenient=lenient), nl=False)
        return
    found = plan_of(checked, source.name)
    require_launch(found, limits, source.name)
    if diff:
        from wfledger.run.submit import Submission

        text = source.text.decode("utf-8", "replace")
        asked = Submission(found, text, source.name, role=role)
        say_diff(app, asked, diff, base=base, as_json=as_json)
        return
    picture = draw(found)
    staff = _staff(app, found)
    lands, neighbours = _surroundings(app, found, target)
    card = card_of(app.workspace, found, None) if lands is not None else None
    if as_json:
        emit(
            {
                "goal": found.goal,
                **picture.as_json(),
                "warnings": [problem.as_json() for problem in checked.warnings],
                "target": lands,
                "routes": _routes(staff),
                "card": card.as_json() if card is not None else None,
                "neighbours": [
                    {"run": one.run.id, "name": one.run.name, "paths": list(one.paths)}
                    for one in neighbours
                ],
            }
        )
        return
    say_problems(checked, source.name)
    _show(found, picture)
    _show_staff(staff)
    _show_landing(found, lands)
    if card is not None:
        show(card)
    for one in neighbours:
        named = f" ({one.run.name})" if one.run.name else ""
        say(f"run {one.run.id}{named} has not landed and changed {_some(one.paths)}, which this "
            f"plan may write: wfledger land {one.run.id} first, or expect conflicts")  # fmt: skip


def _staff(app: App, found: Plan) -> Sequence["Staffed | str"]:
    """Return who would do each prompt; nothing where there is no ledger, and so no fleet."""
    from wfledger.run.staffing import staffed

    try:
        fleet = app.workspace.fleet()
    except (NoLedgerError, RepositoryError):
        return ()
    return tuple(staffed(found, fleet, None))


def _unstaffed(staff: Sequence["Staffed | str"]) -> list[Problem]:
    said = (one if isinstance(one, str) else one.problem for one in staff)
    return [Problem("unstaffed", text, "") for text in said if text is not None]


def _routes(staff: Sequence["Staffed | str"]) -> list[dict[str, Any]]:
    return [one.as_json() for one in staff if not isinstance(one, str)]


def _show_staff(staff: Sequence["Staffed | str"]) -> None:
    for one in staff[:_SHOWN]:
        said = one if isinstance(one, str) else f"{one.node} is done by {one.text}{_why(one)}"
        say(f"  {said}")
    if len(staff) > _SHOWN:
        say(f"  and {plural(len(staff) - _SHOWN, 'more prompt')}")


def _why(one: "Staffed") -> str:
    """Return why it is that role, where the plan does not simply name it or leave it open."""
    return f", for {one.why}" if "the role " in one.why else ""


def _surroundings(
    app: App, found: Plan, target: str | None
) -> tuple[str | None, Sequence["Neighbour"]]:
    """Return the target branch and the runs in the way; neither where there is no ledger."""
    from wfledger.run.refnames import HEADS
    from wfledger.run.submit import target_branch, unlanded_neighbours

    try:
        workspace = app.workspace
        branch = target_branch(workspace, target).removeprefix(HEADS)
    except (NoLedgerError, RepositoryError, UsageError):
        if target is not None:
            raise
        return None, ()
    return branch, unlanded_neighbours(workspace, [task.spec for task in found.every])


def _show(found: Plan, picture: Picture) -> None:
    if found.goal:
        say(found.goal)
    kinds = [plural(picture.tasks, "task"), plural(picture.agents, "agent"),
             plural(picture.writers, "writer")]  # fmt: skip
    say(", ".join(kinds))
    if found.launch is not None:
        levels = plural(found.launch.depth, "level")
        say(f"starts at most {plural(found.launch.total, 'agent')}, {levels} deep")
    if picture.depth:
        say(f"depth {picture.depth}, width {picture.width}; "
            f"the longest chain: {_some(picture.critical_path, ' -> ')}")  # fmt: skip
    for number, step in enumerate(picture.steps[:_SHOWN], 1):
        say(f"  step {number}: {_some(step)}")
    if len(picture.steps) > _SHOWN:
        say(f"  and {plural(len(picture.steps) - _SHOWN, 'more step', 'more steps')}")
    for contact in picture.collisions[:_SHOWN]:
        say(f"{contact.left} and {contact.right} both may write {contact.witness}: "
            "one waits for the other")  # fmt: skip
    rest = picture.collision_count - len(picture.collisions[:_SHOWN])
    if rest > 0:
        say(f"and {plural(rest, 'more such pair', 'more such pairs')}")
    for hint in picture.hints:
        say(f"hint: {hint}")


def _show_landing(found: Plan, lands: str | None) -> None:
    writers: list[Any] = [task for task in found.every if task.spec.write]
    for task in writers[:_SHOWN]:
        say(f"  {task.given} may write {_some(task.spec.write)}")
    if len(writers) > _SHOWN:
        say(f"  and {plural(len(writers) - _SHOWN, 'more writer')}")
    if lands is not None:
        say(f"results land on a branch of the run, wf/RUN; wfledger land brings them to {lands}")


def _some(names: Sequence[str], between: str = ", ") -> str:
    shown = between.join(names[:_SHOWN])
    rest = len(names) - _SHOWN
    return f"{shown}{between}… ({rest} more)" if rest > 0 else shown
