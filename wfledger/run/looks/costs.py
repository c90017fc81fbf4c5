"""Which model did what at which cost, for people: of a task, of a run, of all that are looked at.

What nobody knows is said, and never shown as nothing.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from wfledger.core.usage import Spent, dollars, total
from wfledger.run.money.spending import Used
from wfledger.run.workspace import Workspace


@dataclass(frozen=True)
class Share:
    """What one agent or model has used."""

    who: str
    provider: str | None
    model: str | None
    agent: str | None
    spent: Spent

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `status --json` prints."""
        return {
            "agent": self.agent, "provider": self.provider, "model": self.model,
            **as_json(self.spent),
        }  # fmt: skip


class Costs:
    """What has been used, as one look finds it."""

    def __init__(self, workspace: Workspace) -> None:
        self._attempts = workspace.spending.look().attempts()
        self._of_tasks: dict[str, list[Used]] = {}
        self._of_runs: dict[str, list[Used]] = {}
        for one in self._attempts:
            self._of_tasks.setdefault(one.task, []).append(one)
            for run in one.runs:
                self._of_runs.setdefault(run, []).append(one)

    def of_task(self, task_id: str) -> Spent | None:
        """Return what the attempts of a task have used; None where nobody could have."""
        found = self._of_tasks.get(task_id)
        return total(one.usage for one in found) if found else None

    def who(self, task_id: str) -> str | None:
        """Return which agent or model was at a task last; None where there was none."""
        found = self._of_tasks.get(task_id)
        return max(found, key=lambda one: one.attempt).who if found else None

    def as_json(self, task_id: str) -> dict[str, Any] | None:
        """Return who was at a task and what that used, for programs; None where nobody was."""
        spent = self.of_task(task_id)
        return None if spent is None else {"who": self.who(task_id), **as_json(spent)}

    def task(self, task_id: str) -> str:
        """Return who was at a task and what that cost, on one line; empty where nobody was."""
        spent = self.of_task(task_id)
        return "" if spent is None else f"{self.who(task_id)}, {spent_line(spent)}"

    def of_run(self, run_id: str) -> Spent | None:
        """Return what a run has used, and runs that its workers started; None: nothing could."""
        found = self._of_runs.get(run_id)
        return total(one.usage for one in found) if found else None

    def shares(self, run_id: str | None = None) -> tuple[Share, ...]:
        """Return what each agent and model has used, of a run or of all; the dearest first."""
        groups: dict[tuple[str, str | None, str | None, str | None], list[Used]] = {}
        for one in self._attempts if run_id is None else self._of_runs.get(run_id, ()):
            key = (one.who, one.provider, one.model, one.agent)
            groups.setdefault(key, []).append(one)
        found = [Share(*key, total(one.usage for one in ones)) for key, ones in groups.items()]
        return tuple(sorted(found, key=lambda one: (-one.spent.usd, -one.spent.tokens, one.who)))


def spent_line(spent: Spent) -> str:
    """Return a sum for people: `$1.20 + 3 attempts of unknown cost, 45k tokens`."""
    attempts = "1 attempt" if spent.unpriced == 1 else f"{spent.unpriced} attempts"
    if spent.unpriced == spent.attempts:
        money = "cost unknown"
    elif spent.unpriced:
        money = f"{dollars(spent.usd)} + {attempts} of unknown cost"
    else:
        money = dollars(spent.usd)
    if spent.uncounted == spent.attempts:
        return money
    return f"{money}, {'more than ' if spent.uncounted else ''}{tokens(spent.tokens)} tokens"


def tokens(count: int) -> str:
    """Return a number of tokens for people: 812, 45k, 1.2M."""
    if count < 1_000:
        return str(count)
    return f"{count / 1000:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"


def usage_json(spent: Spent | None, shares: Iterable[Share]) -> dict[str, Any] | None:
    """Return what a run has used, in all and by agent and model; null where it has neither."""
    if spent is None:
        return None
    return {**as_json(spent), "by": [share.as_json() for share in shares]}


def as_json(spent: Spent) -> dict[str, Any]:
    """Return a sum for programs: null where nobody knows anything, and how many are missing."""
    known = asdict(spent)
    known["usd"] = None if spent.unpriced == spent.attempts else round(spent.usd, 6)
    known["tokens"] = None if spent.uncounted == spent.attempts else spent.tokens
    known["steps"] = None if spent.uncounted == spent.attempts and not spent.steps else spent.steps
    return known
