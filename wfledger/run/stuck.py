"""Which waiting tasks are behind something that only a person can move."""

from collections.abc import Collection, Iterable

from wfledger.core.admission import lacking
from wfledger.core.documents import Run
from wfledger.core.graph import is_halted, readiness
from wfledger.core.statuses import Status
from wfledger.run.looks.view import View, held_by_verifiers
from wfledger.run.pausing import Pause
from wfledger.run.workers.routing import Router, stuck_for


def waiting_on_person(
    view: View, runs: Iterable[Run], *, pause: Pause | None, offers: frozenset[str],
    router: Router | None = None, over_budget: Collection[str] = (),
) -> frozenset[str]:  # fmt: skip
    """Return the waiting tasks behind something that only a person can move.

    That is a block, a stopped run, a task for people, a need that no worker offers to meet, a
    budget that is used up (*over_budget*), or a provider that is closed for long (*router*).
    Under an alarm nothing lands either, so what is merging is among them.
    """
    paused = pause is not None
    standings = view.standings()
    states = {run.id: run.state for run in runs}
    every = view.tasks[Status.WAITING]
    waiting = [task for task in every if task.accepted is None]
    behind: dict[str, list[str]] = {}
    judged = [task for task in view.tasks[Status.MERGING] if held_by_verifiers(view, task)]
    for task in judged:
        for verifier in task.hold.on if task.hold else ():
            behind.setdefault(verifier, []).append(task.id)
    for task in waiting:
        for dependency in readiness(task, standings).on:
            behind.setdefault(dependency, []).append(task.id)
    stuck = {task.id for task in every if paused or is_halted(task, states.get(task.run, "open"))}
    stuck |= {task.id for task in waiting if lacking(task, offers) or task.id in over_budget}
    stuck |= stuck_for(router, waiting) if router is not None else set()
    reached = [k for k, s in standings.items() if s.status is Status.BLOCKED] + list(stuck)
    reached += [task.id for task in view.tasks[Status.PENDING] if task.spec.manual]
    while reached:
        for task_id in behind.pop(reached.pop(), []):
            if task_id not in stuck:
                stuck.add(task_id)
                reached.append(task_id)
    stuck |= {task.id for task in judged}
    if pause is not None and pause.is_alarm:
        stuck |= {task.id for task in view.tasks[Status.MERGING]}
    return frozenset(stuck)
