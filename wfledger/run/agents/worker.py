"""The kind of worker that is an agent's program, driven as its adapter says (spec 62).

One worker serves one attempt: it knows the session and the usage of the launches before.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from wfledger.core.documents import Limits, Result
from wfledger.core.usage import Usage
from wfledger.errors import InvalidDocumentError
from wfledger.run.agents.answers import envelope_of
from wfledger.run.agents.briefing import RESUMED, briefed
from wfledger.run.agents.counting import Counted, counted, usage_of
from wfledger.run.agents.homes import make_home
from wfledger.run.agents.matching import last
from wfledger.run.agents.serving import Serving, serving_of
from wfledger.run.agents.showing import fitted
from wfledger.run.agents.transcript import Transcript, read_transcript
from wfledger.run.agents.verdicts import Problem, problem_of, session_of, stuck_at
from wfledger.run.agents.versions import version_of
from wfledger.run.attempts.closing import failure
from wfledger.run.attempts.judging import judge
from wfledger.run.config.adapters import Adapter
from wfledger.run.config.confinement import Confinement
from wfledger.run.config.roles import Role
from wfledger.run.config.templates import ARGUMENT_BYTES, fill, fill_argument
from wfledger.run.models.metering import cost_of
from wfledger.run.money.prices import price_of_route
from wfledger.run.processes.environment import secrets_of
from wfledger.run.processes.process import Ended
from wfledger.run.workers.confining import adapter_of, confinement_of
from wfledger.run.workers.launch import Assignment, Ending, Launch, Trouble

#: How often a session is gone on with in one attempt.
RESUMES: Final = 2
#: Ends of which an agent may have said why.
_READABLE: Final = frozenset({"exited", "silence", "idle", "wall"})
#: Kinds of trouble that pass: the session is still good afterwards.
_PASSING: Final = frozenset({"transport", "overload", "rate"})
#: Kinds that a provider is told of.
_OF_PROVIDER: Final = frozenset({"auth", "quota", "rate", "overload"})
#: Kinds that are counted under another failure class.
_CLASSES: Final = {"rate": "transport", "overload": "transport"}
#: The longest wait before a session is gone on with; a longer one is left to the next attempt.
_LONGEST_WAIT_S: Final = 120.0
_PROMPT: Final = "agent-prompt.txt"
_READ_IT: Final = "Your task is in the file {path}. Read all of it first, and then do it."


class AgentWorker:
    """An agent's program, for one attempt."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._session: str | None = None
        self._counted: list[Counted] = []
        self._secrets: tuple[str, ...] = ()

    def launch(self, given: Assignment) -> Launch:
        """Return its program, pointed at the model of its route, in a home of its own."""
        prompt = briefed(given.task.spec, given.desk.prompt.read_text("utf-8"))
        adapter = adapter_of(given.fleet, self._role)
        return self._launch(given, adapter.argv, prompt)

    def read_end(self, given: Assignment, ended: Ended, tries: int) -> Ending:
        """Return what its terminal event, its exit status and its result say."""
        adapter = adapter_of(given.fleet, self._role)
        file = self._file(given, adapter)
        transcript = read_transcript(
            adapter, given.log, file, self._secrets, start=ended.output_start
        )
        self._counted.append(counted(adapter.usage, transcript.events))
        self._session = session_of(adapter, transcript.events) or self._session
        envelope = envelope_of(
            adapter, transcript, given.desk.result, task_id=given.task.id, attempt=given.attempt
        )
        result = judge(given.task, envelope, ended).but(
            usage=self._usage(given, adapter),
            agent=self._receipt(given, adapter, transcript),
        )
        if ended.reason == "spawn_failed":
            return Ending(_missing(result, adapter, ended))
        if ended.left or ended.reason not in _READABLE:
            return Ending(result)
        read = problem_of if ended.reason == "exited" else stuck_at
        problem = read(adapter, transcript, ended)
        if problem is None:
            return Ending(result)
        ending = self._ending(given, result, problem, tries)
        # No time is left to go on in.
        return replace(ending, again=None) if ended.reason == "wall" else ending

    def _ending(
        self, given: Assignment, result: Result, problem: Problem, tries: int
    ) -> Ending:
        adapter = adapter_of(given.fleet, self._role)
        kind, message = problem.kind or "task", problem.message
        if kind == "auth" and not self._has_provider(given, adapter) and adapter.login.hint:
            message += f"; log in: {adapter.login.hint}"
        result = result.but(status="failed", failure=failure(_CLASSES.get(kind, kind), message))
        trouble = None
        if kind in _OF_PROVIDER:
            trouble = Trouble(kind, message, problem.retry_after_s)
        wait_s = problem.retry_after_s or adapter.resume_wait_s * tries
        is_passing = kind in _PASSING and wait_s <= _LONGEST_WAIT_S and tries <= RESUMES
        is_known = self._session is not None or "{session}" not in "".join(adapter.resume)
        if not is_passing or not is_known or not adapter.resume:
            return Ending(result, trouble=trouble)
        again = self._launch(given, adapter.resume, RESUMED)
        return Ending(result, again=again, wait_s=wait_s, trouble=trouble)

    def _launch(self, given: Assignment, argv: tuple[str, ...], prompt: str) -> Launch:
        adapter, role = adapter_of(given.fleet, self._role), self._role
        serving = serving_of(given.fleet, adapter, given.route)
        confinement = confinement_of(given.fleet, given.task.spec)
        values = self._values(given, serving, prompt)
        files = {path: _filled(text, values, adapter) for path, text in adapter.files}
        is_login = serving.base_url is None
        home = make_home(adapter, given.desk.home, files, login=is_login)
        templates = (*adapter.env, *(adapter.login_env if is_login else adapter.server_env))
        told = {name: _filled(text, values, adapter) for name, text in templates}
        env = {**home.env, **told, **serving.env, **dict(role.env)}
        groups = _groups(adapter, serving, confinement, values)
        self._secrets = (*home.secrets, *secrets_of(serving.env), *_login_values(adapter))
        return Launch(
            argv=_argv(adapter, argv, groups, values), env=env,
            pass_names=(*role.pass_names, *(adapter.login.pass_names if is_login else ())),
            limits=_limits(role.limits, adapter.limits),
            confinement=fitted(given.fleet, adapter, confinement, _path(env)),
            secrets=self._secrets,
        )  # fmt: skip

    def _values(
        self, given: Assignment, serving: Serving, prompt: str
    ) -> Mapping[str, str | None]:
        spec, role, desk = given.task.spec, self._role, given.desk
        file = desk.folder / _PROMPT
        file.write_text(prompt, "utf-8")
        steps = spec.max_steps or role.max_steps or given.budget.steps
        usd = given.budget.usd
        if len(prompt.encode("utf-8", "surrogateescape")) >= ARGUMENT_BYTES:
            prompt = _READ_IT.format(path=file)
        return {
            "prompt": prompt, "prompt_file": str(file), "task": given.task.id,
            "attempt": str(given.attempt), "run": given.task.run, "worktree": str(given.folder),
            "desk": str(desk.folder), "result_file": str(desk.result), "home": str(desk.home),
            "model": serving.model, "base_url": serving.base_url, "session": self._session,
            "max_steps": None if steps is None else str(steps),
            "max_usd": None if usd is None else f"{usd:g}",
        }  # fmt: skip

    def _file(self, given: Assignment, adapter: Adapter) -> Path | None:
        """Return the file that the agent writes itself."""
        if adapter.file is None:
            return None
        return Path(_filled(adapter.file, {"home": str(given.desk.home)}, adapter))

    def _has_provider(self, given: Assignment, adapter: Adapter) -> bool:
        return given.route is not None and given.route.provider not in {None, adapter.name}

    def _usage(self, given: Assignment, adapter: Adapter) -> Usage:
        """Return what it says it has used; the price of a provider's model is fleet.toml's to say.

        An agent that was pointed at another server prices it as if it were its maker's.
        """
        usage = usage_of(adapter.usage, self._counted)
        if not self._has_provider(given, adapter) or given.route is None:
            return usage
        price = price_of_route(given.fleet, given.route)
        return usage.but(cost_usd=None if price is None else cost_of(usage, price))

    def _receipt(
        self, given: Assignment, adapter: Adapter, transcript: Transcript
    ) -> dict[str, Any]:
        """Return which agent it was; what is not known is left out."""
        said = last(transcript.events, adapter.ends.version)
        version = said if isinstance(said, str) else None
        receipt = {
            "adapter": adapter.name,
            "version": version or version_of(adapter.version, _path(dict(self._role.env))),
            "model": given.route.model if given.route else None,
            "session": self._session,
        }
        return {name: value for name, value in receipt.items() if value is not None}


def _missing(result: Result, adapter: Adapter, ended: Ended) -> Result:
    message = ended.message
    if adapter.install is not None:
        message += f"; install it: {adapter.install}"
    return result.but(status="failed", failure=failure("environment", message))


def _groups(
    adapter: Adapter, serving: Serving, confinement: Confinement,
    values: Mapping[str, str | None],
) -> Mapping[str, tuple[str, ...]]:  # fmt: skip
    """Return the groups of arguments that apply."""
    has_server, is_own = serving.base_url is not None, confinement.sandbox == "own"
    applies = {
        "server": has_server, "login": not has_server, "own": is_own, "open": not is_own,
        "model": serving.model is not None, "steps": values["max_steps"] is not None,
        "usd": values["max_usd"] is not None,
    }  # fmt: skip
    return {group: adapter.groups.get(group, ()) for group, does in applies.items() if does}


def _argv(
    adapter: Adapter, argv: tuple[str, ...], groups: Mapping[str, tuple[str, ...]],
    values: Mapping[str, str | None],
) -> tuple[str, ...]:  # fmt: skip
    words: list[str] = []
    for word in argv:
        words += groups.get(word[2:-1], ()) if word.startswith("{+") else (word,)

    def value_of(name: str) -> str:
        return _value(adapter, values, name)

    return tuple(fill_argument(word, value_of, who=f"adapter {adapter.name}") for word in words)


def _filled(template: str, values: Mapping[str, str | None], adapter: Adapter) -> str:
    return fill(template, lambda name: _value(adapter, values, name))


def _value(adapter: Adapter, values: Mapping[str, str | None], name: str) -> str:
    value = values.get(name)
    if value is None:
        raise InvalidDocumentError(
            f"adapter {adapter.name} needs {{{name}}}, and nobody says it for this task",
            hint="name a model in the role" if name == "model" else None,
            adapter=adapter.name, placeholder=name,
        )  # fmt: skip
    return value


def _limits(role: Limits, adapter: Limits) -> Limits:
    """Return the limits of a role, and where it says nothing those of its adapter."""
    given = {name: value for name, value in role if value is not None}
    return adapter.but(**given)


def _path(env: Mapping[str, str]) -> str:
    return env.get("PATH") or os.environ.get("PATH", os.defpath)


def _login_values(adapter: Adapter) -> tuple[str, ...]:
    given = {name: os.environ.get(name, "") for name in adapter.login.pass_names}
    return tuple(value for value in given.values() if value)
