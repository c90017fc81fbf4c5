"""The answer to an agent's hook, in the form that the agent understands.

All of them take exit status 2 as a no whose reason is on standard error, and no other status as
one. So nothing but a decision made here may end with 2, and trouble of our own never stops a tool
(WFL-HOOK-006).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wfledger.clock import Clock
from wfledger.errors import WfledgerError
from wfledger.run.hooks import claimed, events
from wfledger.run.hooks.claimed import Claimed
from wfledger.run.hooks.events import Event

#: Events at which a session is held that has a claimed task in its hands.
STOPS: Final = frozenset({"Stop", "SubagentStop", "TaskCompleted", "TeammateIdle"})
#: Agents that read a JSON object from a hook that lets them go on.
_READ_JSON: Final = frozenset({"claude", "codex", "qwen"})
_NO: Final = 2


@dataclass(frozen=True)
class Answer:
    """What the hook prints, and its exit status: 0 or, for a refusal, 2."""

    status: int = 0
    out: str = ""
    err: str = ""


@dataclass(frozen=True)
class Asked:
    """One call of a hook: which agent's, for which event, and the session around it."""

    agent: str
    event: str
    raw: bytes
    environ: Mapping[str, str]
    cwd: Path
    clock: Clock
    state_home: Path


def answer(asked: Asked) -> Answer:
    """Return the answer; trouble of any kind that is known lets the agent go on."""
    try:
        event = events.read(asked.raw, asked.event, cwd=asked.cwd)
        if event.name == "PreToolUse":
            return _before(asked, event)
        return _stop(asked, event) if event.name in STOPS else _after(asked, event)
    except (WfledgerError, OSError, UnicodeError) as error:  # half a character is in no name
        return Answer(err=f"wfledger hook: {error}\n")


def _own(asked: Asked, event: Event) -> Claimed | None:
    return claimed.by_environment(asked.environ, asked.cwd) or claimed.at(event.cwd)


def _shown(event: Event) -> Claimed | None:
    """Return an attempt that is in progress and whose token the session was shown."""
    found = claimed.of_session(event.whole_session, event.cwd)
    return next((one for one in found if one.is_held), None)


def _before(asked: Asked, event: Event) -> Answer:
    """Refuse a tool that would write where the attempt may not, or whose attempt is over."""
    if not event.writes:
        return Answer()
    own = _own(asked, event)
    for path in event.writes:
        subject = own or claimed.at(path.parent) or _shown(event)
        if subject is None:
            continue
        reason = _refused(asked, event, subject, path)
        if reason is not None:
            return Answer(_NO, err=reason + "\n")
    return Answer()


def _refused(asked: Asked, event: Event, subject: Claimed, path: Path) -> str | None:
    if not subject.is_held:
        inside = subject.folder is not None and path.is_relative_to(subject.folder)
        return _lost(asked, subject) if inside else None
    from wfledger.run.hooks.scope import refusal

    return refusal(
        subject, path, cwd=event.cwd, by_shell=event.by_shell,
        result_file=asked.environ.get("WFLEDGER_RESULT_FILE", ""),
    )  # fmt: skip


def _lost(asked: Asked, own: Claimed) -> str | None:
    from wfledger.run.hooks.renewing import renew

    return renew(own, clock=asked.clock, state_home=asked.state_home)


def _after(asked: Asked, event: Event) -> Answer:
    """Renew the claims; an agent one of whose claims was taken away is told so.

    The worker of a runtime is not asked: the runtime speaks for it, and ends it.
    """
    if "WFLEDGER_RESULT_FILE" in asked.environ:
        return Answer()
    own, session = _own(asked, event), event.whole_session
    if own is not None:
        reasons = [_lost(asked, own)]
    else:
        claimed.bind(asked.raw, session, event.cwd)
        shown = list(claimed.of_session(session, event.cwd))
        reasons = [_lost(asked, one) for one in shown]
        for one in shown:
            if not one.is_held:
                claimed.unbind(one, session)  # it has been told, or has handed in
    told = [reason for reason in reasons if reason is not None]
    return Answer(_NO, err="\n".join(told) + "\n") if told else Answer()


def _stop(asked: Asked, event: Event) -> Answer:
    """Hold a session that has not handed in, at most twice."""
    own = _own(asked, event) or _shown(event)
    if event.is_looker or own is None or not own.is_held:
        return Answer()
    from wfledger.run.hooks import holding

    todo = holding.open_end(own, asked.environ)
    if todo is None:
        return Answer()
    number = holding.count(own, event.session)
    if number is not None:
        return Answer(_NO, err=f"{todo} (reminder {number} of {holding.HOLDS})\n")
    said = holding.letting_go(own)
    return Answer(out=json.dumps({"systemMessage": said}) if asked.agent in _READ_JSON else said)
