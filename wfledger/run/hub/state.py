"""What this machine knows of its remote: where it is, and how far it has come with it.

`<common dir>/wfledger/hub/remote.json` says that there is one; without it the ledger is this
machine's alone. `state.json` beside it is written by whoever syncs, durably before each push.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from wfledger.core.records import canonical_json
from wfledger.errors import LedgerDamagedError
from wfledger.run.hub.names import Names, Space
from wfledger.store import atomic

FOLDER: Final = "hub"
_CONFIG: Final = "remote.json"
_STATE: Final = "state.json"
_DISTRUST: Final = "distrusted"
#: What the first is called while the machine leaves its remote.
_LEFT: Final = "remote.left"


@dataclass(frozen=True)
class Hub:
    """The remote of this machine's ledger."""

    #: The name of the git remote that it was taken from, for people.
    name: str
    #: Where it is, as the user's git would reach it.
    url: str
    space: Space
    #: Whether the server moves several refs all or none.
    atomic: bool
    #: First commit of the ledger's history, which never changes.
    root: str

    @property
    def names(self) -> Names:
        """What refs are called there."""
        return Names(self.space)

    @property
    def host(self) -> str | None:
        """The server's name; None for a path of this machine."""
        if "://" in self.url:
            return urlsplit(self.url).hostname
        head, colon, _ = self.url.partition(":")
        return head.rpartition("@")[2] if colon and "/" not in head else None


@dataclass(frozen=True)
class Inflight:
    """A push that has begun; whether it came through is told by the remote's history alone."""

    #: The tip that it makes, and the one that it expects.
    commit: str
    parent: str
    #: Segments of the journal up to this number are in it.
    upto: int
    #: Target refs that it moves: full name -> (from, to).
    targets: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    #: The heartbeat in it, when it began by `clock.elapsed()`, and in which boot.
    beat: str | None = None
    began: float = 0.0
    boot: str = ""


@dataclass(frozen=True)
class State:
    """How far this machine has come."""

    #: The confirmed tip that the directory shows, besides what the journal holds.
    applied: str | None = None
    inflight: Inflight | None = None
    #: Pushes that expected what is still the tip, and that may yet come through.
    earlier: tuple[Inflight, ...] = ()
    #: Why nothing goes on: the remote lost what it had confirmed (`rewound`), and the like.
    stopped: str | None = None
    reason: str = ""
    #: When the remote was last seen and last took a push (UTC, ISO 8601), for people.
    seen: str | None = None
    pushed: str | None = None
    #: What the last meeting ran into, or "".
    trouble: str = ""
    #: What else than the ledger the server does not take: full ref name -> its words.
    refuses: dict[str, str] = field(default_factory=dict)


def folder(local: Path) -> Path:
    """Return the folder of what is known of the remote."""
    return local / FOLDER


def is_shared(local: Path) -> bool:
    """Whether the ledger has a remote; nothing is opened."""
    return (folder(local) / _CONFIG).exists()


def read_hub(local: Path) -> Hub | None:
    """Return the remote of the ledger; None where it is this machine's alone."""
    return _hub(folder(local) / _CONFIG)


def write_hub(local: Path, hub: Hub) -> None:
    """Make *hub* the remote of the ledger; durable on return."""
    folder(local).mkdir(exist_ok=True)
    atomic.replace(folder(local) / _CONFIG, canonical_json(asdict(hub)), tmp=local / "tmp",
                   durable=True)  # fmt: skip


def leave(local: Path) -> None:
    """Let the ledger be this machine's alone, in one step; `left` tells what its remote was."""
    if is_shared(local):
        (folder(local) / _CONFIG).rename(folder(local) / _LEFT)
        atomic.sync_folder(folder(local))


def left(local: Path) -> Hub | None:
    """Return the remote that this machine has begun to leave, and not finished."""
    return _hub(folder(local) / _LEFT)


def _hub(path: Path) -> Hub | None:
    facts = _read(path)
    with _sound(path):
        return None if facts is None else Hub(**_known(Hub, facts))


def read_state(local: Path) -> State:
    """Return how far this machine has come."""
    path = folder(local) / _STATE
    facts = _read(path) or {}
    inflight, earlier = facts.pop("inflight", None), facts.pop("earlier", ())
    with _sound(path):
        if inflight is not None:
            facts["inflight"] = _inflight(inflight)
        return State(**_known(State, facts), earlier=tuple(map(_inflight, earlier)))


def _inflight(facts: dict[str, Any]) -> Inflight:
    targets = {ref: (old, new) for ref, (old, new) in facts.pop("targets", {}).items()}
    return Inflight(**_known(Inflight, facts), targets=targets)


def _known(kind: Any, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what this version knows of *facts*; a newer one beside it may have said more."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in facts.items() if name in names}


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Raise `LedgerDamagedError` where what was read lacks something, or has another shape."""
    try:
        yield
    except (AttributeError, TypeError, ValueError) as error:
        raise LedgerDamagedError(f"{path} cannot be used: {error}", path=str(path)) from None


def write_state(local: Path, state: State) -> None:
    """Remember how far this machine has come; durable on return."""
    raw = canonical_json(asdict(state))
    atomic.replace(folder(local) / _STATE, raw, tmp=local / "tmp", durable=True)


def distrust(local: Path) -> None:
    """Have the next meeting compare everything in the directory with what the remote has.

    For whoever has made files again; a file by itself, since `state.json` is who syncs's alone.
    """
    path = folder(local) / _DISTRUST
    path.touch()
    os.utime(path)


def distrusted(local: Path) -> int | None:
    """Return since when the directory is not trusted, as a mark for `trust`; None: it is."""
    try:
        return (folder(local) / _DISTRUST).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def trust(local: Path, mark: int | None) -> None:
    """Say that the directory was compared, unless somebody asked again since *mark* was read."""
    if mark is not None and distrusted(local) == mark:
        (folder(local) / _DISTRUST).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LedgerDamagedError(f"{path} cannot be read: {error}", path=str(path)) from None
    if not isinstance(found, dict):
        raise LedgerDamagedError(f"{path} cannot be read", path=str(path))
    return found
