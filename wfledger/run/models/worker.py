"""The kind of worker that is a model: wfledger talks to it itself, in a process of its own.

The order for that process lies on the desk and holds no secret; the key goes over a descriptor, and
what was used comes back over another, so that nothing a model does can say it otherwise.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import wfledger
from wfledger.core.documents import Failure
from wfledger.core.records import canonical
from wfledger.core.routes import Routed
from wfledger.core.usage import Budget, Usage
from wfledger.errors import EnvironmentFailedError, NotFoundError
from wfledger.run.attempts.closing import failure
from wfledger.run.config.providers import Model, Provider
from wfledger.run.config.roles import Role
from wfledger.run.guard import vouching
from wfledger.run.models.metering import NOTHING
from wfledger.run.models.order import (
    Entrusted,
    Order,
    Report,
    ReportSheet,
    Shut,
    hand_over,
    server_table,
)
from wfledger.run.models.toolbox import granted
from wfledger.run.models.transcript import path_of
from wfledger.run.money import meters
from wfledger.run.processes.environment import secrets_of
from wfledger.run.processes.process import Ended
from wfledger.run.processes.sandbox import Sandbox, sandbox_for
from wfledger.run.workers.confining import confinement_of
from wfledger.run.workers.launch import Assignment, Ending, Launch, Trouble
from wfledger.run.workers.programs import judged

#: How often one attempt goes on with its session after what passes.
_SESSIONS: Final = 3
_PAUSE_S: Final = 5.0
#: Seconds that another session needs at the least to be worth its start.
_LEAST_S: Final = 20.0
#: Variables by which the library finds its way to the network.
_NETWORK: Final = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
    "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
_ORDER: Final = "order.json"


@dataclass(frozen=True)
class _Target:
    route: Routed
    provider: Provider
    model: Model


class ModelWorker:
    """A model behind an OpenAI-compatible server."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._sheet = ReportSheet()

    def launch(self, given: Assignment) -> Launch:
        """Return our own process, told what to do; raises where that cannot be done here."""
        return self._launch(given, before=None, resumes=False)

    def read_end(self, given: Assignment, ended: Ended, tries: int) -> Ending:
        """Return what the report says, where it is the conversation that has ended."""
        report = self._sheet.read() or Report()
        result = judged(given, ended).but(
            usage=report.usage or NOTHING,
            agent=_agent(given, report),
        )  # fmt: skip
        if ended.reason != "exited" or ended.left:
            return Ending(result)
        why = _failure(report, ended)
        if why is None:
            return Ending(result)
        result = result.but(status="failed", failure=why)
        note = report.trouble
        trouble = Trouble(note.kind, note.message, note.retry_after_s) if note else None
        if why.failure_class != "transport" or tries >= _SESSIONS or _is_late(report):
            return Ending(result, trouble=trouble)
        again = self._launch(given, before=report.usage, resumes=True)
        return Ending(result, again, _wait_s(report), trouble)

    def _launch(self, given: Assignment, *, before: Usage | None, resumes: bool) -> Launch:
        target = _target(given, self._role)
        key = _key(target.provider)
        order = self._order(given, target, before=before, resumes=resumes)
        path = given.desk.folder / _ORDER
        path.write_bytes(canonical(order))
        role = self._role
        entrusted = Entrusted(key, secrets_of(os.environ))
        lent, report = hand_over(entrusted), self._sheet.lend()
        return Launch(
            # Without -P the worktree could hold modules that are taken for ours.
            argv=(sys.executable, "-P", "-m", "wfledger.run.models", str(path),
                  "--key", str(lent), "--report", str(report)),
            env={"PYTHONPATH": _module_path()},
            pass_names=(*role.pass_names, *_NETWORK), limits=role.limits,
            keep_open=(lent, report), secrets=(key,) if key is not None else (),
        )  # fmt: skip

    def _order(
        self, given: Assignment, target: _Target, *, before: Usage | None, resumes: bool
    ) -> Order:
        workspace, spec, role, desk = given.workspace, given.task.spec, self._role, given.desk
        profile = given.fleet.profile(target.provider.profile)
        if profile is None:
            raise NotFoundError(f"there is no profile {target.provider.profile!r}")
        tools = granted(spec.tools if spec.tools is not None else role.tools, writes=spec.writes)
        return Order(
            main=str(workspace.main), state_home=str(workspace.state.parent.parent),
            task_file=str(desk.task), attempt=given.attempt, folder=str(given.folder),
            inputs=str(desk.inputs),
            prompt=desk.prompt.read_text("utf-8"),
            result_file=str(desk.result), output=str(desk.folder / "command.log"),
            meter=str(meters.path_of(workspace.ledger.layout.local, given.task.id, given.attempt)),
            transcript=str(path_of(workspace.ledger.layout, given.task.id, given.attempt)),
            route=target.route, provider=target.provider.name, base_url=target.provider.base_url,
            provider_budget=target.provider.budget,
            profile=server_table(profile, target.model),
            tools=tools, policy=vouching.policy(workspace),
            budget=given.budget.within(role.budget).within(
                Budget(steps=spec.max_steps or role.max_steps)
            ),
            role_budget=role.budget,
            pass_names=(*given.fleet.env_pass, *spec.env, *role.pass_names),
            env=dict(role.env), before=before, resumes=resumes,
            sandbox=Shut.of(_sandbox(given)) if "run" in tools else None,
        )  # fmt: skip


def _target(given: Assignment, role: Role) -> _Target:
    """Return the server and the model of a route."""
    route = given.route
    name = None if route is None else route.model
    provider = given.fleet.provider(route.provider or "") if route is not None else None
    if route is None or provider is None or name is None:
        raise NotFoundError(
            f"no model was found for {given.task.id}",
            hint=f'give [role.{role.name}] a model = "PROVIDER/MODEL"',
        )
    known = {model.name: model for model in provider.models}
    model = known.get(name, Model(name, provider.capabilities))
    return _Target(route, provider, model)


def _key(provider: Provider) -> str | None:
    if provider.key is None:
        return None
    key = os.environ.get(provider.key)
    if not key:
        raise EnvironmentFailedError(
            f"the key of provider {provider.name} is not set here: {provider.key}",
            hint=f"export {provider.key}=… where wfledger is run",
        )
    return key


def _sandbox(given: Assignment) -> Sandbox | None:
    """Return what shuts commands in; raises where nothing does and this machine wants that."""
    found = confinement_of(given.fleet, given.task.spec)
    return sandbox_for(given.workspace, found, (given.folder,))


def _agent(given: Assignment, report: Report) -> dict[str, str]:
    route = given.route
    model = report.model or (route.model if route is not None else None)
    session = path_of(given.workspace.ledger.layout, given.task.id, given.attempt).stem
    return {"adapter": "model", **({"model": model} if model else {}), "session": session}


def _failure(report: Report, ended: Ended) -> Failure | None:
    """Return the failure of a process that has ended by itself; None where it has submitted."""
    if not report.is_over:
        if ended.signal is not None:
            return failure("transport", f"its process was ended from outside: {ended.message}")
        return failure("environment", f"its process failed ({ended.message}); see its log")
    if report.failure_class is None:
        return None
    return failure(report.failure_class, report.message)


def _module_path() -> str:
    """Return where our own modules are found, wherever they lie, before those of the user's."""
    given = os.environ.get("PYTHONPATH")
    root = str(Path(wfledger.__file__).parents[1])
    return f"{root}{os.pathsep}{given}" if given else root


def _is_late(report: Report) -> bool:
    """Whether a session that went on would be ended by its time, which says less than its end."""
    return report.left_s is not None and report.left_s < _wait_s(report) + _LEAST_S


def _wait_s(report: Report) -> float:
    asked = report.trouble.retry_after_s if report.trouble is not None else None
    return _PAUSE_S if asked is None else asked
