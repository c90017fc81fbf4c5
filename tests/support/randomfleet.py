"""What people and workers of several machines do at random, from a seed."""

import random
from pathlib import Path

from tests.support.sharing import granting, reopened
from tests.support.workspaces import add_task
from wfledger.core.documents import Result, Task
from wfledger.core.statuses import Actor, Status
from wfledger.errors import WfledgerError
from wfledger.run.attempts.claims import claim
from wfledger.run.attempts.closing import close
from wfledger.run.byhand.adopting import Adopter
from wfledger.run.hub.cycle import meet
from wfledger.run.hub.proposals import Proposal, Sight
from wfledger.run.workspace import Workspace

_OPS = ("add", "claim", "claim", "end", "end", "cancel", "edit", "retry", "mv", "pause", "config")


class Chance:
    """One machine's people and workers; remembers what was acknowledged to them."""

    def __init__(self, workspace: Workspace, rng: random.Random) -> None:
        self.workspace = workspace
        self._rng = rng
        #: Task -> attempt and status that somebody was told.
        self.told: list[tuple[str, str]] = []
        self._serial = 0

    def act(self) -> str:
        """Do one thing; what is refused is no failure."""
        name = self._rng.choice(_OPS)
        try:
            getattr(self, f"_{name}")()
        except (WfledgerError, FileNotFoundError, IndexError):
            return f"{name} (refused)"
        return name

    def _one(self, *statuses: Status) -> Task:
        ledger = self.workspace.ledger
        found = [task for status in statuses for task in ledger.tasks(status)]
        return self._rng.choice(sorted(found, key=lambda task: task.id))

    def _mine(self, status: Status) -> Task:
        here = self.workspace.machine.id
        found = [t for t in self.workspace.ledger.tasks(status) if t.grant and t.grant.machine == here]
        return self._rng.choice(sorted(found, key=lambda task: task.id))

    def _add(self) -> None:
        self._serial += 1
        add_task(self.workspace, f"{self.workspace.main.name}-{self._serial}")

    def _claim(self) -> None:
        claim(self.workspace, worker="w", task_id=self._mine(Status.PENDING).id)

    def _mv(self) -> None:
        """Claim as a shell does, and be seen."""
        task = self._mine(Status.PENDING)
        layout = self.workspace.ledger.layout
        layout.task(Status.PENDING, task.id).rename(layout.task(Status.IN_PROGRESS, task.id))
        record = f"worker sh\nmachine {self.workspace.machine.id}\npid 1\nboot \ntoken-sha256 \n"
        layout.claim(task.id, task.attempt).write_text(record)
        if self._rng.random() < 0.7:
            Adopter(self.workspace).step()

    def _end(self) -> None:
        task = self._mine(Status.IN_PROGRESS)
        fate = self._rng.choice(("succeeded", "failed"))
        close(self.workspace, Result(task=task.id, attempt=task.attempt, status=fate), by="w")

    def _cancel(self) -> None:
        task = self._one(Status.WAITING, Status.PENDING, Status.BLOCKED)
        with self.workspace.ledger.transaction("people") as changes:
            changes.move(task.id, Status.CANCELLED, actor=Actor.PERSON, why="not needed")

    def _edit(self) -> None:
        task = self._one(Status.WAITING, Status.BLOCKED)
        with self.workspace.ledger.transaction("people") as changes:
            changes.update(task.id, why="said", answers=(*task.answers, self._rng.choice("abc")))

    def _retry(self) -> None:
        task = self._one(Status.BLOCKED)
        with self.workspace.ledger.transaction("people") as changes:
            changes.move(task.id, Status.WAITING, actor=Actor.PERSON, why="retry", block=None)

    def _pause(self) -> None:
        run = self._rng.choice(self.workspace.ledger.runs())
        state = "paused" if run.state == "open" else "open"
        with self.workspace.ledger.transaction("people") as changes:
            changes.put_run(run.but(seq=run.seq + 1, state=state), why=state)

    def _config(self) -> None:
        text = f"# {self.workspace.main.name} {self._rng.random()}\n"
        with self.workspace.ledger.transaction("people") as changes:
            changes.put_file("fleet.toml", text.encode(), why="edited")


def meet_at(root: Path, seed: int) -> None:
    """Meet the remote as a new process would, asking for some of what waits."""
    from tests.support.workspaces import open_workspace

    workspace, rng = open_workspace(root), random.Random(seed)

    def some(workspace: Workspace, sight: Sight) -> list[Proposal]:
        return [one for one in granting(workspace, sight) if rng.random() < 0.5]

    meet(workspace, (some,), timeout_s=20)


__all__ = ["Chance", "meet_at", "reopened"]
