"""Finding a remote and looking at what is there, before a ledger is put on it or taken from it.

Nothing here changes anything, on either side, but the scratch ref that `probe` makes and removes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Final

from wfledger.core import hub as rules
from wfledger.core.policy import LedgerConfig, Policy
from wfledger.core.records import parse
from wfledger.errors import InvalidDocumentError, RemoteError, UnreachableError, UsageError
from wfledger.run.hub.names import Names, Space
from wfledger.run.hub.state import Hub
from wfledger.run.refnames import HUB, RUNS
from wfledger.store.layout import EDITABLE
from wfledger.vcs import addresses, proc, remote
from wfledger.vcs.refs import RefUpdate, swap
from wfledger.vcs.remote import Trouble
from wfledger.vcs.repo import Repository

#: Seconds for one call over the network; a first fetch of a long history may take longer.
CALL_S: Final = 30.0
FETCH_S: Final = 600.0
SPACES: Final[tuple[Space, ...]] = ("hidden", "branches")
#: Where the ledger of a remote is fetched to, to be looked at.
LOOKED_AT: Final = f"{HUB}/looked-at"
#: Commits of the ledger's history that a newcomer is given.
DEPTH: Final = 1000
_DEFAULT: Final = "origin"
_PATTERNS: Final = (*(one for space in SPACES for one in Names(space).patterns), f"{RUNS}*")


@dataclass(frozen=True)
class Address:
    """A remote by the name that people know it by, and where it is."""

    name: str
    url: str


@dataclass(frozen=True)
class Found:
    """What there is at a remote."""

    address: Address
    #: Full ref name -> commit, of everything that is wfledger's, and of branches of runs.
    refs: Mapping[str, str]

    @property
    def space(self) -> Space | None:
        """In which names its ledger is; None where it has none."""
        return next((space for space in SPACES if Names(space).ledger in self.refs), None)

    @property
    def tip(self) -> str | None:
        """The commit of its ledger."""
        return None if self.space is None else self.refs[Names(self.space).ledger]

    @property
    def machines(self) -> tuple[str, ...]:
        """The ids of the machines that have said that they take part."""
        prefix = Names(self.space or "hidden").beats
        beats = (ref for ref in self.refs if ref.startswith(prefix))
        return tuple(sorted(ref.removeprefix(prefix) for ref in beats))


@dataclass(frozen=True)
class Fetched:
    """The ledger of a remote, fetched to be looked at."""

    repo: Repository
    tip: str
    config: LedgerConfig
    #: Name -> content of what decides what runs.
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Pace:
    """How soon things happen with so many machines."""

    machines: int
    #: Seconds between two pushes of one of them.
    interval_s: float
    #: Seconds that a new task usually waits for its grant; at most twice that, with a free slot.
    wait_s: float
    least_lease_s: float

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `--json` prints."""
        return dict(vars(self))


def remotes(repo: Repository) -> tuple[str, ...]:
    """Return the names of the repository's remotes."""
    keys = (one.key for one in proc.settings(repo.git_dir))
    found = {key[7:-4] for key in keys if key.startswith("remote.") and key.endswith(".url")}
    return tuple(sorted(found))


def address(repo: Repository, wanted: str | None, *, start: Path | None = None) -> Address:
    """Return what a person means: a remote's name, an address, or with None the one there is.

    A path that was typed is meant from *start*, where the person is; in what git has written down
    it is meant from the main checkout.
    Raises `UsageError` for what is neither, `RepositoryError` for addresses that are not used.
    """
    known = remotes(repo)
    if wanted is None:
        wanted = known[0] if len(known) == 1 else _DEFAULT
    if wanted in known:
        return Address(wanted, addresses.url_of(repo, wanted))
    place = addresses.folder(wanted)
    typed = None if place is None else ((start or Path()) / place).absolute()
    is_path = typed is not None and "/" in wanted and typed.is_dir()
    if is_path or ":" in wanted:
        found = addresses.resolved(repo, str(typed) if is_path else wanted)
        return Address(found, found)
    names = ", ".join(known) or "none"
    raise UsageError(
        f"{wanted} is neither a remote of this repository nor an address (remotes: {names})",
        hint=_how_to_name(wanted, known),
        remotes=list(known),
    )  # fmt: skip


def _how_to_name(wanted: str, known: Collection[str]) -> str:
    if "/" not in wanted:
        return f"git remote add {wanted} URL"
    return "an existing folder, or an address such as ssh://HOST/PATH" if _DEFAULT in known else (
        f"git remote add {_DEFAULT} URL"
    )  # fmt: skip


def look(repo: Repository, at: Address, *, timeout: float = CALL_S) -> Found:
    """Return what is there; raises `UnreachableError` or `RemoteError` where nobody can look."""
    listed = remote.listing(repo, at.url, _PATTERNS, timeout=timeout)
    if isinstance(listed, Trouble):
        raise failure(at, listed)
    return Found(at, listed.refs)


def fetch(repo: Repository, found: Found, *, depth: int | None) -> Fetched:
    """Fetch the ledger of a remote to be looked at, at most its last *depth* commits.

    None for whoever has it already: his own history would end there too. Raises `RemoteError`
    where there is none, or where what is there is no ledger.
    """
    if found.space is None:
        raise no_ledger(found.address)
    wanted = [f"+{Names(found.space).ledger}:{LOOKED_AT}"]
    done = remote.fetch(repo, found.address.url, wanted, timeout=FETCH_S, depth=depth)
    if isinstance(done, Trouble):
        raise failure(found.address, done)
    tip = repo.tip(LOOKED_AT)
    if tip is None:
        raise no_ledger(found.address)
    files = {name: repo.read_blob(tip, name) or b"" for name in EDITABLE}
    try:
        config = parse(LedgerConfig, files["ledger.json"])
    except InvalidDocumentError as error:
        raise RemoteError(
            f"what {found.address.name} has is no ledger that this version can read: "
            f"{error.message}", hint="use the version of wfledger that made it", kind="no_ledger",
        ) from None
    return Fetched(repo, tip, config, files)


def forget(repo: Repository) -> None:
    """Let go of what was fetched to be looked at."""
    tip = repo.tip(LOOKED_AT)
    if tip is not None:
        swap(repo, [RefUpdate(LOOKED_AT, None, tip)], reason="wfledger: looked at")


def paces(policy: Policy, host: str | None, machines: int) -> list[Pace]:
    """Return how soon things happen with one machine, with *machines*, and with more."""
    counts = sorted({1, 2, 4, 8, 16, max(machines, 1)})
    return [pace(policy, host, count) for count in counts]


def pace(policy: Policy, host: str | None, machines: int) -> Pace:
    """Return how soon things happen with so many machines (WFL-HUB-040, WFL-HUB-041)."""
    interval = rules.interval_s(policy.remote, host, machines)
    return Pace(machines, interval, interval, rules.least_lease_s(interval))


def refuse_short_lease(
    policy: Policy, host: str | None, machines: int, *, where: str, options: str = ""
) -> None:  # fmt: skip
    """Raise `UsageError` where nobody could tell a slow machine from a dead one (WFL-HUB-041).

    *options* are those that were given, to be given again.
    """
    found = pace(policy, host, machines)
    if policy.lease_s >= found.least_lease_s:
        return
    whose = f"{machines} machines" if machines != 1 else "one machine"
    raise UsageError(
        f"with {whose} that push to {where} once in {found.interval_s:g} s each, a lease of "
        f"{policy.lease_s:g} s is too short: a slow machine could not be told from a dead one",
        hint=f"wfledger remote set {quote(where)}{options} --lease {found.least_lease_s:g}",
        lease_s=policy.lease_s, least_lease_s=found.least_lease_s, machines=machines,
        interval_s=found.interval_s,
    )  # fmt: skip


def host_of(at: Address) -> str | None:
    """Return the server's name; None for a path of this machine."""
    return Hub(at.name, at.url, "hidden", atomic=False, root="").host


def no_ledger(at: Address) -> RemoteError:
    """Return what to say where there is nothing to join."""
    return RemoteError(
        f"{at.name} has no ledger", kind="no_ledger",
        hint=f"on the machine that has it: wfledger remote set {quote(at.name)}; "
             f"or begin a new one here: wfledger init --remote {quote(at.name)}",
    )  # fmt: skip


def failure(at: Address, trouble: Trouble) -> RemoteError | UnreachableError:
    """Return the error that says what went wrong on the way to a remote, and what helps."""
    message, hint = f"{at.name}: {trouble.message}", trouble.hint or None
    if trouble.passes:
        return UnreachableError(message, hint=hint, kind=trouble.kind)
    return RemoteError(message, hint=hint, kind=trouble.kind)
