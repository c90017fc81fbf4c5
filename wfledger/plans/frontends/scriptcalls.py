"""What a call of a script stands for: a task, checked like any task of a plan (spec 94)."""

from wfledger.core.documents import TaskSpec
from wfledger.plans import checking
from wfledger.plans.frontends.script_options import Asked, OptionError


def compiled(asked: Asked) -> TaskSpec:
    """Return the task of a call; raises `OptionError` with what is wrong first."""
    checked = checking.check({"goal": "a script", "tasks": [{"id": "task", **asked.task}]})
    if checked.plan is None:
        problem = checked.errors[0]
        raise OptionError(f"task(): {problem.message} [{problem.kind}]")
    spec = checked.plan.tasks[0].spec
    return spec.but(on_failure="skip_continue", depth=asked.depth, plays=asked.plays)
