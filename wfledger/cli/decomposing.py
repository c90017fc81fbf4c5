"""The verb `decompose`: from a sentence to a plan, drafted by a model, in a file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.render import plural, say
from wfledger.errors import PlanError, UsageError

if TYPE_CHECKING:
    from wfledger.core.usage import Usage
    from wfledger.run.goals.asking import Asker
    from wfledger.run.goals.drafting import Draft
    from wfledger.vcs.contents import Contents

_FILE: Final = "plan.yaml"
#: Options that `goal` has too.
ROLE: Final = click.option(
    "--worker", "role", metavar="ROLE", help="Role that does the tasks; else the default one."
)
VERIFY: Final = click.option(
    "--verify", multiple=True, metavar="COMMAND", help="Must pass on each result; repeat."
)
MAX_TASKS: Final = click.option(
    "--max-tasks", type=click.IntRange(1, 100), default=12, show_default=True,
    help="At most so many tasks in a plan.",
)  # fmt: skip
_EXAMPLES: Final = """\b
For example:
  wfledger decompose "Port the config layer to pydantic 2" --verify "pytest -q"
  wfledger plan plan.yaml
  wfledger run plan.yaml"""


@click.command("decompose", epilog=_EXAMPLES)
@click.argument("goal_text", metavar="GOAL")
@click.option("-o", "--output", default=_FILE, show_default=True, metavar="FILE",
              type=click.Path(path_type=Path), help="Where the plan is written.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--model", metavar="PROVIDER/MODEL", help="Who drafts; else the role's model.")
@ROLE
@VERIFY
@MAX_TASKS
@click.option("--serial", is_flag=True, help="Take a plan in which nothing runs at the same time.")
@json_option
@pass_app
def decompose(
    app: App, *, goal_text: str, output: Path, force: bool, model: str | None, role: str | None,
    verify: tuple[str, ...], max_tasks: int, serial: bool, as_json: bool,
) -> int:  # fmt: skip
    """Draft a plan for a goal with a model, and write it to a file. Nothing is started.

    The model is told the goal, the names and sizes of the files that are committed, the beginning
    of the README and the names of roles; it says prompts, write scopes and order. What it drafts is
    checked like any plan, tasks that could write the same path at the same time are refused, and
    what is wrong is sent back to be mended, three times at most. A draft that still cannot be run
    is kept beside FILE with what is wrong in it (exit status 7).

    A goal that one agent does as well in one go is refused with the command for that (exit status
    1); --serial takes it all the same.
    """
    from wfledger.run.goals.drafting import Order, draft
    from wfledger.run.goals.surroundings import describe

    path = app.start / output
    if os.path.lexists(path) and not force:
        raise UsageError(f"{output} is there already", hint="-o FILE, or --force", path=str(output))
    asker, role = asker_for(app, model, role)
    workspace = app.workspace
    order = Order(
        goal=said_goal(goal_text), around=describe(_contents(app), workspace.fleet()), role=role,
        max_tasks=max_tasks, verify=verify,
    )  # fmt: skip
    say(f"asking {asker.model} for a plan", err=True)
    found = draft(asker, order, workspace.fleet())
    say(f"used {_used(asker.usage)}", err=True)
    if found.plan is None or (found.is_serial and not serial):
        return _refused(found, _beside(path), goal_text, asker, as_json=as_json)
    text = f"Drafted by {asker.model}; nothing was started. Look it through before you run it."
    _write(path, found, text)
    if as_json:
        emit({**_draft_json(found, asker), "file": str(output)})
        return 0
    say(f"{output}: {plural(len(found.plan.tasks), 'task')}")
    say(f"next: wfledger plan {output}, then wfledger run {output}", err=True)
    return 0


def said_goal(given: str) -> str:
    """Return a goal as it is kept; raises `UsageError` for one that says nothing."""
    if not given.strip():
        raise UsageError("a goal says something")
    return given.strip()


def _contents(app: App) -> "Contents":
    """Return the files of the commit that a plan would start from."""
    from wfledger.run.submit import target_branch
    from wfledger.vcs.contents import Contents

    repo = app.workspace.repo
    tip = repo.tip(target_branch(app.workspace, None))
    return Contents(repo, repo.tree_of(tip or ""))


def asker_for(app: App, model: str | None, role: str | None) -> tuple["Asker", str]:
    """Return who is asked, and the role of the tasks; raises `UsageError` where that is open."""
    from wfledger.run.goals.asking import asker_of, policy_of
    from wfledger.run.guard import vouching
    from wfledger.run.submit import role_for

    workspace = app.workspace
    # A worker could have named another server there, for the key to go to.
    fleet = vouching.fleet(workspace)
    worker = role_for(workspace, role)
    if worker is None:
        names = ", ".join(one.name for one in fleet.roles) or "none; [role.NAME] in fleet.toml"
        raise UsageError(f"who does the tasks? roles: {names}", hint="--worker ROLE")
    policy = policy_of(fleet, model=model, role=role)
    return asker_of(workspace, fleet, policy, os.environ), worker


def _refused(
    found: "Draft", path: Path, goal_text: str, asker: "Asker", *, as_json: bool
) -> int:
    """Keep a draft that is not taken, and say why."""
    if found.plan is None:
        _write(path, found, "\n".join(["It cannot be run:", *found.problems]))
        raise PlanError(
            f"the draft cannot be run: {found.problems[0]}", hint=f"it is kept: {path}",
            errors=list(found.problems), file=str(path), usage=asker.usage.model_dump(mode="json"),
        )
    _write(path, found, "Nothing in it would run at the same time.")
    prompt = goal_text.replace("'", "'\\''")
    hint = f"wfledger add 'The goal' --prompt '{prompt}' --write PATTERN"
    if as_json:
        emit({**_draft_json(found, asker), "file": str(path), "error": "serial", "hint": hint})
    else:
        say("nothing of it would run at the same time; one agent does that as well in one go")
        say(f"  {hint}")
        say(f"the draft is kept: {path}; --serial takes such a plan")
    return 1


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.rejected{path.suffix or '.yaml'}")


def _write(path: Path, found: "Draft", comment: str) -> None:
    from wfledger.plans.printing import to_yaml
    from wfledger.store import atomic

    try:
        atomic.replace(path, to_yaml(found.document, comment=comment).encode(), tmp=path.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _draft_json(found: "Draft", asker: "Asker") -> dict[str, Any]:
    return {
        "tasks": [task.given for task in found.plan.tasks] if found.plan else [],
        "model": asker.model,
        "usage": asker.usage.model_dump(mode="json"),
    }


def _used(usage: "Usage") -> str:
    from wfledger.core.usage import dollars

    cost = "cost unknown" if usage.cost_usd is None else dollars(usage.cost_usd)
    tokens = "tokens unknown" if usage.tokens is None else f"{usage.tokens} tokens"
    return f"{cost}, {tokens}, {plural(usage.requests or 0, 'answer')}"
