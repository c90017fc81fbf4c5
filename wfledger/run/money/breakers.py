"""What this machine knows of the providers of models: which are open, and with how many slots.

One small file for each provider in the local state, replaced in one step under a short lock, so it
holds for every process here and over restarts. After a crash in between the trouble is met again.
A file that cannot be read says nothing: the next trouble writes it anew.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from wfledger import faults
from wfledger.clock import parse_iso
from wfledger.core import breaking
from wfledger.core.breaking import Breaker, Opened
from wfledger.core.records import canonical_json
from wfledger.core.text import clean_line
from wfledger.errors import WfledgerError
from wfledger.run.processes.environment import redact, secrets_of
from wfledger.run.slots import held
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

if TYPE_CHECKING:
    from wfledger.run.workers.launch import Trouble

faults.register("breakers.noted")

#: Of the local state.
FOLDER: Final = "providers"
_BYTES: Final = 64 * 1024
#: Characters of a provider's words that are kept.
_MESSAGE: Final = 300
_WHAT: Final[Mapping[str, str]] = {
    "auth": "the key was refused", "quota": "quota or balance is used up",
    "rate": "it asked to wait", "overload": "it is overloaded",
}  # fmt: skip


@dataclass(frozen=True)
class Shut:
    """A provider that takes nothing new now, and what to do about it."""

    provider: str
    opened: Opened

    @property
    def command(self) -> str:
        """The command that lets work go on at once, ready to paste."""
        return f"wfledger provider close {self.provider}"

    @property
    def reason(self) -> str:
        """Why, since when, until when: one sentence."""
        return f"provider {self.provider}: {self.what}"

    @property
    def what(self) -> str:
        """The same where its name stands already."""
        one = self.opened
        until = f", until {one.until}" if one.until else ""
        said = f": {one.message}" if one.message else ""
        return f"{_WHAT[one.kind]} since {one.since}{until}{said}"

    def as_json(self) -> dict[str, str | None]:
        """Return the shape that `status --json` prints."""
        one = self.opened
        return {
            "provider": self.provider, "trouble": one.kind, "message": one.message,
            "since": one.since, "until": one.until, "command": self.command,
        }  # fmt: skip


class Lookout:
    """Says each time that nothing more is started on a provider, and when something is again."""

    def __init__(self, workspace: Workspace, report: Callable[[str, str], None]) -> None:
        self._workspace = workspace
        self._report = report
        self._known: dict[str, Shut] = {}

    def look(self) -> None:
        """Report what has changed since the last look."""
        found = shut(self._workspace)
        for name in sorted(found.keys() | self._known.keys()):
            one = found.get(name)
            if one is None:
                self._report(name, "answers again, or is tried")
            elif one != self._known.get(name):
                self._report(name, f"nothing more is started on it: {one.what}; {one.command}")
        self._known = found


def kind_of_slot(name: str) -> str:
    """Return the kind under which the slots of a provider are held."""
    return f"provider-{name}"


def state(workspace: Workspace, name: str) -> Breaker:
    """Return what is known of the provider *name*, or of an agent's own account."""
    try:
        found = json.loads(atomic.read(_path(workspace, name), limit=_BYTES))
        opened = found.pop("opened")
        known = Breaker(opened=Opened(**opened) if opened else None, **found)
        _check(known)
    except FileNotFoundError:
        return Breaker()
    except (WfledgerError, ValueError, TypeError, KeyError, AttributeError):
        return Breaker()
    return known


def states(workspace: Workspace) -> dict[str, Breaker]:
    """Return what is known of each provider of which anything is."""
    folder = workspace.ledger.layout.local / FOLDER
    names = sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []
    found = {name: state(workspace, name) for name in names}
    return {name: one for name, one in found.items() if not one.is_pristine}


def shut(workspace: Workspace) -> dict[str, Shut]:
    """Return the providers on which nothing new is started now."""
    return dict(_shut(workspace, workspace.clock.now()))


def _shut(workspace: Workspace, now: datetime) -> Iterator[tuple[str, Shut]]:
    for name, one in states(workspace).items():
        if one.opened is not None and one.is_open(now):
            yield name, Shut(name, one.opened)


def shut_now(workspace: Workspace, name: str | None) -> Shut | None:
    """Return why nothing new is started on *name* now, or None."""
    known = state(workspace, name) if name is not None else Breaker()
    if name is None or known.opened is None or not known.is_open(workspace.clock.now()):
        return None
    return Shut(name, known.opened)


def note(workspace: Workspace, name: str, trouble: "Trouble") -> Breaker:
    """Take note of a trouble with *name*; durable against the end of this process on return."""
    kind = cast("breaking.Trouble", trouble.kind)
    with workspace.ledger.locks.hold_briefly("provider"):
        known = breaking.troubled(
            state(workspace, name), kind, _shown(trouble.message),
            now=workspace.clock.now(), in_flight=held(workspace, kind_of_slot(name)),
            retry_after_s=trouble.retry_after_s,
        )  # fmt: skip
        _save(workspace, name, known)
    faults.point("breakers.noted")
    return known


def succeeded(workspace: Workspace, name: str) -> None:
    """Take note that *name* answers; costs a look where it was in no trouble."""
    if state(workspace, name).is_pristine:
        return
    with workspace.ledger.locks.hold_briefly("provider"):
        before = state(workspace, name)
        known = breaking.succeeded(before, now=workspace.clock.now())
        if known != before:
            _save(workspace, name, known)


def close(workspace: Workspace, name: str) -> bool:
    """Let work on *name* go on, as a person says; False where nothing kept it."""
    with workspace.ledger.locks.hold_briefly("provider"):
        known = state(workspace, name)
        if known.opened is None and known.limit is None:
            return False
        _save(workspace, name, replace(known, opened=None, limit=None, limited=None, overloads=0))
    return True


def _shown(message: str) -> str:
    """Return a provider's words, bounded; some repeat the key that they refuse."""
    return clean_line(redact(message, secrets_of(os.environ)))[:_MESSAGE]


def _check(known: Breaker) -> None:
    """Raise `ValueError` or `TypeError` where a moment is none, or a number is not one."""
    moments = [known.limited]
    if known.opened is not None:
        moments += [known.opened.since, known.opened.until]
        if known.opened.kind not in _WHAT:
            raise ValueError(known.opened.kind)
    if any(parse_iso(moment).tzinfo is None for moment in moments if moment is not None):
        raise ValueError("a moment without its zone")
    for number in (known.overloads, known.limit or 0):
        if not isinstance(cast("object", number), int):
            raise TypeError(number)


def _save(workspace: Workspace, name: str, known: Breaker) -> None:
    path = _path(workspace, name)
    if known.is_pristine:
        with suppress(FileNotFoundError):
            path.unlink()
        return
    path.parent.mkdir(exist_ok=True)
    atomic.replace(path, canonical_json(asdict(known)), tmp=workspace.ledger.layout.tmp)


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.ledger.layout.local / FOLDER / f"{name}.json"
