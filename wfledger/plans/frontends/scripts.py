"""Imperative scripts: `export default async function` with `task()`, run by quickjs (spec 94).

A script is run from its start with the results that were delivered before, one at a time, each
followed by whatever the script does about it until it waits again. It can reach nothing but its
arguments and those results, so that the same script with the same deliveries makes the same calls:
that is what lets it go on after a crash. This is the only user of quickjs, which is an extra.

Nothing here limits time: whoever plays a script that somebody else wrote does so in a process of
its own.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Literal

from wfledger.errors import WfledgerError
from wfledger.plans.frontends import script_options, script_values, scripttext
from wfledger.plans.frontends.script_options import Asked, OptionError
from wfledger.plans.frontends.scriptworld import WORLD

#: Tasks of one script.
SPAWNS: Final = 1000
HEAP_BYTES: Final = 32 * 2**20
STACK_BYTES: Final = 2**20
#: Seconds of computing in which a text is parsed.
_PARSING_S: Final = 2
_EXPORTED: Final = "__exported"
_OPENING: Final = f"(async ({_EXPORTED}) => {{"
_CLOSING: Final = f"\n;if (typeof {_EXPORTED} === 'function') return await {_EXPORTED}(args)\n}})"
#: A text that closes the one function early cannot close the other; and neither comes to run.
_PARSED: Final = (
    (f"throw 0; {_OPENING}", _CLOSING),
    (f"throw 0; ({{ async f({_EXPORTED}) {{", "\n}})"),
)
INSTALL: Final = "pip install 'wfledger[scripts]'"


class MissingExtraError(WfledgerError):
    """A package that is no part of a plain installation is needed."""

    code = "missing_extra"
    exit_status = 2


@dataclass(frozen=True)
class Script:
    """A script, and what it begins with."""

    text: str
    args: Any = None
    #: Tokens that the run may use; None: as many as it takes.
    total: int | None = None


@dataclass(frozen=True)
class Delivery:
    """The end of one call, as it was recorded."""

    #: Its number, from 1.
    call: int
    #: Tokens that all its attempts have used.
    tokens: int = 0
    #: Its result (`script_values.envelope`); None where it has failed.
    result: Mapping[str, Any] | None = None
    #: Why there is none: `agent`, `budget`, `cancelled`, `admission`.
    failed: str | None = None
    message: str = ""


@dataclass(frozen=True)
class Past:
    """What was recorded of a script: how often it was answered, and what it had asked for."""

    deliveries: Sequence[Delivery] = ()
    #: The digests of its first calls.
    known: Sequence[str] = ()
    #: How many of its calls were begun, and how many more may be now.
    begun: int = 0
    room: int = SPAWNS


@dataclass(frozen=True)
class Begins:
    """A call that may begin now."""

    number: int
    asked: Asked


@dataclass(frozen=True)
class Played:
    """How far a script has come."""

    state: Literal["waits", "returned", "threw", "stuck", "diverged"]
    #: For each call, number n at n - 1: the digest of what was given.
    digests: tuple[str, ...] = ()
    #: In order of their numbers.
    begins: tuple[Begins, ...] = ()
    #: What it returned.
    value: Any = None
    #: What it threw, or why it cannot go on.
    message: str = ""
    #: What it said, oldest first.
    log: tuple[str, ...] = ()
    phase: str = ""


def require() -> None:
    """Raise `MissingExtraError` where scripts cannot be run here."""
    try:
        import_module("quickjs")
    except ImportError:
        message = "scripts are run by quickjs, which is not installed"
        raise MissingExtraError(message, hint=INSTALL) from None


def parse_problem(text: str) -> tuple[str, scripttext.Place] | None:
    """Return why *text* is no script, and where; None where it is one. Runs none of it.

    Raises `MissingExtraError`.
    """
    require()
    import quickjs

    if "\0" in text:
        return "a NUL character", scripttext.place_of(text, text.index("\0"))
    context = quickjs.Context()
    context.set_memory_limit(HEAP_BYTES)
    context.set_max_stack_size(STACK_BYTES)
    context.set_time_limit(_PARSING_S)
    body = scripttext.as_function(text, exported=_EXPORTED)
    for opening, closing in _PARSED:
        try:
            context.eval(f"{opening}{body}{closing}")
        except quickjs.JSException as error:
            if _sentence(str(error)) != "0":
                return _sentence(str(error)), _place_in(str(error), text)
    return None


def play(script: Script, past: Past) -> Played:
    """Run *script* from its start with what was delivered to it, in that order.

    Answers `diverged` where it does not ask for what it asked for before. Raises
    `MissingExtraError`.
    """
    require()
    return _Machine(script, past).play()


@dataclass
class _Call:
    ticket: int
    asked: Asked
    digest: str
    is_open: bool = True


@dataclass
class _Machine:
    """One interpreter; used once."""

    script: Script
    past: Past
    calls: list[_Call] = field(default_factory=list)
    spent: int = 0

    def __post_init__(self) -> None:
        import quickjs

        self._error = quickjs.JSException
        self._context = quickjs.Context()
        self._context.set_memory_limit(HEAP_BYTES)
        self._context.set_max_stack_size(STACK_BYTES)

    def play(self) -> Played:
        try:
            self._begin()
            for one in self.past.deliveries:
                if not 1 <= one.call <= len(self.calls) or not self.calls[one.call - 1].is_open:
                    return self._diverged(f"call {one.call} was answered, and is not made now")
                self._deliver(self.calls[one.call - 1], one)
            return self._compared() or self._end()
        except self._error as error:
            return Played("threw", message=str(error).strip() or "the interpreter gave up")

    def _begin(self) -> None:
        given = json.dumps(self.script.args), json.dumps(self.script.total)
        # Lines of ours are counted after those of the script: they name no place in it.
        below = "\n" * (self.script.text.count("\n") + 1)
        self._host = self._context.eval(below + WORLD)(*given)
        self._host("run", self._context.eval(_wrapped(self.script.text)))
        self._admit()

    def _deliver(self, call: _Call, one: Delivery) -> None:
        value, failed, message = None, one.failed, one.message
        if one.result is not None:
            value, message = script_values.answer(call.asked, one.result)
            failed = "schema" if message else None
        call.is_open = False
        self._settle(call.ticket, value, failed=failed, message=message, used=one.tokens)
        self._admit()

    def _settle(
        self, ticket: int, value: Any, *, failed: str | None, message: str, used: int = 0
    ) -> None:
        self.spent += used
        self._host("settle", json.dumps({
            "ticket": ticket, "value": value, "failed": failed, "message": message, "used": used,
        }))  # fmt: skip

    def _admit(self) -> None:
        """Go on until the script waits, and answer at once what is refused."""
        while True:
            while self._context.execute_pending_job():
                pass
            fresh = json.loads(self._host("calls"))
            if not fresh:
                return
            for ticket, given, phase in fresh:
                refused = self._admitted(ticket, given, phase)
                if refused is not None:
                    self._settle(ticket, None, failed=refused[0], message=refused[1])

    def _admitted(self, ticket: int, given: str | None, phase: str) -> tuple[str, str] | None:
        """Take a call and number it; or return why it is none, by kind."""
        if len(self.calls) >= SPAWNS:
            return "admission", f"task(): {SPAWNS} tasks of one script are the most"
        if self.script.total is not None and self.spent >= self.script.total:
            return "budget", f"task(): {self.spent} of {self.script.total} tokens are used"
        try:
            options = json.loads(given or "null")
            asked = script_options.read(options, phase=phase)
            digest = _digest(phase, options)
            if not self._was_taken(digest):
                script_values.require_schema(asked.schema)
        except (OptionError, script_values.SchemaError) as error:
            return "admission", str(error)
        self.calls.append(_Call(ticket, asked, digest))
        return None

    def _was_taken(self, digest: str) -> bool:
        known, at = self.past.known, len(self.calls)
        return at < len(known) and known[at] == digest

    def _compared(self) -> Played | None:
        for number, before in enumerate(self.past.known, start=1):
            if number > len(self.calls):
                return self._diverged(f"call {number} was made before, and is not made now")
            if self.calls[number - 1].digest != before:
                return self._diverged(f"call {number} asks for something else than before")
        return None

    def _diverged(self, message: str) -> Played:
        return self._played("diverged", message=message)

    def _end(self) -> Played:
        told = json.loads(self._host("ending"))
        ending = told["ending"]
        if ending is None:
            if any(call.is_open for call in self.calls):
                return self._played("waits", told)
            return self._played("stuck", told, message="it waits for something that is no task")
        if ending["state"] == "returned":
            return self._played("returned", told, value=json.loads(ending["value"]))
        inside = _lines(ending["stack"], self.script.text)
        where = f" (line {inside[0]})" if inside else ""
        return self._played("threw", told, message=f"{ending['message']}{where}")

    def _played(
        self, state: Literal["waits", "returned", "threw", "stuck", "diverged"],
        told: Mapping[str, Any] | None = None, *, value: Any = None, message: str = "",
    ) -> Played:  # fmt: skip
        told = told or {"said": [], "phase": ""}
        begun = self.past.begun
        fresh = enumerate(self.calls[begun : begun + self.past.room], start=begun + 1)
        return Played(
            state=state, digests=tuple(call.digest for call in self.calls),
            begins=tuple(Begins(number, one.asked) for number, one in fresh),
            value=value, message=message, log=tuple(told["said"]), phase=told["phase"],
        )  # fmt: skip


def _digest(phase: str, options: Any) -> str:
    canonical = json.dumps([phase, options], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _wrapped(text: str) -> str:
    return f"{_OPENING}{scripttext.as_function(text, exported=_EXPORTED)}{_CLOSING}"


def _sentence(error: str) -> str:
    return error.strip().partition("\n")[0] or "cannot be read"


def _lines(error: str, text: str) -> list[int]:
    """Return the lines of *text* that an error names, innermost first; others are of our own."""
    last = max(1, len(text.splitlines()))
    return [n for line in re.findall(r"<input>:(\d+)", error) if (n := int(line)) <= last]


def _place_in(error: str, text: str) -> scripttext.Place:
    """Return where a text cannot be parsed; the interpreter counts no columns."""
    inside = _lines(error, text)
    # What is missing at the end is missed behind it.
    behind = len(text.splitlines()) if "<input>:" in error else 1
    return scripttext.Place(inside[0] if inside else max(1, behind), 1)
