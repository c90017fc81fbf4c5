"""One ledger in its repository: what every operation of the runtime is given.

Opening one is cheap: git is opened only when something asks for it.
"""

import json
import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from wfledger.clock import Clock
from wfledger.core.policy import LedgerConfig, Policy
from wfledger.core.usage import Budget
from wfledger.errors import LedgerDamagedError, NoLedgerError
from wfledger.run.hub.state import Hub, is_shared, read_hub
from wfledger.run.localnames import FOLDER, LOCAL, POINTER
from wfledger.run.wholeness import Guard, points_home, require_home
from wfledger.store.boot import boot_id
from wfledger.store.ledger import Ledger
from wfledger.vcs.locate import Located, has_remotes, lender, locate, tracks

__all__ = ["FOLDER", "LOCAL", "POINTER", "Machine", "Workspace", "points_home"]

if TYPE_CHECKING:
    from wfledger.run.config.roles import Fleet
    from wfledger.run.money.spending import Spending
    from wfledger.vcs.history import History
    from wfledger.vcs.repo import Repository

@dataclass(frozen=True)
class Machine:
    """This machine as the ledger knows it."""

    id: str
    #: Identity of this boot: what it wrote about processes is void in the next.
    boot: str


@dataclass(frozen=True)
class Within:
    """The attempt that this process was started in, as its environment names it."""

    task: str
    token: str
    #: The folder of its ledger.
    root: Path | None = None
    #: Of what it may hand on, where it is not of this ledger.
    depth: int | None = None
    budget: Budget = field(default_factory=Budget)

    def is_of(self, workspace: "Workspace") -> bool:
        """Whether it is an attempt of that ledger."""
        if self.root is not None:
            return self.root == workspace.ledger.layout.root
        return workspace.ledger.find(self.task) is not None


@dataclass
class Workspace:
    """A ledger, its repository, this machine, and the clock."""

    ledger: Ledger
    common_dir: Path
    #: The user's main checkout: source of `copy` and `link`, never written to.
    main: Path
    #: Under which worktrees are made.
    state: Path
    clock: Clock
    #: Whether the file system takes `A` and `a` for one name; scopes then overlap case-folded.
    folds_case: bool = False
    #: What the user stands in; None where that is not known, as in the main checkout.
    standing: Located | None = None
    #: Whose worker we are; None: nobody's.
    within: Within | None = None
    _threads: threading.local = field(default_factory=threading.local)

    @classmethod
    def open(cls, start: Path, *, clock: Clock, state_home: Path) -> "Workspace":
        """Open the ledger of the repository that *start* is in.

        Raises `RepositoryError`, `NoLedgerError` when nobody ran `init` here, `LedgerDamagedError`
        when the ledger's folder is not the worktree that it must be (WFL-LEDGER-011).
        """
        located = _home(locate(start))
        workspace = cls._at(located, clock=clock, state_home=state_home)
        root = workspace.ledger.layout.root
        require_home(root, located.common_dir)
        Ledger.open(root, workspace.ledger.layout.local, clock=clock)
        return workspace

    @classmethod
    def open_damaged(cls, start: Path, *, clock: Clock, state_home: Path) -> "Workspace":
        """Open the ledger even where its folder is gone; for `doctor` alone."""
        return cls._at(_home(locate(start)), clock=clock, state_home=state_home)

    @classmethod
    def _at(cls, located: Located, *, clock: Clock, state_home: Path) -> "Workspace":
        local = located.common_dir / LOCAL
        try:
            facts = json.loads((local / POINTER).read_text("utf-8"))
            root, main, name = Path(facts["root"]), Path(facts["main"]), str(facts["ledger"])
        except FileNotFoundError:
            raise no_ledger(located.common_dir) from None
        except (ValueError, KeyError, TypeError):
            raise LedgerDamagedError(
                f"{local / POINTER} cannot be read", hint="wfledger doctor --fix"
            ) from None
        ledger = Ledger(root, local, clock=clock)
        folds = bool(facts.get("folds_case", False))
        state = state_home / "wfledger" / PurePath(str(facts.get("state", name))).name
        workspace = cls(ledger, located.common_dir, main, state, clock, folds, located)
        ledger.guard = Guard(workspace)
        return workspace

    @property
    def ledger_id(self) -> str:
        """The ledger's id; the folder of its worktrees begins with it."""
        return self.state.name.partition(".")[0]

    @property
    def repo(self) -> "Repository":
        """The repository; one object for each thread, as libgit2 wants it."""
        from wfledger.vcs.repo import Repository

        if not hasattr(self._threads, "repo"):
            self._threads.repo = Repository.open(self.common_dir)
        repo: Repository = self._threads.repo
        return repo

    def current_branch(self) -> str | None:
        """Return the full name of the branch that is checked out where the user stands.

        That of the main checkout in wfledger's own worktrees; None where HEAD is detached.
        """
        place = self.standing
        if place is None or place.workdir is None or self._is_own(place.workdir):
            return self.repo.head_branch()
        from wfledger.vcs.repo import Repository

        return Repository.discover(place.workdir).head_branch()

    def _is_own(self, workdir: Path) -> bool:
        """Whether a worktree is the ledger's, or of an attempt."""
        root = self.ledger.layout.root
        return workdir in {self.main, root} or workdir.is_relative_to(self.state.resolve())

    @property
    def history(self) -> "History":
        """The ledger's branch."""
        from wfledger.vcs.history import History

        return History(self.repo)

    @cached_property
    def machine(self) -> Machine:
        """This machine; its id was drawn when the ledger came to it."""
        facts = json.loads((self.ledger.layout.local / "machine.json").read_text("utf-8"))
        return Machine(facts["id"], boot_id())

    @cached_property
    def spending(self) -> "Spending":
        """What attempts have used; it remembers what it has read."""
        from wfledger.run.money.spending import spending_of

        return spending_of(self)

    @property
    def hub(self) -> Hub | None:
        """The remote through which other machines share the ledger; None: it is ours alone."""
        return read_hub(self.ledger.layout.local)

    @property
    def is_shared(self) -> bool:
        """Whether other machines share the ledger."""
        return is_shared(self.ledger.layout.local)

    def config(self) -> LedgerConfig:
        """Return ledger.json as it is now."""
        return self.ledger.config()

    def policy(self) -> Policy:
        """Return the ledger's policy as it is now."""
        return self.config().policy

    def fleet(self) -> "Fleet":
        """Return fleet.toml and machine.toml as they are now; an absent one is empty."""
        from wfledger.run.config import machine
        from wfledger.run.config.fleetfile import load

        return load(self.ledger.read_text("fleet.toml") or "", machine_text=machine.text())


def no_ledger(common_dir: Path) -> NoLedgerError:
    """Return what to say where there is none; without asking the network who has one."""
    tracked = tracks(common_dir, "wfledger")
    if tracked is not None:
        return NoLedgerError(
            f"this clone takes no part in the ledger of {tracked} yet",
            hint=f"wfledger join {tracked}",
        )
    begin = "wfledger init"
    if has_remotes(common_dir):
        begin = "wfledger join, where the remote has a ledger; else: wfledger init"
    return NoLedgerError("this repository has no ledger", hint=begin)


def _home(located: Located) -> Located:
    """Return where an attempt's clone came from in its place; anything else is what it is.

    The record of the attempt says whose it is: a clone of a user's own has its own ledger, or none.
    """
    lent = lender(located)
    if lent is None or located.workdir is None:
        return located
    record = lent / LOCAL / "attempts" / f"{located.workdir.name}.json"
    try:
        path = Path(json.loads(record.read_bytes())["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return located
    return replace(located, common_dir=lent) if path.resolve() == located.workdir else located
