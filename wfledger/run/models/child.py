"""The process of a model worker: `python -P -m wfledger.run.models ORDER --key FD --report FD`.

It runs outside of any sandbox, since it is ours: what the model does goes through its tools. It can
be killed at any moment; what was written stays in the worktree, what was said in the transcript,
and what was used in the report.
"""

import argparse
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.clock import Clock, SystemClock, parse_iso
from wfledger.core import bounds
from wfledger.core.changes import Rules
from wfledger.core.documents import Result, Task
from wfledger.core.records import canonical_json, parse
from wfledger.core.scopes import parse_all
from wfledger.core.text import clean_line
from wfledger.core.usage import Usage
from wfledger.errors import WfledgerError
from wfledger.run.config.providers import Provider
from wfledger.run.models.allowance import Allowance
from wfledger.run.models.answers import Answer
from wfledger.run.models.client import Client, Request, Server
from wfledger.run.models.conversation import Conversation, Finished, Setting
from wfledger.run.models.files import Files
from wfledger.run.models.instructions import system_prompt
from wfledger.run.models.metering import Meter
from wfledger.run.models.order import (
    Entrusted,
    Order,
    Report,
    TroubleNote,
    read_server,
    take_over,
    write_report,
)
from wfledger.run.models.places import Place
from wfledger.run.models.running import Commands, Means, own_tag
from wfledger.run.models.submitting import Subject
from wfledger.run.models.toolbox import Toolbox
from wfledger.run.models.transcript import Transcript, clean
from wfledger.run.models.troubles import Refused
from wfledger.run.money import breakers, meters
from wfledger.run.money.caps import guard
from wfledger.run.processes.environment import build, redact, secrets_of
from wfledger.run.workers.launch import Trouble
from wfledger.run.workspace import Workspace

_PR_SET_DUMPABLE: Final = 4
#: Seconds between two words to the log while a model thinks.
_WORD_S: Final = 30.0
#: Variables of the worker's that are the ledger's business, not a command's.
_LEDGERS: Final = ("WFLEDGER_TOKEN",)


def main(arguments: list[str]) -> int:
    """Do what the order says; 0 unless something of ours is broken."""
    parser = argparse.ArgumentParser(prog="wfledger.run.models")
    parser.add_argument("order", type=Path)
    parser.add_argument("--key", type=int, required=True)
    parser.add_argument("--report", type=int, required=True)
    given = parser.parse_args(arguments)
    _hide()
    for descriptor in (given.key, given.report):
        os.set_inheritable(descriptor, False)
    order = parse(Order, given.order.read_bytes(), limit=bounds.RUN_BYTES)
    entrusted = take_over(given.key)
    child = _Child(order, entrusted, given.report, SystemClock())
    child.work()
    return 0


def _hide() -> None:
    """Let no other process of the user's read this one's memory, and the key in it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class _Child:
    def __init__(self, order: Order, entrusted: Entrusted, report: int, clock: Clock) -> None:
        self._order, self._report, self._clock = order, report, clock
        key = () if entrusted.key is None else (entrusted.key,)
        self._secrets = (*key, *entrusted.secrets, *secrets_of(os.environ))
        self._task = parse(Task, Path(order.task_file).read_bytes())
        self._meter = Meter(order.before)
        self._model: str | None = None
        self._runtime = os.getppid()
        end = os.environ.get("WFLEDGER_DEADLINE")
        self._deadline = parse_iso(end) if end else None
        self._workspace = Workspace.open(
            Path(order.main), clock=clock, state_home=Path(order.state_home)
        )
        profile, model = read_server(order.profile, order.provider)
        self._server = Server(order.base_url, profile, model, entrusted.key)
        provider = Provider(
            order.provider, profile.name, order.base_url, budget=order.provider_budget
        )
        #: What others use counts as well, of its run and of its provider.
        self._budgets = guard(self._workspace, self._task, provider)

    def work(self) -> None:
        """Hold the conversation, and leave the result and the report."""
        transcript = Transcript(Path(self._order.transcript), self._secrets, self._clock)
        transcript.begin(anew=not self._order.resumes)
        client = Client(self._server, self._clock)
        try:
            setting = self._setting(_Talking(client, self._says), transcript)
            finished = Conversation(setting, self._opening(transcript)).hold()
        finally:
            client.close()
        transcript.note("ended", **{"class": finished.failure_class, "message": finished.message})
        self._end(finished)

    def _opening(self, transcript: Transcript) -> list[dict[str, object]]:
        """Return the conversation to go on with, or the two messages that begin one."""
        order = self._order
        before = transcript.messages() if order.resumes else []
        if before:
            self._says(f"goes on after {len(before)} messages")
            return before
        system = system_prompt(self._subject(), self._task.spec.write, order.tools)
        opening: list[dict[str, object]] = [
            {"role": "system", "content": system},
            {"role": "user", "content": redact(order.prompt, self._secrets)},
        ]
        for message in opening:
            transcript.message(message)
        return opening

    def _setting(self, model: "_Talking", transcript: Transcript) -> Setting:
        order = self._order
        write = parse_all(self._task.spec.write)
        files = Files(
            Place(Path(order.folder)), write, Rules.of(order.policy),
            inputs=Place(Path(order.inputs)),
        )  # fmt: skip
        commands = Commands(self._means(), self._clock) if "run" in order.tools else None
        toolbox = Toolbox(order.tools, files, commands, goes_on=order.resumes)
        return Setting(
            subject=self._subject(), model=model, toolbox=toolbox,
            allowance=self._allowance(), meter=self._meter, transcript=transcript,
            clock=self._clock, backoff_s=self._server.profile.backoff_s, secrets=self._secrets,
            says=self._says, answered=self._answered, troubled=self._troubled,
        )  # fmt: skip

    def _subject(self) -> Subject:
        spec = self._task.spec
        return Subject(
            self._task.id, self._order.attempt, writes=spec.writes,
            may_be_empty=spec.allow_no_change,
        )  # fmt: skip

    def _allowance(self) -> Allowance:
        return Allowance(
            budget=self._order.budget, clock=self._clock, began=self._clock.now(),
            deadline=self._deadline, context=self._server.model.context,
            caps=self._caps, of_role=self._order.role_budget, role=self._order.route.role,
        )  # fmt: skip

    def _caps(self) -> str | None:
        """Return why nothing more may be spent, as far as others know."""
        if os.getppid() != self._runtime:
            return "the runtime that started it has gone"
        return self._budgets()

    def _means(self) -> Means:
        order = self._order
        key = self._server.key
        source = {
            name: value for name, value in os.environ.items()
            if name not in _LEDGERS and (key is None or key not in value)
        }  # fmt: skip
        extra = {**order.env, **{name: value for name, value in source.items()
                                 if name.startswith("WFLEDGER_")}}  # fmt: skip
        folder, shut = Path(order.folder), order.sandbox
        return Means(
            folder, build(order.pass_names, extra, folder, source=source),
            None if shut is None else shut.sandbox(), Path(order.output), own_tag(),
            self._secrets,
        )  # fmt: skip

    def _says(self, text: str) -> None:
        print(clean_line(redact(text, self._secrets)), flush=True)  # noqa: T201 - its log

    def _answered(self, model: str | None) -> None:
        """Report what it has used so far, and notice that nobody waits for it any more."""
        self._model = model or self._model
        usage = self._meter.report()
        self._put(Report(usage=usage))
        try:
            meters.write(
                Path(self._order.meter), usage, self._order.route,
                tmp=self._workspace.ledger.layout.tmp,
            )  # fmt: skip
        except OSError as error:  # what counts in the end is the report
            self._says(f"could not write its meter: {error}")
        self._says(f"answer {self._meter.steps}: {_counted(usage)}")

    def _troubled(self, refused: Refused) -> None:
        """Tell the provider's slots at once: this attempt may wait for long."""
        message = redact(refused.message, self._secrets)
        trouble = Trouble(refused.kind, message, refused.retry_after_s)
        try:
            breakers.note(self._workspace, self._order.provider, trouble)
        except (WfledgerError, OSError) as error:
            self._says(f"could not note the trouble with {self._order.provider}: {error}")

    def _end(self, finished: Finished) -> None:
        trouble = None
        if finished.refused is not None and finished.refused.kind not in {"request", "content"}:
            refused = finished.refused
            trouble = TroubleNote(
                kind=refused.kind, message=refused.message, retry_after_s=refused.retry_after_s
            )
        if finished.result is not None:
            self._submit(finished.result)
        self._put(Report(
            usage=self._meter.report(), is_over=True, trouble=trouble,
            failure_class=finished.failure_class or None, message=finished.message,
        ))  # fmt: skip
        self._says(f"{finished.failure_class}: {finished.message}" if finished.failure_class
                   else f"submitted: {finished.result and finished.result.status}")  # fmt: skip

    def _submit(self, result: Result) -> None:
        told = result.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        raw = canonical_json(clean(told, self._secrets))
        Path(self._order.result_file).write_bytes(raw)

    def _put(self, report: Report) -> None:
        left = None
        if self._deadline is not None:
            left = (self._deadline - self._clock.now()).total_seconds()
        write_report(self._report, report.but(model=self._model, left_s=left))


@dataclass(frozen=True)
class _Talking:
    """Asks, and says now and then that it still waits."""

    client: Client
    says: Callable[[str], None]

    def complete(self, request: Request) -> Answer | Refused:
        """Return the answer, or why there is none."""
        with _ticking(self.says):
            return self.client.complete(request)


@contextmanager
def _ticking(says: Callable[[str], None]) -> Iterator[None]:
    over = threading.Event()

    def tick() -> None:
        waited = 0.0
        while not over.wait(_WORD_S):
            waited += _WORD_S
            says(f"waits for the model since {waited:.0f} s")

    thread = threading.Thread(target=tick, name="ticking", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _counted(usage: Usage) -> str:
    """Return what was used so far, for the log."""
    if usage.tokens is None:
        return "its server counts no tokens"
    cached = f", {usage.cache_read} of them cached" if usage.cache_read else ""
    money = "price unknown" if usage.cost_usd is None else f"${usage.cost_usd:.4f}"
    asked = (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write or 0)
    return f"{asked} tokens in{cached}, {usage.output or 0} out, {money} so far"
