"""The part of an attempt in which its worker works: started, watched, ended, listened to.

A worker that died of something that passes is started again in the same worktree if its kind knows
how, within what is left of the attempt's time.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from wfledger.clock import iso
from wfledger.core.breaking import TERMINAL
from wfledger.core.documents import Failure, Limits, Result
from wfledger.core.routes import Routed
from wfledger.core.text import clean_line
from wfledger.core.usage import Usage
from wfledger.run.attempts.blotting import blotted
from wfledger.run.attempts.closing import failure
from wfledger.run.attempts.commanding import TAG, tag_for
from wfledger.run.attempts.nesting import variables
from wfledger.run.attempts.tenure import Tenure
from wfledger.run.money import breakers, meters
from wfledger.run.processes.environment import build, secrets_of
from wfledger.run.processes.holders import end_holders
from wfledger.run.processes.process import Ended, Job, ProcessLimits, run_job
from wfledger.run.processes.sandbox import sandbox_for
from wfledger.run.workers.choosing import kind_for
from wfledger.run.workers.launch import Assignment, Ending, Launch
from wfledger.run.workers.routing import Router
from wfledger.store.locks import LiveLock

#: What an attempt has used that asked no model.
_NOTHING: Final = Usage(input=0, output=0, requests=0, cost_usd=0.0, source="meter")
#: Failures of a worker whose model has answered.
_ANSWERED: Final = frozenset({"task", "no_change", "question", "content", "budget"})


@dataclass(frozen=True)
class Watch:
    """Who looks after the work: who is told, who may stop it, whose claim it is."""

    name: str
    token: str
    tenure: Tenure
    stop: threading.Event
    #: Told what the worker does now.
    says: Callable[[str], None]


def work(given: Assignment, watch: Watch) -> Result:
    """Let a worker work to its end; returns what it has come to, its work not yet kept.

    None of its processes is alive then, or the result says so.
    """
    kind = kind_for(given.task.spec, given.fleet)
    launch = kind.launch(given)
    clock = given.workspace.clock
    began, tries = clock.elapsed(), 0
    result: Result | None = None
    before: str | None = None
    while True:
        if (why := _refused(given)) is not None:
            _drop(launch)
            return (result or _unbegun(given)).but(status="failed", failure=why)
        tries += 1
        if tries == 1:
            _begin_meter(given)
        done = _run(given, watch, launch, spent_s=clock.elapsed() - began, before=before)
        ending = kind.read_end(given, done.ended, tries)
        result = blotted(ending.result, done.secrets).but(route=given.route)
        _note(given, ending)
        if not done.is_free:
            alive = failure("environment", "a process of it does not end")
            return result.but(status="failed", failure=alive)
        if ending.again is None or watch.stop.is_set():
            return result
        died_of = result.failure.message if result.failure else done.ended.message
        watch.says(f"goes on with its session: {died_of}")
        before = clean_line(f"it goes on with its session after this: {died_of}")
        if watch.stop.wait(ending.wait_s):
            _drop(ending.again)
            return result
        launch = ending.again


def _begin_meter(given: Assignment) -> None:
    """Say which model is at it, of which nothing is known until it has answered or ended."""
    if given.route is None:
        return
    layout = given.workspace.ledger.layout
    path = meters.path_of(layout.local, given.task.id, given.attempt)
    with suppress(OSError):  # who looks sees it at its end
        meters.write(path, Usage(), given.route, tmp=layout.tmp)


def _drop(launch: Launch) -> None:
    """Close what a program was to inherit that is not started."""
    for descriptor in launch.keep_open:
        os.close(descriptor)


def _refused(given: Assignment) -> Failure | None:
    """Return why nothing is started for an attempt: its provider refuses everybody by now.

    Else what was claimed before that would start after it (WFL-ROUTE-021).
    """
    shut = breakers.shut_now(given.workspace, _account(given))
    if shut is None or shut.opened.kind not in TERMINAL:
        return None
    return failure(shut.opened.kind, shut.reason)


def _unbegun(given: Assignment) -> Result:
    """Return what has come of an attempt of which nothing was started."""
    return Result(
        task=given.task.id, attempt=given.attempt, status="failed", route=given.route,
        usage=_NOTHING,
    )  # fmt: skip


def _note(given: Assignment, ending: Ending) -> None:
    """Remember what a provider did, before the task can be given to anybody again."""
    account = _account(given)
    if account is None:
        return
    if ending.trouble is not None:
        breakers.note(given.workspace, account, ending.trouble)
    elif ending.result.failure is None or ending.result.failure.failure_class in _ANSWERED:
        breakers.succeeded(given.workspace, account)


def _account(given: Assignment) -> str | None:
    if given.route is None:
        return None
    return Router(given.workspace, given.fleet).account(given.route)


@dataclass(frozen=True)
class _Done:
    """A launch that is over."""

    ended: Ended
    #: Whether none of its processes is left.
    is_free: bool
    #: What its processes were trusted with.
    secrets: tuple[str, ...] = field(repr=False)


def _run(
    given: Assignment, watch: Watch, launch: Launch, *, spent_s: float, before: str | None
) -> _Done:
    """Run the worker's processes to their end; *before* says why those before have ended."""
    tree = given.workspace.ledger.layout.tree(given.task.id, given.attempt)
    with_tree = LiveLock(tree, inheritable=True)
    ours = [launch]

    def started() -> None:
        # Only the worker's processes keep the tree's lock: it must not live on with us when we
        # are stopped.
        with_tree.release()
        _drop(ours.pop())

    try:
        watch.tenure.check()
        job = replace(_job(given, watch, launch, with_tree, spent_s=spent_s), goes_on=before)
        ended = run_job(
            job, stop=watch.stop, clock=given.workspace.clock, on_beat=watch.tenure.check,
            on_start=started,
        )  # fmt: skip
    finally:
        with_tree.release()
        for one in ours:  # it could not be started
            _drop(one)
    is_free = end_holders(tree, clock=given.workspace.clock)
    return _Done(ended, is_free, job.secrets)


def _job(
    given: Assignment, watch: Watch, launch: Launch, tree: LiveLock, *, spent_s: float
) -> Job:
    workspace, spec = given.workspace, given.task.spec
    limits = _limits(given, spec.limits, launch.limits)
    if limits.wall_s is not None:
        limits = replace(limits, wall_s=max(1.0, round(limits.wall_s - spent_s, 1)))
    tag = tag_for(workspace, watch.name)
    extra = {**launch.env, **_variables(given, watch, limits), TAG: tag}
    passed = (*given.fleet.env_pass, *spec.env, *launch.pass_names)
    own: tuple[Path, ...] = (given.folder, given.desk.folder, *launch.writable)
    environment = build(passed, extra, given.folder)
    return Job(
        argv=launch.argv, cwd=given.folder, env=environment,
        secrets=(*launch.secrets, *secrets_of(environment)),
        output=given.log, limits=limits, tag=tag,
        keep_open=(tree.descriptor, *launch.keep_open),
        sandbox=sandbox_for(workspace, launch.confinement, own),
    )  # fmt: skip


def _limits(given: Assignment, *layers: Limits) -> ProcessLimits:
    policy = given.workspace.policy()
    layers = (*layers, policy.limits)

    def first(name: str) -> float | None:
        return next((v for one in layers if (v := getattr(one, name)) is not None), None)

    return ProcessLimits(
        wall_s=first("wall_s"), idle_s=first("idle_s"), silence_s=first("silence_s"),
        halted_s=policy.lease_s, output_bytes=int(first("output_bytes") or 10 * 2**20),
    )  # fmt: skip


def _names_of(route: Routed | None) -> dict[str, str]:
    """Return what a worker finds of its route in its environment (WFL-ROUTE-009)."""
    if route is None:
        return {}
    said = {"WFLEDGER_PROVIDER": route.provider, "WFLEDGER_MODEL": route.model}
    return {name: value for name, value in said.items() if value is not None}


def _variables(given: Assignment, watch: Watch, limits: ProcessLimits) -> dict[str, str]:
    task, desk = given.task, given.desk
    deadline = {}
    if limits.wall_s is not None:
        end = given.workspace.clock.now() + timedelta(seconds=limits.wall_s)
        deadline = {"WFLEDGER_DEADLINE": iso(end)}
    return {
        "WFLEDGER_DIR": str(given.workspace.ledger.layout.root),
        "WFLEDGER_RUN": task.run,
        "WFLEDGER_TASK": task.id,
        "WFLEDGER_ATTEMPT": str(given.attempt),
        "WFLEDGER_TOKEN": watch.token,
        "WFLEDGER_TASK_FILE": str(desk.task),
        "WFLEDGER_INPUTS": str(desk.inputs),
        "WFLEDGER_RESULT_FILE": str(desk.result),
        "WFLEDGER_SCOPE": "\n".join(task.spec.write),
        **_names_of(given.route),
        **variables(given),
        **deadline,
    }
