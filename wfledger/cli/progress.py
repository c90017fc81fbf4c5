"""How a run is shown while it goes on: a table that lives, or one line for each event."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wfledger.cli.render import is_fancy, say, short, span
from wfledger.core.documents import Run
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from wfledger.run.engine import Pulse
    from wfledger.run.session import Listener
    from wfledger.run.workspace import Workspace

#: Tasks that the live table shows, the moving ones first.
_ROWS: Final = 30
_ORDER: Final = (
    Status.IN_PROGRESS, Status.MERGING, Status.BLOCKED, Status.PENDING, Status.WAITING,
    Status.CANCELLED,
)  # fmt: skip


@contextmanager
def progress(workspace: "Workspace", run: Run, *, err: bool) -> Iterator["Listener"]:
    """Show *run* while it goes on, as standard output allows; all on standard error if *err*."""
    if err or not is_fancy():
        yield Lines(run)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(highlight=False), refresh_per_second=4, transient=True) as live:
        yield _Board(workspace, run, live)


def _heard(*, at_once: bool) -> str:
    """Return what is said to somebody who pressed Ctrl-C."""
    if at_once:
        return "stopping what runs; its work is kept"
    return "nothing more is started; Ctrl-C again stops what runs (its work is kept)"


class Lines:
    """One line on standard error for each event and each change of a task's status."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen: dict[str, Status] = {}
        self._waits: dict[str, str] = {}
        self._guard = threading.Lock()

    def event(self, task_id: str, text: str) -> None:
        """Print what happens to a task."""
        # A reader that has gone must not end the run.
        with self._guard, suppress(OSError, ValueError):
            say(f"{short(task_id, self._run.id)}: {clean_line(text)}", err=True)

    def stopping(self, *, at_once: bool) -> None:
        """Print what Ctrl-C has led to."""
        with self._guard, suppress(OSError, ValueError):
            say(_heard(at_once=at_once), err=True)

    def pulse(self, pulse: "Pulse") -> None:
        """Print what has come to an end, or to a person, since the last tick."""
        view = pulse.step.view
        now = {task.id: status for task, status in view.of_run(self._run.id)}
        now |= dict.fromkeys((i for i in view.done if short(i, self._run.id) != i), Status.DONE)
        self._say_waits(pulse)
        for task_id, status in now.items():
            if self._seen.get(task_id) is status:
                continue
            self._seen[task_id] = status
            if status in {Status.DONE, Status.BLOCKED, Status.CANCELLED}:
                self.event(task_id, status.value)


    def _say_waits(self, pulse: "Pulse") -> None:
        """Print who stands in a task's way, once for each reason; not in runs of hundreds."""
        waits = pulse.step.obstacles
        for task_id, reason in waits.items() if len(waits) <= _ROWS else ():
            if self._waits.get(task_id) != reason:
                self._waits[task_id] = reason
                self.event(task_id, f"waits: {reason}")


@dataclass
class _Phase:
    text: str
    since: float


class _Board:
    """A table of the tasks that are not done: what each does, for how long, or why it waits."""

    def __init__(self, workspace: "Workspace", run: Run, live: "Live") -> None:
        self._clock = workspace.clock
        self._run = run
        self._live = live
        self._phases: dict[str, _Phase] = {}
        self._note = ""

    def event(self, task_id: str, text: str) -> None:
        """Remember what a task does now; shown with the next tick."""
        self._phases[task_id] = _Phase(clean_line(text), self._clock.elapsed())

    def stopping(self, *, at_once: bool) -> None:
        """Show what Ctrl-C has led to, below the table."""
        self._note = _heard(at_once=at_once)

    def pulse(self, pulse: "Pulse") -> None:
        """Draw the table anew."""
        with suppress(OSError):
            self._live.update(self._table(pulse))

    def _table(self, pulse: "Pulse") -> "Table":
        from rich import box
        from rich.table import Table

        verdict = pulse.verdict
        title = f"run {self._run.id}"
        if verdict is not None:
            title += f": {verdict.done} of {verdict.total} done"
        shown = Table(
            title=title, box=box.SIMPLE, title_justify="left", caption=self._note or None,
            caption_justify="left",
        )
        for column in ("task", "status", "for", ""):
            shown.add_column(column, overflow="ellipsis", no_wrap=True)
        rows = [row for status in _ORDER for row in self._rows(pulse, status)]
        for row in rows[:_ROWS]:
            shown.add_row(*row)
        if len(rows) > _ROWS:
            shown.add_row(f"and {len(rows) - _ROWS} more", "", "", "")
        return shown

    def _rows(self, pulse: "Pulse", status: Status) -> Iterator[tuple[str, str, str, str]]:
        from rich.markup import escape

        for task in pulse.step.view.tasks[status]:
            if task.run != self._run.id:
                continue
            phase = self._phases.get(task.id)
            busy = status in {Status.IN_PROGRESS, Status.MERGING}
            text = phase.text if phase and busy else pulse.step.waits.get(task.id, "")
            if task.block is not None and status is Status.BLOCKED:
                text = task.block.command
            age = span(self._clock.elapsed() - phase.since) if phase and busy else ""
            name = escape(short(task.id, self._run.id))
            yield name, status.value, age, escape(clean_line(text))
