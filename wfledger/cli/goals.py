"""The verb `goal`: plan, run and judge in rounds, until it is reached or a limit is."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from wfledger.cli.card import Asking, again, card_of, confirm
from wfledger.cli.common import App, emit, json_option, pass_app, worker_name
from wfledger.cli.decomposing import MAX_TASKS, ROLE, VERIFY, asker_for, said_goal
from wfledger.cli.failures import INTERRUPTED
from wfledger.cli.progress import progress
from wfledger.cli.render import plural, say, span
from wfledger.cli.signals import stoppable
from wfledger.core import bounds
from wfledger.errors import UnconfirmedError, UsageError

if TYPE_CHECKING:
    from wfledger.core.documents import Run
    from wfledger.plans.compiling import Plan
    from wfledger.run.goals.loop import Ended
    from wfledger.run.goals.state import Goal
    from wfledger.run.session import Outcome

_EXAMPLES: Final = """\b
For example:
  wfledger goal "All tests pass on Python 3.13" --max-usd 5 --max-time 1h --max-rounds 3 \\
      --verify "pytest -q"
  wfledger goal --continue ID"""


class Duration(click.ParamType[float]):
    """A time as people write it: `90s`, `20m`, `1h30m`, or seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        from wfledger.plans import durations

        with suppress(ValueError):
            value = float(value)
        seconds = durations.parse(value)
        if seconds is None or not durations.in_range(seconds):
            self.fail(f"{value!r} is no time; write 90s, 20m or 1h30m", param, ctx)
        return seconds


@click.command("goal", epilog=_EXAMPLES)
@click.argument("goal_text", metavar="[TEXT]", required=False)
@click.option("--continue", "goal_id", metavar="ID", help="Go on with a goal of this machine.")
@click.option("--max-usd", type=click.FloatRange(0, bounds.MAX_USD, min_open=True), metavar="USD",
              help="Stop at so many dollars.")
@click.option("--max-time", type=Duration(), metavar="TIME", help="Stop after 20m, 1h30m, …")
@click.option("--max-rounds", type=click.IntRange(1, 100), metavar="N",
              help="Stop after N rounds.  [default: 3]")
@click.option("--model", metavar="PROVIDER/MODEL",
              help="Who drafts and judges; else the role's model.")
@ROLE
@VERIFY
@MAX_TASKS
@click.option("--target", metavar="BRANCH", help="Branch that the results are for.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Attempts at once on this machine.")
@click.option("--yes", is_flag=True, help="Start the plan of each round without asking.")
@json_option
@pass_app
def goal(
    app: App, *, goal_text: str | None, goal_id: str | None, max_usd: float | None,
    max_time: float | None, max_rounds: int | None, model: str | None, role: str | None,
    verify: tuple[str, ...], max_tasks: int, target: str | None, workers: int | None, yes: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Work towards a goal in rounds: draft a plan, show it, run it, judge, plan what is missing.

    Each round's plan is written to a file and shown on a card before it starts; --yes starts it
    unasked. The model that drafts also judges, on what git and the checks show; nothing counts as
    reached before every task of the round is done. Each round builds on the one before, on branches
    of its own; `wfledger land` brings the result to yours.

    It stops for one of these reasons: reached (exit status 0), blocked: a person is wanted (10),
    budget, time or rounds (6), no_progress: two rounds changed nothing or left the same missing
    (1). A goal that was stopped or killed goes on with --continue; what is done is not done again,
    and limits given there replace the old ones.
    """
    from wfledger.run.config.providers import Price
    from wfledger.run.goals.loop import Pursuit
    from wfledger.run.goals.state import Place

    if bool(goal_text) == bool(goal_id):
        raise UsageError("give the goal in words, or --continue ID")
    given = {"usd": max_usd, "time_s": max_time, "max_rounds": max_rounds}
    limits = {name: value for name, value in given.items() if value is not None}
    context = click.get_current_context()
    if context.get_parameter_source("max_tasks") is ParameterSource.COMMANDLINE:
        limits["max_tasks"] = max_tasks
    words = [goal_text] if goal_text else []
    _refuse_unasked(again(context, *words), yes=yes, as_json=as_json)
    if goal_id:
        if model or role or verify or target:
            raise UsageError("--model, --worker, --verify and --target are for new goals")
        found = Place(app.workspace, goal_id).load().but(**limits)
        asker, _ = asker_for(app, found.model, found.role)
    else:
        asker, worker = asker_for(app, model, role)
        found = _new(app, goal_text or "", target).but(
            role=worker, model=asker.model, verify=verify, max_tasks=max_tasks,
            **{"max_rounds": 3, **limits},
        )
    say(f"goal {found.id}: if it is cut off: wfledger goal --continue {found.id}", err=True)
    if found.usd is not None and asker.server.model.price == Price():
        say(f"warning: no price of {asker.model} is known; --max-usd does not hold it", err=True)
    asking = Asking(yes, as_json, f"wfledger goal --continue {found.id} --yes")
    place = Place(app.workspace, found.id)
    with place.alone():
        if goal_id:  # another process may have gone on with it meanwhile
            found = place.load().but(**limits)
        host = _Host(app, found, asking=asking, workers=workers)
        ended = Pursuit(app.workspace, found, asker, host).pursue()
    if as_json:
        emit(_ended_json(ended))
    else:
        _say_ended(ended)
    return _status(ended)


def _refuse_unasked(hint: str, *, yes: bool, as_json: bool) -> None:
    """Refuse before a model is paid for a plan that nobody could say yes to."""
    if not yes and (as_json or not sys.stdin.isatty()):
        raise UnconfirmedError(
            "a person is to say yes to each round's plan; nothing was started",
            hint=hint,
        )


def _new(app: App, text: str, target: str | None) -> "Goal":
    from wfledger.clock import iso
    from wfledger.run.goals.state import Goal
    from wfledger.run.submit import target_branch

    workspace = app.workspace
    branch = target_branch(workspace, target)
    tip = workspace.repo.tip(branch)
    if tip is None:
        raise UsageError(f"{branch} has no commit")
    return Goal(
        id=workspace.clock.short_id(6), text=said_goal(text), created=iso(workspace.clock.now()),
        target=branch, since=tip, role="", model="", max_tasks=1,
    )  # fmt: skip


class _Host:
    """Shows plans and runs them, at this terminal."""

    def __init__(self, app: App, found: "Goal", *, asking: Asking, workers: int | None) -> None:
        self._app, self._goal, self._asking, self._workers = app, found, asking, workers

    def confirm(self, plan: "Plan", path: Path) -> None:
        """Show the tasks, the file and the card, and ask."""
        say(f"the plan is in {path}:", err=True)
        for task in plan.tasks:
            writes = f"  [{', '.join(task.spec.write)}]" if task.spec.write else "  [reads only]"
            title = task.spec.title or (task.spec.prompt or "").split("\n", 1)[0]
            say(f"  {task.given}{writes}  {title[:80]}", err=True)
        confirm(card_of(self._app.workspace, plan, self._goal.role), self._asking)

    def drive(self, run: "Run", is_over: Callable[[], bool]) -> "Outcome":
        """Work on a run as `run` does."""
        from wfledger.run.goals.deadline import Deadline
        from wfledger.run.session import Session
        from wfledger.run.slots import count_of

        workspace = self._app.workspace
        slots = count_of(workspace, self._workers)
        with progress(workspace, run, err=self._asking.as_json) as inner:
            deadline = Deadline(inner, is_over)
            session = Session(
                workspace, run, slots=slots, worker=worker_name(), listener=deadline
            )
            deadline.session = session
            with stoppable(session):
                return session.drive()

    def tell(self, text: str) -> None:
        """Say what happens."""
        say(text, err=True)


def _status(ended: "Ended") -> int:
    from wfledger.core.goals import EXIT

    return INTERRUPTED if ended.stop is None else EXIT[ended.stop]


def _next(ended: "Ended") -> list[str]:
    from wfledger.core.goals import Stop

    found = [need.command for need in ended.outcome.needs] if ended.outcome else []
    runs = [one.run for one in ended.goal.rounds if one.run]
    if ended.stop is Stop.REACHED and runs:
        return [f"wfledger land {runs[-1]}"]
    goal = ended.goal
    more = {
        Stop.BUDGET: f" --max-usd {2 * (goal.usd or 1):g}",
        Stop.TIME: f" --max-time {2 * (goal.time_s or 60):g}",
        Stop.ROUNDS: f" --max-rounds {2 * (goal.max_rounds or 1)}",
    }.get(ended.stop or Stop.BLOCKED, "")
    if ended.stop is not Stop.NO_PROGRESS:
        found.append(f"wfledger goal --continue {goal.id}{more}")
    landing = [f"wfledger land {runs[-1]}"] if runs and ended.stop is not None else []
    return list(dict.fromkeys([*found, *landing]))


def _ended_json(ended: "Ended") -> dict[str, Any]:
    rounds = ended.goal.rounds
    return {
        "goal": ended.goal.id,
        "stop": ended.stop.value if ended.stop else None,
        "reason": ended.reason,
        "rounds": [
            {"number": one.number, "run": one.run, "done": one.is_done, "reached": one.reached,
             "missing": list(one.missing), "reason": one.reason}
            for one in rounds
        ],
        "missing": list(rounds[-1].missing) if rounds else [],
        **ended.spent.as_json(),
        "elapsed_s": round(ended.goal.elapsed_s, 1),
        "needs": [need.as_json() for need in ended.outcome.needs] if ended.outcome else [],
        "next": _next(ended),
    }  # fmt: skip


def _say_ended(ended: "Ended") -> None:
    from wfledger.core.usage import dollars

    state = ended.stop.value if ended.stop else "interrupted"
    money = dollars(ended.spent.usd)
    cost = money if ended.spent.is_all else f"{money} known, the rest unknown"
    rounds = ended.goal.rounds
    say(f"goal {ended.goal.id} {state}: {plural(len(rounds), 'round')}, "
        f"{span(ended.goal.elapsed_s)}, {cost}")  # fmt: skip
    if ended.reason:
        say(f"  {ended.reason}")
    for need in ended.outcome.needs if ended.outcome else ():
        say(f"  {need.task} ({need.code}): {need.reason.splitlines()[0] if need.reason else ''}")
    for text in rounds[-1].missing if rounds else ():
        say(f"  missing: {text}")
    say("next:")
    for line in _next(ended):
        say(f"  {line}")
