"""What is read to be run, or to sign with: only what somebody vouches for (spec 80, section 4).

`fleet.toml` and `ledger.json` name commands, and the shared configuration says who the user is; a
worker can write all three. So whoever is about to run something asks here, not the files.
"""

from typing import TYPE_CHECKING, Final

from wfledger.core.policy import LedgerConfig, Policy
from wfledger.core.records import parse
from wfledger.errors import EnvironmentFailedError, InvalidDocumentError, PausedError
from wfledger.run.guard import fingerprints
from wfledger.run.guard.planted import LEDGER
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

    What is returned are the bytes that were compared, so that no change falls in between.
    """
    from wfledger.run.config.roles import load

    return load(_vouched(workspace, "fleet.toml").decode("utf-8", "replace"))


def known_fleet(workspace: Workspace) -> "Fleet":
    """Return fleet.toml as it is known to be good, whatever it is now; empty if that is not kept.

    For what must go on under an alarm.
    """
    from wfledger.run.config.roles import load

    record = fingerprints.Record.load(workspace)
    item = None if record is None else record.items.get(f"{LEDGER}fleet.toml")
    if record is None or item == item_of(workspace.ledger.layout.root / "fleet.toml"):
        return workspace.fleet()
    raw = None if item is None else fingerprints.recall(workspace, item)
    return load((raw or b"").decode("utf-8", "replace"))


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
    return parse(LedgerConfig, _vouched(workspace, "ledger.json")).policy


def _vouched(workspace: Workspace, name: str) -> bytes:
    path, key = workspace.ledger.layout.root / name, f"{LEDGER}{name}"
    for _ in range(_ROUNDS):
        looked = Fingerprint({})
        fingerprint.look_at(looked, key, path)
        item = looked.items.get(key)
        if is_known(workspace, key, item):
            return looked.contents.get(item or "", b"")
        if (alarm := fingerprints.check(workspace)) is not None:
            raise PausedError(f"dispatch is paused: {alarm.reason}", hint=alarm.command)
    raise EnvironmentFailedError(f"{path} keeps changing", path=str(path))


def is_known(workspace: Workspace, name: str, item: str | None) -> bool:
    """Whether *item* is what *name* is known to be; before the first look everything is."""
    record = fingerprints.Record.load(workspace)
    return record is None or record.items.get(name) == item


def item_of(path: "Path") -> str | None:
    """Return what is at *path*, as it is compared."""
    looked = Fingerprint({})
    fingerprint.look_at(looked, "", path)
    return looked.items.get("")
