"""The conversation of one attempt: ask, do what is called, until a result, a limit or a failure.

It decides nothing about the task. Before each request the budget is asked; what passes is waited
for and asked again, bounded; the rest ends it, with everything that was written still there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from wfledger.clock import Clock
from wfledger.core.documents import Result
from wfledger.core.text import encodable
from wfledger.run.models import instructions
from wfledger.run.models.allowance import Allowance
from wfledger.run.models.answers import Answer, ToolCall
from wfledger.run.models.client import Request
from wfledger.run.models.history import is_too_long, shortened, without_arguments
from wfledger.run.models.metering import Meter
from wfledger.run.models.submitting import Subject, accept, in_text
from wfledger.run.models.toolbox import SUBMIT, Done, Toolbox, schemas
from wfledger.run.models.transcript import Transcript
from wfledger.run.models.troubles import PASSING, Refused
from wfledger.run.processes.environment import redact

#: Rounds in which a result may be mended, and answers without a call that are not a result.
REPAIRS: Final = 3
NUDGES: Final = 3
#: How often one request is made at most: where it is refused for the rate, and where it failed.
RATE_TRIES: Final = 10
OVERLOAD_TRIES: Final = 5
_LONGEST_BACKOFF_S: Final = 60.0
#: A longer wait is not worth holding a place for.
_LONGEST_WAIT_S: Final = 900.0
#: Seconds between two words to the log while it waits: silence would be taken for a hang.
_WORD_S: Final = 15.0


class Asks(Protocol):
    """Whoever answers requests; `client.Client`."""

    def complete(self, request: Request) -> Answer | Refused:
        """Return the answer, or why there is none."""


@dataclass(frozen=True)
class Finished:
    """How a conversation has ended."""

    #: What was submitted; None where nothing was.
    result: Result | None = None
    failure_class: str = ""
    message: str = ""
    #: What the provider refused or failed with at the last.
    refused: Refused | None = None


@dataclass(frozen=True)
class Setting:
    """What a conversation is held with."""

    subject: Subject
    model: Asks
    toolbox: Toolbox
    allowance: Allowance
    meter: Meter
    transcript: Transcript
    clock: Clock
    #: Of the profile: seconds before the second try.
    backoff_s: float
    #: Values that go to nobody.
    secrets: tuple[str, ...]
    #: Told in one line what happens.
    says: Callable[[str], None]
    #: Told after each answer, with the model's name for itself.
    answered: Callable[[str | None], None]
    #: Told when a request was refused and is waited for.
    troubled: Callable[[Refused], None]


class Conversation:
    """One conversation, from its first messages on."""

    def __init__(self, setting: Setting, messages: list[dict[str, Any]]) -> None:
        self._with = setting
        self._messages: list[Mapping[str, Any]] = list(messages)
        self._tools = schemas(setting.toolbox.names)
        self._repairs = self._nudges = 0
        self._prompt_tokens = 0
        self._is_warned = self._must_call = False
        #: Calls whose arguments are no JSON.
        self._broken: set[str] = set()

    def hold(self) -> Finished:
        """Go on until it ends."""
        given = self._with
        while True:
            reason = given.allowance.over(given.meter)
            if reason is not None:
                return Finished(failure_class="budget", message=reason)
            self._warn()
            answer = self._ask()
            if isinstance(answer, Finished):
                return answer
            self._note(answer)
            finished = self._take(answer)
            if finished is not None:
                return finished

    def _warn(self) -> None:
        """Tell the model once that it has to come to an end (WFL-MODEL-041)."""
        near = self._with.allowance.near(self._with.meter, self._prompt_tokens)
        if near is None or self._is_warned:
            return
        self._is_warned = True
        self._with.says(f"is told to come to an end: {near}")
        self._tell(instructions.WRAP_UP.format(reason=near))

    def _ask(self) -> Answer | Finished:
        """Ask until there is an answer, or no more reason to (WFL-MODEL-012)."""
        tries: dict[str, int] = {}
        while True:
            left = self._with.allowance.seconds_left()
            found = self._with.model.complete(
                Request(self._messages, self._tools, self._must_call, quiet_s=max(left, 1.0))
            )
            if isinstance(found, Answer):
                return found
            found = Refused(
                found.kind, redact(found.message, self._with.secrets), found.status,
                found.retry_after_s,
            )  # fmt: skip
            self._with.transcript.note("refused", **{"class": found.kind, "message": found.message})
            if self._mended(found):
                continue
            count = tries[found.kind] = tries.get(found.kind, 0) + 1
            ended = self._given_up(found, count)
            if ended is not None:
                return ended
            if count == 1:
                self._with.troubled(found)
            self._wait(found, count)
            reason = self._with.allowance.over(self._with.meter)
            if reason is not None:
                return Finished(failure_class="budget", message=reason)

    def _mended(self, refused: Refused) -> bool:
        """Take out of the conversation what it was refused for, where that is known."""
        if refused.kind != "request":
            return False
        if self._broken:
            self._messages = without_arguments(self._messages, self._broken)
            self._broken = set()
            return True
        shorter = shortened(self._messages) if is_too_long(refused.message) else None
        if shorter is None:
            return False
        self._with.says("the conversation is too long: older outputs of tools are left out")
        self._messages = shorter
        return True

    def _given_up(self, refused: Refused, count: int) -> Finished | None:
        if refused.kind not in PASSING:
            return Finished(
                failure_class=refused.kind, message=refused.message, refused=refused
            )
        most = RATE_TRIES if refused.kind == "rate" else OVERLOAD_TRIES
        wait = self._wait_s(refused, count)
        if count < most and wait <= _LONGEST_WAIT_S:
            if wait < self._with.allowance.seconds_left():
                return None
            said = f"it would have to wait {wait:.0f} s, longer than it may run: {refused.message}"
            return Finished(failure_class="transport", message=said, refused=refused)
        said = f"{refused.message}; asked {count} times"
        return Finished(failure_class="transport", message=said, refused=refused)

    def _wait_s(self, refused: Refused, count: int) -> float:
        if refused.retry_after_s is not None:
            return refused.retry_after_s
        return min(self._with.backoff_s * 2.0 ** (count - 1), _LONGEST_BACKOFF_S)

    def _wait(self, refused: Refused, count: int) -> None:
        wait = self._wait_s(refused, count)
        # Those who were refused together do not come again together.
        wait += wait * 0.2 * int(self._with.clock.token()[:4], 16) / 0xFFFF
        self._with.says(f"{refused.kind}: {refused.message}; asks again in {wait:.1f} s")
        until = self._with.clock.elapsed() + wait
        while (left := until - self._with.clock.elapsed()) > 0:
            self._with.clock.wait(min(left, _WORD_S))
            if left > _WORD_S:
                self._with.says(f"waits {left - _WORD_S:.0f} s more")

    def _note(self, answer: Answer) -> None:
        usage = answer.usage
        self._with.meter.add(usage)
        if usage is not None:
            self._prompt_tokens = (
                (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write or 0)
            )
        self._with.transcript.note(
            "answer", finish=answer.finish, model=answer.model,
            usage=None if usage is None else usage.model_dump(exclude_none=True),
        )  # fmt: skip
        self._with.answered(answer.model)

    def _take(self, answer: Answer) -> Finished | None:
        cut = answer.finish == "length"
        if answer.is_empty:
            # Such a message is refused by some when it comes back.
            return self._nudge(instructions.CUT_OFF if cut else instructions.EMPTY)
        self._add(answer.message)
        self._must_call = False
        if not answer.calls:
            return self._take_text(answer, instructions.CUT_OFF if cut else instructions.SUBMIT_NOW)
        self._nudges = 0
        self._broken |= {call.id for call in answer.calls if call.problem is not None}
        for call in answer.calls:
            if call.name != SUBMIT:
                self._do(call)
            elif (finished := self._submit(call)) is not None:
                return finished
        return None

    def _take_text(self, answer: Answer, otherwise: str) -> Finished | None:
        """Look for a result in what was said, or ask for one (WFL-MODEL-022)."""
        given = in_text(answer.text)
        if given is None:
            return self._nudge(otherwise)
        found = self._accepted(given)
        if isinstance(found, Finished):
            return found
        self._tell(f"Your result is not valid: {found}")
        return self._mend(found)

    def _submit(self, call: ToolCall) -> Finished | None:
        found = call.problem or self._accepted(call.arguments)
        if isinstance(found, Finished):
            return found
        answer = Done(f"error: {found}; submit it again", f"its result is not valid: {found}")
        self._answer(call, answer)
        return self._mend(found)

    def _accepted(self, given: Mapping[str, Any]) -> Finished | str:
        toolbox = self._with.toolbox
        found = accept(self._with.subject, given, has_changed=toolbox.has_changed)
        return found if isinstance(found, str) else Finished(result=found)

    def _mend(self, problem: str) -> Finished | None:
        self._repairs += 1
        if self._repairs <= REPAIRS:
            return None
        said = f"its result was not valid after {REPAIRS} repairs: {problem}"
        return Finished(failure_class="task", message=said)

    def _nudge(self, words: str) -> Finished | None:
        self._nudges += 1
        if self._nudges > NUDGES:
            return Finished(failure_class="task", message="the model stopped without a result")
        self._must_call = True
        self._tell(words)
        return None

    def _do(self, call: ToolCall) -> None:
        left = self._with.allowance.seconds_left()
        self._answer(call, self._with.toolbox.call(call, at_most_s=max(left, 1.0)))

    def _answer(self, call: ToolCall, done: Done) -> None:
        self._with.says(done.note)
        # Names of files may hold bytes that are no UTF-8.
        text = encodable(redact(done.text, self._with.secrets))
        self._add({"role": "tool", "tool_call_id": call.id, "content": text})

    def _tell(self, words: str) -> None:
        self._add({"role": "user", "content": words})

    def _add(self, message: Mapping[str, Any]) -> None:
        self._messages.append(message)
        self._with.transcript.message(message)
