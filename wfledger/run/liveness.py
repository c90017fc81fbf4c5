"""Who is still there: locks where a runtime holds one, leases where nobody does.

An observer counts on its own clock how long something has not changed; no two clocks are compared
and no pid is believed (WFL-CLAIM-030…033). Observations are kept between processes of one boot.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wfledger.core.documents import Task
from wfledger.run.workspace import Workspace
from wfledger.store import atomic
from wfledger.store.locks import is_alive


@dataclass
class Observations:
    """Since when each observed thing has not changed, on this machine's clock of this boot."""

    path: Path
    tmp: Path
    boot: str
    now: float
    seen: dict[str, tuple[str, float]]
    used: set[str]

    @classmethod
    def load(cls, workspace: Workspace) -> "Observations":
        """Read what earlier processes of this boot observed."""
        layout, boot = workspace.ledger.layout, workspace.machine.boot
        path = layout.local / "index" / "observed.json"
        try:
            data = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            data = {}
        seen = data.get("seen", {}) if data.get("boot") == boot else {}
        entries = {key: (str(value), float(since)) for key, (value, since) in seen.items()}
        return cls(path, layout.tmp, boot, workspace.clock.elapsed(), entries, set())

    def age(self, key: str, value: object) -> float:
        """Return for how many seconds *key* has been seen to have *value*."""
        self.used.add(key)
        known = self.seen.get(key)
        if known is None or known[0] != str(value) or known[1] > self.now:
            self.seen[key] = (str(value), self.now)
            return 0.0
        return self.now - known[1]

    def save(self, *kinds: str) -> None:
        """Keep what was observed; of *kinds* (`offer`, `beat` …) only what was asked about now.

        Each observer names the kinds that it looks after, and so never forgets for another.
        """
        prefixes = tuple(f"{kind}:" for kind in kinds)
        kept = {
            key: value
            for key, value in self.seen.items()
            if key in self.used or not key.startswith(prefixes)
        }
        raw = json.dumps({"boot": self.boot, "seen": kept}).encode()
        atomic.replace(self.path, raw, tmp=self.tmp)


Owner = Literal["alive", "dead", "expired", "unrecorded"]


def owner_of(workspace: Workspace, task: Task, observations: Observations, lease_s: float) -> Owner:
    """Say whether the claimant of an in-progress *task* is still there.

    `alive` and `dead` are certain, told by the lock that a runtime holds. `expired`: a claimant who
    drives himself has not renewed for the lease. `unrecorded`: nobody has said who it is.
    """
    ledger, attempt = workspace.ledger, task.attempt
    if not ledger.is_claimed(task.id, attempt):
        return "unrecorded"
    live = ledger.layout.live(task.id, attempt)
    if live.exists():
        return "alive" if is_alive(live) else "dead"
    try:
        beat = ledger.layout.beat(task.id, attempt).read_text("ascii")
    except FileNotFoundError:
        beat = "0"
    age = observations.age(f"beat:{task.id}.{attempt}", beat)
    return "expired" if age >= lease_s else "alive"
