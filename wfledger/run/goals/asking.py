"""Asking a model for one thing in a fixed form: a tool that it has to call, answered until it fits.

What passes (rate limits, overload) is waited for a few times; what does not is raised. Keys and
well-known tokens are blotted out of everything that is sent.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from wfledger.core.routes import ModelPolicy
from wfledger.core.text import fenced
from wfledger.core.usage import Usage
from wfledger.errors import EnvironmentFailedError, UsageError
from wfledger.run.config.roles import Fleet
from wfledger.run.models.answers import Answer, read_arguments
from wfledger.run.models.client import Client, Request, Server
from wfledger.run.models.metering import Meter
from wfledger.run.models.servers import server_of
from wfledger.run.models.troubles import PASSING, TERMINAL, Refused
from wfledger.run.money import breakers
from wfledger.run.money.prices import place_of
from wfledger.run.processes.environment import redact, secrets_of
from wfledger.run.workers.launch import Trouble
from wfledger.run.workspace import Workspace

#: Tries of one request that fails with what passes, and the longest wait between two.
_TRIES: Final = 4
_WAIT_S: Final = 60.0

ValueT = TypeVar("ValueT")


class NoAnswerError(EnvironmentFailedError):
    """A model could not be asked; nothing was changed."""

    code = "no_answer"


@dataclass(frozen=True)
class Tool:
    """The form that an answer has to have."""

    name: str
    description: str
    #: JSON Schema of its arguments.
    parameters: Mapping[str, Any]

    def as_sent(self) -> dict[str, Any]:
        """Return it as requests name tools."""
        return {"type": "function", "function": {
            "name": self.name, "description": self.description, "parameters": self.parameters,
        }}  # fmt: skip


@dataclass(frozen=True)
class Wanted(Generic[ValueT]):
    """What is asked for."""

    system: str
    prompt: str
    tool: Tool
    #: Returns the value, or what is wrong with the arguments, for the model.
    read: Callable[[Mapping[str, Any]], "ValueT | Wrong"]
    #: How often it may mend its answer.
    repairs: int = 3


@dataclass(frozen=True)
class Wrong:
    """Why an answer cannot be used."""

    problems: tuple[str, ...]
    #: What was answered, if it has a form.
    given: Mapping[str, Any] | None = None


@dataclass
class Asker:
    """One model, and what asking it has used up to now."""

    workspace: Workspace
    #: Name of its provider, whose breaker is heeded.
    provider: str
    server: Server
    #: Variables whose secrets no request may hold.
    environ: Mapping[str, str] = field(repr=False)
    meter: Meter = field(default_factory=Meter)

    @property
    def model(self) -> str:
        """The model as people name it."""
        return f"{self.provider}/{self.server.model.name}"

    @property
    def usage(self) -> Usage:
        """What was used by all that was asked."""
        return self.meter.report()

    def get(self, wanted: Wanted[ValueT]) -> ValueT | Wrong:
        """Return what is wanted, or what is wrong with the last answer.

        Raises `NoAnswerError` where the model cannot be asked.
        """
        messages: list[Mapping[str, Any]] = [
            {"role": "system", "content": wanted.system},
            {"role": "user", "content": self._clean(wanted.prompt)},
        ]
        client = Client(self.server, self.workspace.clock)
        try:
            for left in range(wanted.repairs, -1, -1):
                answer = self._ask(client, messages, wanted.tool)
                found = _arguments(answer, wanted.tool)
                value = found if isinstance(found, Wrong) else wanted.read(found)
                if not isinstance(value, Wrong) or not left:
                    return value
                messages += self._again(answer, value, wanted.tool)
        finally:
            client.close()
        raise AssertionError("a count does not end")

    def _ask(
        self, client: Client, messages: list[Mapping[str, Any]], tool: Tool
    ) -> Answer:
        shut = breakers.shut_now(self.workspace, self.provider)
        if shut is not None:
            raise NoAnswerError(shut.reason, hint=shut.command, provider=self.provider)
        wait_s = 1.0
        for left in range(_TRIES - 1, -1, -1):
            answer = client.complete(Request(tuple(messages), (tool.as_sent(),), must_call=True))
            if isinstance(answer, Answer):
                self.meter.add(answer.usage)
                breakers.succeeded(self.workspace, self.provider)
                return answer
            refused = replace(answer, message=redact(answer.message, self._secrets()))
            asked_s = refused.retry_after_s
            if not left or refused.kind not in PASSING or (asked_s or 0) > _WAIT_S:
                self._note(refused)
                raise self._no_answer(refused)
            self.workspace.clock.wait(wait_s if asked_s is None else asked_s)
            wait_s *= 4
        raise AssertionError("a count does not end")

    def _note(self, refused: Refused) -> None:
        """Let the breaker of the provider know of what is its own trouble."""
        if refused.kind in PASSING | TERMINAL:
            trouble = Trouble(refused.kind, refused.message, refused.retry_after_s)
            breakers.note(self.workspace, self.provider, trouble)

    def _no_answer(self, refused: Refused) -> NoAnswerError:
        return NoAnswerError(
            f"{self.model} gives no answer ({refused.kind}): {refused.message}",
            kind=refused.kind, model=self.model, url=self.server.base_url,
        )

    def _secrets(self) -> tuple[str, ...]:
        return (*secrets_of(self.environ), *([self.server.key] if self.server.key else ()))

    def _again(self, answer: Answer, wrong: Wrong, tool: Tool) -> Iterable[Mapping[str, Any]]:
        """Return the answer and what is wrong with it, as the next request says them."""
        said = "\n".join(f"- {problem}" for problem in wrong.problems)
        text = self._clean(f"That cannot be used:\n{said}\nCall {tool.name} again, mended.")
        yield answer.message
        for call in answer.calls:
            yield {"role": "tool", "tool_call_id": call.id, "content": text}
        if not answer.calls:
            yield {"role": "user", "content": text}

    def _clean(self, text: str) -> str:
        return redact(text, self._secrets())


def _arguments(answer: Answer, tool: Tool) -> Mapping[str, Any] | Wrong:
    """Return the arguments of the call that was asked for; of one written as text too."""
    for call in answer.calls:
        if call.name == tool.name:
            return Wrong((call.problem,)) if call.problem else call.arguments
    if answer.calls:
        return Wrong((f"there is no tool {answer.calls[0].name}; call {tool.name}",))
    text = next(iter(fenced(answer.text)), answer.text)
    if text.lstrip().startswith("{"):
        found = read_arguments(text)
        return found if isinstance(found, Mapping) else Wrong((found,))
    return Wrong((f"answer by calling {tool.name} once, with nothing else",))


def policy_of(fleet: Fleet, *, model: str | None, role: str | None) -> ModelPolicy:
    """Return which model is asked: the one that is named, or that of a role.

    Raises `UsageError` where nobody says which, `NotFoundError` for a role that is not there.
    """
    if model is not None:
        return ModelPolicy(model=model)
    known = [one for one in fleet.roles if one.model is not None]
    found = fleet.role(role) if role or fleet.default_role else None
    if role is None and (found is None or found.model is None) and len(known) == 1:
        found = known[0]
    if found is not None and found.model is not None:
        return found.model
    who = f"the role {found.name} names no model" if found else "no role names a model"
    raise UsageError(f"{who} that could be asked", hint="--model PROVIDER/MODEL says which")


def asker_of(
    workspace: Workspace, fleet: Fleet, policy: ModelPolicy, environ: Mapping[str, str]
) -> Asker:
    """Return who asks the model of *policy*; raises `UsageError` or as `server_of`."""
    name = policy.model or ""
    provider, model = place_of(policy, fleet)
    if provider is None or model is None:
        raise UsageError(
            f"{name} names no provider that is known here",
            hint="--model PROVIDER/MODEL, with a [provider.NAME] in .wfledger/fleet.toml",
        )
    server = server_of(fleet, provider.name, model, environ)
    return Asker(workspace, provider.name, server, environ)
