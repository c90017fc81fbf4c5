"""How much a plan may start: the limits of `plan` and `run`, and the refusal beyond them."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

import click

from wfledger.errors import PlanError
from wfledger.plans.compiling import Plan
from wfledger.plans.nodes.launch import MAX_AGENTS, MAX_DEPTH
from wfledger.plans.problems import Problem

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class Limits(NamedTuple):
    """What a plan may start at most."""

    agents: int = MAX_AGENTS
    depth: int = MAX_DEPTH


def launch_options(command: CommandT) -> CommandT:
    """Give a command `--max-agents` and `--max-depth`, passed together as `limits`."""
    agents = click.option(
        "--max-agents", type=click.IntRange(1), default=MAX_AGENTS, show_default=True,
        help="Agents that a plan of nodes may start at most.",
    )  # fmt: skip
    depth = click.option(
        "--max-depth", type=click.IntRange(1), default=MAX_DEPTH, show_default=True,
        help="How deep its branches may go.",
    )

    @wraps(command)
    def called(*args: Any, max_agents: int, max_depth: int, **options: Any) -> Any:
        return command(*args, limits=Limits(max_agents, max_depth), **options)

    return agents(depth(called))  # type: ignore[return-value]


def launch_problems(plan: Plan | None, limits: Limits = Limits()) -> tuple[Problem, ...]:  # noqa: B008
    """Return why *plan* would start too much, or without an end."""
    if plan is None or plan.launch is None:
        return ()
    return plan.launch.problems(limits.agents, limits.depth)


def require_launch(plan: Plan, limits: Limits, source: str) -> None:
    """Raise `PlanError` with every reason for which *plan* is not started."""
    problems = launch_problems(plan, limits)
    if problems:
        raise PlanError(
            f"{source}: {problems[0].message}", hint=f"wfledger check {source}",
            errors=[problem.as_json() for problem in problems],
        )
