"""What one server keeps while its client is connected: where the ledger is, and claims with tokens.

Agents lose tokens when their context is cut, so they are kept here, in memory alone; and a model
forgets to say that it lives, so a thread renews its claims, until the deadline of each
(WFL-MCP-011, WFL-MCP-012). Ending the server releases nothing: a lease runs out by itself.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.core.documents import Task
from wfledger.errors import BusyError, StaleError, UsageError, WfledgerError
from wfledger.mcp.lasting import Doing, Work
from wfledger.run.attempts import claims
from wfledger.run.attempts.handing import Foreground
from wfledger.run.attempts.recovery import recover_lost
from wfledger.run.attempts.tenure import deadline_of
from wfledger.run.liveness import has_runtime
from wfledger.run.looks.naming import resolve
from wfledger.run.workspace import Workspace

#: Longest time between two renewals; a third of a short lease is less.
_EVERY_S: Final = 60.0
_SHARE: Final = 3
#: Seconds to the next try where the ledger cannot be asked.
_RETRY_S: Final = 5.0


@dataclass(frozen=True)
class Start:
    """How a server was started: where, by whom, with which environment."""

    folder: Path
    state_home: Path
    worker: str
    environ: Mapping[str, str]
    #: Takes a line for whoever looks after the server; never standard output.
    log: Callable[[str], None]
    #: Seconds after which a call is answered though its work goes on.
    answer_s: float = 45.0


@dataclass(frozen=True)
class Kept:
    """A claim that the session holds."""

    task: str
    attempt: int
    token: str


class Session:
    """The state of one server; its methods are called from several threads."""

    def __init__(self, start: Start, *, clock: Clock) -> None:
        self._start = start
        self._home = start.folder
        self._clock = clock
        self._guard = threading.Lock()
        self._claims: dict[str, Kept] = {}
        self._busy: set[str] = set()
        self._works: dict[str, Work] = {}
        self._over = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="renew", daemon=True)
        self.worker = start.worker
        self.log = start.log

    def begin(self) -> None:
        """Take over the claim that the environment names, and begin to renew."""
        task, token = (self._start.environ.get(f"WFLEDGER_{one}") for one in ("TASK", "TOKEN"))
        if task and token:
            self._claims[task] = Kept(task, 0, token)
        self._renewer.start()

    def end(self) -> None:
        """Stop what works and renewing; every claim stays as it is."""
        for work in list(self._works.values()):
            work.end()
        self._over.set()
        self._renewer.join()

    def workspace(self) -> Workspace:
        """Open the ledger, as it is now; raises `NoLedgerError` and the like.

        The worktree that the server was started in may be cleared away; the main checkout stays.
        """
        folder = self._start.folder if self._start.folder.is_dir() else self._home
        found = Workspace.open(folder, clock=self._clock, state_home=self._start.state_home)
        self._home = found.main
        return found

    @property
    def result_file(self) -> Path | None:
        """Where a runtime wants the envelope of the attempt that it has started us in."""
        named = self._start.environ.get("WFLEDGER_RESULT_FILE")
        return Path(named) if named else None

    # -- claims ----------------------------------------------------------------------------------

    def keep(self, task: Task, token: str) -> Kept:
        """Remember a claim, to act for it and to renew it."""
        kept = Kept(task.id, task.attempt, token)
        with self._guard:
            known = self._claims.get(task.id)
            self._claims[task.id] = kept
            work = self._works.get(task.id)
            if known is None and work is not None and work.is_over:
                del self._works[task.id]  # of an attempt before this one; nobody asked any more
        return kept

    def forget(self, task_id: str) -> None:
        """Act for a claim no more."""
        with self._guard:
            self._claims.pop(task_id, None)

    def kept(self) -> list[Kept]:
        """Return the claims of the session."""
        with self._guard:
            return list(self._claims.values())

    def held(self, workspace: Workspace, task: str | None, token: str | None) -> Kept:
        """Return the claim that a call means; a token that is given is kept (WFL-MCP-011).

        Raises `UsageError` where it is not clear which, `StaleError` where it is over.
        """
        task_id = self.meant(workspace, task)
        known = next((one for one in self.kept() if one.task == task_id), None)
        secret = token or (known.token if known else None)
        if secret is None:
            raise UsageError(
                f"you hold no claim of {task_id} in this session",
                hint="give the token that wf_claim answered with, or claim it: wf_claim",
            )
        try:
            entry = claims.held_entry(workspace, task_id, secret)
        except StaleError:
            if known is not None and known.token == secret:
                self.forget(task_id)
            raise
        return self.keep(entry.task, secret)

    def meant(self, workspace: Workspace, task: str | None) -> str:
        """Return the full id of *task*, or the only one that the session has to do with."""
        if task:
            return resolve(workspace, task)
        with self._guard:
            names = sorted(self._claims.keys() | self._works.keys())
        if len(names) == 1:
            return names[0]
        raise UsageError(
            f"which task? You hold {', '.join(names) or 'none'}",
            hint="name one: task" if names else "wf_claim",
        )

    @contextmanager
    def alone(self, task_id: str) -> Iterator[None]:
        """Keep a second call for the same task out while the block lasts."""
        with self._guard:
            if task_id in self._busy:
                raise BusyError(f"another call for {task_id} is under way", hint="wait for it")
            self._busy.add(task_id)
        try:
            yield
        finally:
            with self._guard:
                self._busy.discard(task_id)

    # -- what takes long -------------------------------------------------------------------------

    def under_way(self, task_id: str) -> Work | None:
        """Return what goes on for a task, or has come to its end and nobody has heard of it."""
        with self._guard:
            return self._works.get(task_id)

    def start(self, held: Kept, do: Doing) -> Work:
        """Begin something long for a claim, or join what goes on for it."""

        def alone(waiter: Foreground) -> dict[str, Any]:
            with self.alone(held.task):
                return do(waiter)

        with self._guard:
            known = self._works.get(held.task)
            if known is not None:
                return known
            work = self._works[held.task] = Work(held.task, self.log)
        work.begin(alone)
        return work

    def outcome(self, work: Work, stop: threading.Event) -> dict[str, Any] | None:
        """Wait for *work* as long as a client does; return what it came to, or None by then."""
        if not work.wait(self._clock, stop=stop, at_most_s=self._start.answer_s):
            return None
        with self._guard:
            self._works.pop(work.task_id, None)
        return work.result()

    # -- renewing --------------------------------------------------------------------------------

    def _renew(self) -> None:
        pause = 0.0
        while not self._over.wait(pause):
            try:
                workspace = self.workspace()
                pause = min(_EVERY_S, workspace.policy().lease_s / _SHARE)
                for one in self.kept():
                    self._renew_one(workspace, one)
                self._look_after_others(workspace)
            except (WfledgerError, OSError) as error:  # no ledger yet, or a full disk
                pause = _RETRY_S
                if self.kept():
                    self.log(f"a claim is not renewed: {error}")

    def _renew_one(self, workspace: Workspace, one: Kept) -> None:
        with suppress(StaleError):  # the next call is told
            task = claims.held_entry(workspace, one.task, one.token).task
            if has_runtime(workspace, task):
                return
            deadline = deadline_of(workspace, task)
            if deadline is None or self._clock.now() < deadline:
                claims.heartbeat(workspace, one.task, one.token)

    def _look_after_others(self, workspace: Workspace) -> None:
        """Take back what sessions that are gone have held; where a runtime started us, it does."""
        if "WFLEDGER_TASK" not in self._start.environ:
            recover_lost(workspace, report=lambda task, text: self.log(f"{task}: {text}"))
