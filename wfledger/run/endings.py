"""How a process tree is ended: asked, given a grace, then killed until nothing is left.

`JobTree` sees every process of a job through /proc. `GroupTree` is for systems without /proc: it
reaches the process group only, so what has left the group survives (`capabilities` says so).
"""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from wfledger.clock import Clock
from wfledger.run import proctree
from wfledger.run.proctree import LOOKS, Process

#: Rounds of stopping what is new, before anything is killed; a fork bomb stands still long before.
_FREEZE_ROUNDS: Final = 64
#: Looks at what SIGKILL left, 50 ms apart, before the tree is reported as not ended.
_KILL_LOOKS: Final = 200
_POLL_S: Final = 0.05

#: Lets at most that many seconds pass.
Pause = Callable[[float], None]


class Tree(Protocol):
    """The processes of one job."""

    def alive(self) -> tuple[int, ...]:
        """Return the pids that run now; what has ended is reaped on the way."""

    def signal(self, number: int) -> None:
        """Send *number* to everything that runs."""

    def kill(self) -> None:
        """Stop everything first, so that nothing is started meanwhile, then SIGKILL it."""


class JobTree:
    """The processes of the job with a tag; *root* is its first process, an unreaped child.

    As long as the root is not waited for, the kernel gives its number to no other process, group
    or session: membership by session cannot hit a stranger.
    """

    def __init__(self, tag: str, *, root: Process | None, clock: Clock) -> None:
        self._mark = proctree.mark_of(tag)
        self._root = root
        self._clock = clock
        self._spared = proctree.lineage()
        #: What was seen to belong, by pid and start: descent is lost when a parent ends.
        self._known: dict[int, int] = {}

    def members(self, table: proctree.Table) -> list[Process]:
        """Return the processes of *table* that belong, zombies too, the root not."""
        found: dict[int, Process] = {}
        queue = [process for process in table.processes.values() if self._belongs(process, table)]
        while queue:
            process = queue.pop()
            if process.pid not in found and process.pid not in self._spared:
                found[process.pid] = process
                queue.extend(table.children(process.pid))
        self._known = {process.pid: process.started for process in found.values()}
        if self._root is not None:
            found.pop(self._root.pid, None)
        return list(found.values())

    def watch(self, *, age_s: float) -> tuple[float, frozenset[int]]:
        """Return the CPU seconds of the tree and its pids, from a look of about *age_s* ago.

        Reaps on the way, so that a long job collects no zombies.
        """
        table = LOOKS.recent(self._clock, age_s=age_s)
        members = self.members(table)
        for process in members:
            proctree.reap(process)
        if self._root is not None and self._root.pid in table.processes:
            members.append(table.processes[self._root.pid])
        return sum(one.cpu_s for one in members), frozenset(one.pid for one in members)

    def alive(self) -> tuple[int, ...]:
        """See `Tree.alive`; includes the root while it runs."""
        return tuple(process.pid for process in self._running())

    def signal(self, number: int) -> None:
        """See `Tree.signal`."""
        for process in self._running():
            proctree.send(process, number)

    def kill(self) -> None:
        """See `Tree.kill`."""
        frozen: set[Process] = set()
        identities: set[tuple[int, int]] = set()
        for _ in range(_FREEZE_ROUNDS):
            new = [one for one in self._running() if (one.pid, one.started) not in identities]
            if not new:
                break
            for process in new:
                proctree.send(process, signal.SIGSTOP)
            frozen.update(new)
            identities.update((process.pid, process.started) for process in new)
        for process in frozen:
            proctree.send(process, signal.SIGKILL)

    def _running(self) -> list[Process]:
        table = LOOKS.fresh(self._clock)
        running = []
        for process in self.members(table):
            if process.is_zombie:
                proctree.reap(process)
            else:
                running.append(process)
        root = table.processes.get(self._root.pid) if self._root is not None else None
        if root is not None and not root.is_zombie:
            running.append(root)
        return running

    def _belongs(self, process: Process, table: proctree.Table) -> bool:
        root = self._root
        if root is not None:
            if process.started < root.started:
                return False
            if root.pid in {process.pid, process.session}:
                return True
        if self._known.get(process.pid) == process.started:
            return True
        return table.owner(process) == self._mark


class GroupTree:
    """The process group of *root*, which is a child that was started as its leader."""

    def __init__(self, root: "subprocess.Popen[bytes]") -> None:
        self._root = root

    def alive(self) -> tuple[int, ...]:
        """See `Tree.alive`; one pid, the group's, stands for all."""
        if self._root.poll() is not None:
            with suppress(ChildProcessError):
                while os.waitpid(-self._root.pid, os.WNOHANG)[0]:
                    pass
        try:
            os.killpg(self._root.pid, 0)
        except PermissionError:  # macOS says so of a group of zombies
            return (self._root.pid,) if self._root.poll() is None else ()
        except ProcessLookupError:
            return ()
        return (self._root.pid,)

    def signal(self, number: int) -> None:
        """See `Tree.signal`."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._root.pid, number)

    def kill(self) -> None:
        """See `Tree.kill`; one call reaches the whole group, so nothing is stopped before."""
        self.signal(signal.SIGKILL)


def end(tree: Tree, *, grace_s: float, clock: Clock, pause: Pause) -> tuple[int, ...]:
    """End *tree*: SIGTERM, *grace_s*, SIGKILL; return the pids that outlived even that.

    Such are in an uninterruptible wait of the kernel, or belong to another user.
    """
    tree.signal(signal.SIGTERM)
    tree.signal(signal.SIGCONT)
    deadline = clock.elapsed() + grace_s
    step = 0.002
    while clock.elapsed() < deadline:
        if not tree.alive():
            break
        pause(min(step, max(deadline - clock.elapsed(), 0.0)))
        step = min(step * 2, _POLL_S)
    return _kill(tree, pause)


def _kill(tree: Tree, pause: Pause) -> tuple[int, ...]:
    step = 0.001
    clean = 0
    left: tuple[int, ...] = ()
    for _ in range(_KILL_LOOKS):
        left = tree.alive()
        clean = 0 if left else clean + 1
        # One empty look may have missed a process that forks and ends while /proc is read.
        if clean == 2:
            return ()
        if left:
            tree.kill()
            pause(step)
            step = min(step * 2, _POLL_S)
    return left
