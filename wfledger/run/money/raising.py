"""Other budgets than a plan has, and more for what has used up its own: a run, a blocked task."""

from dataclasses import replace

from wfledger.core.documents import Run, TaskSpec
from wfledger.core.usage import Budget
from wfledger.plans.budgets import Allowance
from wfledger.plans.compiling import Plan
from wfledger.run.workspace import Workspace


def joined(budget: Budget | None, given: Budget | None) -> Budget | None:
    """Return *budget* with what *given* says in place of its own."""
    if budget is None or given is None:
        return given or budget
    return budget.but(**given.model_dump(exclude_none=True))


def with_budget(plan: Plan, given: Allowance | None) -> Plan:
    """Return *plan* with what *given* says in place of its own budget."""
    if given is None:
        return plan
    budget = joined(plan.budget, given.budget)
    return replace(plan, budget=budget, time_s=given.time_s or plan.time_s)


def raise_run(workspace: Workspace, run_id: str, given: Allowance) -> Run:
    """Let a run use what *given* says from its beginning, and return it; durable on return."""
    with workspace.ledger.transaction("person") as changes:
        run = workspace.ledger.run(run_id)
        raised = run.but(
            seq=run.seq + 1, budget=joined(run.budget, given.budget),
            time_s=given.time_s or run.time_s,
        )  # fmt: skip
        changes.put_run(raised, why="its budget was changed")
    return raised


def with_more(spec: TaskSpec, given: Allowance) -> TaskSpec:
    """Return *spec* with what *given* says of its budget and of the time of an attempt.

    Of a controller that is what all that it starts may use, and how long it may go on.
    """
    if spec.control is not None:
        whole = joined(spec.control.budget, given.budget)
        time_s = given.time_s or spec.control.time_s
        return spec.but(control=spec.control.but(budget=whole, time_s=time_s))
    limits = spec.limits if given.time_s is None else spec.limits.but(wall_s=given.time_s)
    return spec.but(budget=joined(spec.budget, given.budget), limits=limits)
