"""How a worker is kept apart: the keys of fleet.toml about sandbox, network and isolation.

`[defaults]` says it for command tasks, worktree setup, checks and the gate; a role starts from
there and says what differs. What cannot be held together is refused when the file is read.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, cast

from wfledger.core.documents import Confined
from wfledger.run.config.settings import Reader

#: What a sandbox hides of a home where fleet.toml does not say what: keys and credentials.
HIDDEN: Final = (
    "~/.ssh", "~/.gnupg", "~/.aws", "~/.azure", "~/.kube", "~/.docker", "~/.netrc",
    "~/.git-credentials", "~/.config/gh", "~/.config/gcloud",
)  # fmt: skip
_ONLY_INSIDE: Final = ("network", "writable", "hidden")

Sandboxed = Literal["none", "bwrap"]
Isolation = Literal["worktree", "clone"]


@dataclass(frozen=True)
class Confinement:
    """What fleet.toml says of one kind of worker."""

    sandbox: Sandboxed = "none"
    #: Whether it reaches the network; always, without a sandbox.
    network: bool = True
    isolation: Isolation = "worktree"
    #: Paths outside of its worktree that a sandboxed worker may write: `/…` or `~/…`.
    writable: tuple[str, ...] = ()
    #: Paths that a sandboxed worker cannot read.
    hidden: tuple[str, ...] = HIDDEN

    def noted(self, isolation: Isolation) -> Confined:
        """Return what goes into the result of an attempt that was run so, in such a place."""
        return Confined(sandbox=self.sandbox, network=self.network, isolation=isolation)


UNCONFINED: Final = Confinement()


def read_confinement(table: Reader, base: Confinement = UNCONFINED) -> Confinement:
    """Read the keys of *table*; what it does not say is as in *base*."""
    sandbox = _one_of(table, "sandbox", ("none", "bwrap"), base.sandbox)
    boxed = sandbox == "bwrap"
    # A commit in a linked worktree writes to the directory that all worktrees share.
    apart = "clone" if boxed else base.isolation
    isolation = _one_of(table, "isolation", ("worktree", "clone"), apart)
    if boxed and isolation == "worktree":
        table.wrong("isolation", 'must be "clone" with sandbox = "bwrap"; it is when left out')
    network = table.flag("network")
    writable, hidden = (table.each(key, _path_problem) for key in ("writable", "hidden"))
    for key in _ONLY_INSIDE:
        if table.has(key) and not boxed:
            table.wrong(key, 'has no effect without sandbox = "bwrap"')
    found = replace(
        base,
        sandbox=cast("Sandboxed", sandbox), isolation=cast("Isolation", isolation),
        network=base.network if network is None else network,
        writable=(*base.writable, *writable),
        hidden=hidden if table.has("hidden") else base.hidden,
    )
    return found if boxed else Confinement(isolation=found.isolation)


def _one_of(table: Reader, key: str, known: Collection[str], otherwise: str) -> str:
    value = table.text(key)
    if value is not None and value not in known:
        table.wrong(key, f"{value!r} is none of {', '.join(known)}")
        return otherwise
    return otherwise if value is None else value


def _path_problem(path: str) -> str | None:
    if not path.startswith(("/", "~/")) or ".." in Path(path).parts:
        return "must begin with / or ~/ and hold no .."
    return None
