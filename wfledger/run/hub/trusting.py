"""What a shared ledger may run on this machine, as somebody here has agreed to (spec 97).

Whoever can push to the remote can change `fleet.toml` and `ledger.json`, which name commands. So
what was agreed to is recorded outside of the repository, under the user's state, and compared after
each meeting. What people change here they have agreed to, unless it came about while attempts ran
(`run.guard`); what came from elsewhere pauses dispatch on this machine until somebody has looked.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import Final

from wfledger.clock import iso
from wfledger.core.records import canonical_json
from wfledger.errors import EnvironmentFailedError, PausedError
from wfledger.run.guard import fingerprints
from wfledger.run.guard.planted import LEDGER, Change, changes_of
from wfledger.run.hub.state import Hub
from wfledger.run.pausing import Pause, alarm_of, clear_alarm, raise_alarm
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.layout import EDITABLE

CODE: Final = "untrusted_ledger"
COMMAND: Final = "wfledger trust"
_FOLDER: Final = "trusted"
#: Earlier contents of a file that are still agreed to: a change may be taken back.
_REMEMBERED: Final = 32
#: A record is some texts of at most `settings.FILE_BYTES`.
_BYTES: Final = 4 * 2**20


@dataclass(frozen=True)
class Trusted:
    """What was agreed to, and when last."""

    ledger: str
    #: Where its remote is: what the repository says of that every worker can write.
    url: str
    at: str
    #: Name -> text, as it was agreed to last.
    files: dict[str, str]
    #: Name -> digests of all texts that were agreed to, newest first.
    known: dict[str, list[str]] = field(default_factory=dict)

    def has(self, name: str, text: str) -> bool:
        """Whether exactly this was agreed to."""
        return _digest(text) in self.known.get(name, ())

    def taking(self, files: Mapping[str, str], *, at: str) -> "Trusted":
        """Return the same with *files* agreed to, too."""
        known = {}
        for name, text in files.items():
            earlier = [one for one in self.known.get(name, ()) if one != _digest(text)]
            known[name] = [_digest(text), *earlier][:_REMEMBERED]
        return Trusted(self.ledger, self.url, at, self.files | dict(files), self.known | known)


@dataclass(frozen=True)
class Arrived:
    """A file that came from elsewhere, and is not agreed to."""

    name: str
    #: Empty where nothing was ever agreed to.
    old: bytes
    new: bytes

    @property
    def changes(self) -> tuple[Change, ...]:
        """What of it could make something else run."""
        return tuple(changes_of(f"{LEDGER}{self.name}", self.old, self.new))


def path_of(state_home: Path, ledger: str, machine: str) -> Path:
    """Return where the agreement of one machine (clone) to one ledger is recorded."""
    return state_home / "wfledger" / _FOLDER / f"{ledger}.{machine}.json"


def agree(
    path: Path, *, ledger: str, url: str, files: Mapping[str, bytes], at: str
) -> None:  # fmt: skip
    """Record that somebody has agreed to *files*; durable on return."""
    texts = {name: _text(files.get(name, b"")) for name in EDITABLE}
    _write(path, Trusted(ledger, url, at, {}).taking(texts, at=at))


def recorded(workspace: Workspace) -> Trusted | None:
    """Return what was agreed to; None where nothing was, or nobody can read it."""
    try:
        return Trusted(**json.loads(atomic.read(_path(workspace), limit=_BYTES)))
    except (OSError, ValueError, TypeError):
        return None


def check(workspace: Workspace) -> Pause | None:
    """Compare what may run with what was agreed to; returns the alarm that there is now.

    Before the remote's changes are shown it takes what people have changed here for agreed to;
    afterwards whatever else differs pauses dispatch. Where the ledger is ours alone it only clears
    what it has raised itself.
    """
    present = fingerprints.check(workspace)
    found = _unagreed(workspace, is_alarmed=present is not None)
    with workspace.ledger.locks.hold_briefly("trust"):
        alarm = alarm_of(workspace)
        if alarm is not None and alarm.code != CODE:
            return alarm
        if not found:
            if alarm is not None:
                clear_alarm(workspace)
            return None
        changes = [change for one in found for change in one.changes]
        reason = _reason(workspace, changes)
        if alarm is not None and alarm.reason == reason:
            return alarm
        clear_alarm(workspace)
        return raise_alarm(
            workspace, CODE, reason, command=COMMAND, count=len(changes),
            changes=[change.as_json() for change in changes[: fingerprints.NAMED]],
        )  # fmt: skip


def is_agreed(workspace: Workspace, name: str, raw: bytes) -> bool:
    """Whether exactly *raw*, about to be run from, is agreed to; cheap where it is.

    Raises `PausedError` where somebody has to look first. False where it was changed here just now:
    what is there then is to be read again.
    """
    if not workspace.is_shared:
        return True
    record = recorded(workspace)
    if record is not None and record.has(name, _text(raw)):
        return True
    alarm = check(workspace)
    if alarm is not None:
        raise PausedError(f"dispatch is paused: {alarm.reason}", hint=alarm.command)
    return False


def arrived(workspace: Workspace) -> tuple[Arrived, ...]:
    """Return the files that are not agreed to, as they are now; changes nothing."""
    if not workspace.is_shared:
        return ()
    record = recorded(workspace)
    found = (
        Arrived(name, _known(record, name), text.encode())
        for name, text in _differing(workspace, record).items()
    )
    return tuple(one for one in found if record is None or one.changes)


def accept(workspace: Workspace, files: Mapping[str, bytes] | None = None) -> None:
    """Agree to *files*, as somebody has seen them; by default to what is there now.

    Where nothing was ever agreed to *files* are all there are.
    """
    if not workspace.is_shared or (files is not None and not files):
        return
    if files is None:
        files = {name: text.encode() for name, text in _present(workspace).items()}
    hub, at = workspace.hub, iso(workspace.clock.now())
    record = recorded(workspace)
    if record is None:
        agree(_path(workspace), ledger=workspace.config().id, url=hub.url if hub else "",
              files=files, at=at)  # fmt: skip
    else:
        texts = {name: _text(raw) for name, raw in files.items()}
        _write(_path(workspace), record.taking(texts, at=at))
    _clear(workspace)


def put_back(workspace: Workspace) -> None:
    """Make what arrived what was agreed to before, for all machines: it is pushed like any change.

    Where nothing was ever agreed to nothing is changed.
    """
    found = [one for one in arrived(workspace) if recorded(workspace) is not None]
    with workspace.ledger.transaction("person") as changes:
        for one in found:
            changes.put_file(one.name, one.old, why="put back by trust --restore")
    _clear(workspace)


def agreed(workspace: Workspace, name: str) -> bytes | None:
    """Return a file as it was agreed to last, for what must go on meanwhile; None: it is that."""
    record = recorded(workspace)
    is_other = workspace.is_shared and name in _differing(workspace, record)
    return _known(record, name) if is_other else None


def refuse_other_address(workspace: Workspace, hub: Hub) -> None:
    """Raise `EnvironmentFailedError` where the remote is another than a person has said.

    Asked before anything goes over the network. Who never agreed to anything is asked by `check`.
    """
    record = recorded(workspace)
    if record is not None and record.url != hub.url:
        raise EnvironmentFailedError(
            f"the remote was {record.url}, and somebody wrote down {hub.url} instead",
            hint=f"wfledger remote set {quote(record.url)}",
        )


def inherit(workspace: Workspace, record: Trusted | None) -> None:
    """Take over what was agreed to under this machine's former id, or before it had an address."""
    if record is not None:
        _write(_path(workspace), record)


def forget(workspace: Workspace) -> None:
    """Let go of what was agreed to: the ledger is ours alone again."""
    _path(workspace).unlink(missing_ok=True)
    check(workspace)


def _clear(workspace: Workspace) -> None:
    alarm = alarm_of(workspace)
    if alarm is not None and alarm.code == CODE and not arrived(workspace):
        clear_alarm(workspace)


def _unagreed(workspace: Workspace, *, is_alarmed: bool) -> tuple[Arrived, ...]:
    """Return what is not agreed to, after agreeing to what is harmless or was changed here."""
    record = recorded(workspace)
    differing = _differing(workspace, record) if workspace.is_shared else {}
    if not differing or record is None:
        return arrived(workspace) if differing else ()
    ours = {}
    for name, text in differing.items():
        is_harmless = not Arrived(name, _known(record, name), text.encode()).changes
        if is_harmless or (not is_alarmed and not _is_confirmed(workspace, name, text)):
            ours[name] = text
    if ours:
        _write(_path(workspace), record.taking(ours, at=iso(workspace.clock.now())))
    return arrived(workspace)


def _is_confirmed(workspace: Workspace, name: str, text: str) -> bool:
    """Whether a file is what the remote has: then it came from there.

    What is changed here is agreed to before it is pushed. The branch is moved before a change from
    elsewhere is written into the directory, so none is taken for ours, whenever we die.
    """
    return _text(workspace.history.read(name) or b"") == text


def _differing(workspace: Workspace, record: Trusted | None) -> dict[str, str]:
    present = _present(workspace)
    return {n: text for n, text in present.items() if record is None or not record.has(n, text)}


def _present(workspace: Workspace) -> dict[str, str]:
    return {name: workspace.ledger.read_text(name) or "" for name in EDITABLE}


def _known(record: Trusted | None, name: str) -> bytes:
    return b"" if record is None else record.files.get(name, "").encode()


def _reason(workspace: Workspace, changes: list[Change]) -> str:
    hub = workspace.hub
    where = hub.name if hub is not None else "the remote"
    if recorded(workspace) is None:
        return f"nobody has agreed here to what the ledger of {where} may run"
    first, rest = changes[0].line(), len(changes) - 1
    return f"{where} brought another {first}" + (f" and {rest} more" if rest else "")


def _path(workspace: Workspace) -> Path:
    machine = workspace.ledger.layout.machine
    return path_of(workspace.state.parent.parent, workspace.ledger_id, machine)


def _write(path: Path, trusted: Trusted) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.replace(path, canonical_json(asdict(trusted)), tmp=path.parent, durable=True, mode=0o600)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
