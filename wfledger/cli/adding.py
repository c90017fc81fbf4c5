"""The verb `add`: one task, without a plan."""

import math
from typing import Any, Final

import click

from wfledger.cli.budgets import budget_option, parse_budget
from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.confirming import send
from wfledger.cli.render import say
from wfledger.core import bounds
from wfledger.core.documents import Check, Limits, TaskSpec
from wfledger.core.routes import ModelPolicy
from wfledger.errors import UsageError

#: The mark keeps click from folding the lines.
_EXAMPLES: Final = """\b
For example:
  wfledger add "Format the code" --write src -- ruff format src
  wfledger add "Look into the slow test" --id slow-test"""


@click.command("add", epilog=_EXAMPLES)
@click.argument("title")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--id", "node", help="Name of the task; else one is made up.")
@click.option("--prompt", help="What an agent is to do; without a role, for whoever claims it.")
@click.option("--role", help="Role of fleet.toml that runs the prompt; else its default one.")
@click.option("--write", multiple=True, metavar="PATTERN", help="Path that it may write; repeat.")
@click.option("--after", multiple=True, metavar="TASK", help="Task that comes first; repeat.")
@click.option("--verify", multiple=True, metavar="COMMAND", help="Must pass on the result; repeat.")
@click.option("--approval", is_flag=True, help="A person says yes before the result lands.")
@click.option("--needs", multiple=True, metavar="NAME", help="What a worker must offer; repeat.")
@click.option("--class", "class_", metavar="NAME", help="What policy.classes may limit.")
@click.option("--priority", type=click.IntRange(-1_000_000, 1_000_000), default=0,
              help="Higher goes first.")
@click.option("--timeout", type=click.FloatRange(0, bounds.MAX_SECONDS, min_open=True),
              metavar="SECONDS", help="Wall time of an attempt.")
@click.option("--model", metavar="PROVIDER/NAME", help="Model of the prompt; else its role's.")
@budget_option("What all of its attempts together may use.")
@click.option("--allow-no-change", is_flag=True, help="Changing nothing is a success.")
@click.option("--target", metavar="BRANCH", help="Branch that the result is for.")
@json_option
@pass_app
def add(
    app: App, *, title: str, command: tuple[str, ...], node: str | None, prompt: str | None,
    role: str | None, write: tuple[str, ...], after: tuple[str, ...], verify: tuple[str, ...],
    approval: bool,
    needs: tuple[str, ...], class_: str | None, priority: int, timeout: float | None,
    model: str | None, budget: tuple[str, ...],
    allow_no_change: bool, target: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Add one task: a command after `--`, a prompt, or neither, for whoever claims it.

    It belongs to the standing run of the branch that is checked out.
    """
    from wfledger.run import submit
    from wfledger.run.money.raising import with_more
    from wfledger.run.staffing import staffed_task

    if command and prompt:
        raise UsageError("a task has a command or a prompt, not both")
    if timeout is not None and math.isnan(timeout):
        raise UsageError("--timeout nan: that is no number of seconds")
    if not all(line.strip() for line in verify):
        raise UsageError("--verify without a command would let everything pass")
    if role and not prompt:
        raise UsageError("a role runs prompts; say which: --prompt TEXT")
    if model and not prompt:
        raise UsageError("a model answers prompts; say which: --prompt TEXT")
    allowance = parse_budget(budget)
    if prompt:
        role = submit.role_for(app.workspace, role)
    spec = TaskSpec(
        title=title, prompt=prompt, role=role, write=write, after=after, inputs=after,
        command=(command[0] if len(command) == 1 else command) or None,
        model=ModelPolicy(model=model) if model else None,
        manual=not command and role is None, needs=needs, class_=class_, priority=priority,
        allow_no_change=allow_no_change, limits=Limits(wall_s=timeout),
        verify=(
            *(Check(kind="command", command=line) for line in verify),
            *([Check(kind="manual")] if approval else []),
        ),
    )  # fmt: skip
    if allowance is not None:
        spec = with_more(spec, allowance)
    before = _underway(app)
    task = submit.add(app.workspace, spec, node=node, target=target)
    brought = {**_unpushed(app, task.run, but=before), **send(app)}
    if as_json:
        shown = {"status": "waiting", **task.model_dump(mode="json", by_alias=True)}
        emit({"task": shown, **brought})
        return
    say(task.id)
    who = staffed_task(spec, app.workspace.fleet(), task.id)
    if who is not None:
        say(f"done by {who.text}", err=True)
    by_hand = f"next: wfledger claim {task.id} --worktree"
    say(by_hand if spec.manual else app.goes_on(task.run), err=True)


def _underway(app: App) -> frozenset[str] | None:
    """Return the commits that go to the remote already; None where there is none."""
    if not app.workspace.is_shared:
        return None
    from wfledger.run.hub.departing import underway

    return underway(app.workspace)


def _unpushed(app: App, run_id: str, *, but: frozenset[str] | None) -> dict[str, Any]:
    """Say which of the user's commits go to the remote with the task; returns them for `--json`."""
    if but is None:
        return {}
    from wfledger.run.hub.departing import with_run

    workspace = app.workspace
    goes = with_run(workspace, workspace.ledger.run(run_id), but=but)
    if goes is None:
        return {}
    say(goes.sentence, err=True)
    return {"unpushed": goes.as_json()}
