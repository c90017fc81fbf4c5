"""What is read to be run, or to sign with: only what somebody vouches for (spec 80, section 4).

`fleet.toml`, `machine.toml` and `ledger.json` name commands, and the shared configuration says who
the user is; a worker can write all of them. So whoever is about to run something asks here, not the
files.
"""

from typing import TYPE_CHECKING, Final

from wfledger.core.policy import LedgerConfig, Policy
from wfledger.core.records import parse
from wfledger.errors import EnvironmentFailedError, InvalidDocumentError, PausedError
from wfledger.run.guard import fingerprints
from wfledger.run.guard.planted import LEDGER
from wfledger.run.guard.putback import path_of
from wfledger.run.hub import trusting as agreement
from wfledger.run.workspace import Workspace
from wfledger.vcs import fingerprint
from wfledger.vcs.fingerprint import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from wfledger.run.config.roles import Fleet
    from wfledger.vcs.repo import Identity

_ROUNDS: Final = 3


def identity(workspace: Workspace) -> "Identity | None":
    """Return who the user is, whatever a worker has set since; see `Repository.identity`."""
    record = fingerprints.Record.load(workspace)
    return workspace.repo.identity(None if record is None else record.user)


def fleet(workspace: Workspace) -> "Fleet":
    """Return fleet.toml to run something from; raises `PausedError` where nobody vouches for it.

    What is returned are the bytes that were compared, so that no change falls in between. The same
    goes for machine.toml, which it is joined with.
    """
    ours = _vouched(workspace, f"{LEDGER}fleet.toml")
    return _load(ours, _vouched(workspace, fingerprints.machine_name()))


def fleet_text(workspace: Workspace) -> str:
    """Return fleet.toml as it stands, to take a table of it elsewhere; raises as `fleet` does."""
    return _vouched(workspace, f"{LEDGER}fleet.toml").decode("utf-8", "replace")


def known_fleet(workspace: Workspace) -> "Fleet":
    """Return fleet.toml as it is known to be good, whatever it is now; empty if that is not kept.

    For what must go on under an alarm.
    """
    ours = _known(workspace, f"{LEDGER}fleet.toml")
    return _load(ours, _known(workspace, fingerprints.machine_name()))


def _load(ours: bytes, theirs: bytes) -> "Fleet":
    from wfledger.run.config.fleetfile import load

    text, machine_text = (raw.decode("utf-8", "replace") for raw in (ours, theirs))
    return load(text, machine_text=machine_text)


def _known(workspace: Workspace, name: str) -> bytes:
    if name.startswith(LEDGER):
        ours = agreement.agreed(workspace, name.removeprefix(LEDGER))
        if ours is not None:
            return ours
    record = fingerprints.Record.load(workspace)
    item = None if record is None else record.items.get(name)
    looked = Fingerprint({})
    fingerprint.look_at(looked, name, path_of(workspace, name))
    now = looked.items.get(name)
    if record is None or item == now:
        return looked.contents.get(now or "", b"")
    return (None if item is None else fingerprints.recall(workspace, item)) or b""


def require_readable(workspace: Workspace) -> None:
    """Look, and raise `PausedError` where nobody can go on since what a worker left is garbage."""
    alarm = fingerprints.check(workspace)
    if alarm is None:
        return
    try:
        workspace.config()
        workspace.fleet()
    except InvalidDocumentError as error:
        raise PausedError(f"dispatch is paused: {alarm.reason}", hint=alarm.command) from error


def policy(workspace: Workspace) -> Policy:
    """Return the policy to run something from; raises as `fleet` does."""
    return parse(LedgerConfig, _vouched(workspace, f"{LEDGER}ledger.json")).policy


def _vouched(workspace: Workspace, name: str) -> bytes:
    path = path_of(workspace, name)
    for _ in range(_ROUNDS):
        looked = Fingerprint({})
        fingerprint.look_at(looked, name, path)
        item = looked.items.get(name)
        raw = looked.contents.get(item or "", b"")
        if is_known(workspace, name, item) and _is_agreed(workspace, name, raw):
            return raw
        if (alarm := fingerprints.check(workspace)) is not None:
            raise PausedError(f"dispatch is paused: {alarm.reason}", hint=alarm.command)
    raise EnvironmentFailedError(f"{path} keeps changing", path=str(path))


def _is_agreed(workspace: Workspace, name: str, raw: bytes) -> bool:
    if not name.startswith(LEDGER):
        return True
    return agreement.is_agreed(workspace, name.removeprefix(LEDGER), raw)


def is_known(workspace: Workspace, name: str, item: str | None) -> bool:
    """Whether *item* is what *name* is known to be; before the first look everything is."""
    record = fingerprints.Record.load(workspace)
    return record is None or record.items.get(name) == item


def item_of(path: "Path") -> str | None:
    """Return what is at *path*, as it is compared."""
    looked = Fingerprint({})
    fingerprint.look_at(looked, "", path)
    return looked.items.get("")
