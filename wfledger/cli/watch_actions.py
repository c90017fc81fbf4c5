"""What the keys of `watch` do: the same operations as the verbs, in a thread of their own.

Each returns a line for the person who pressed the key; what goes wrong is such a line too.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from wfledger.cli.common import user
from wfledger.cli.failures import problems_of
from wfledger.cli.render import ago
from wfledger.core.text import clean, clean_line
from wfledger.errors import WfledgerError

if TYPE_CHECKING:
    from wfledger.run.looks.explain import Why
    from wfledger.run.workspace import Workspace

_MESSAGE: Final = 500
#: Bytes of output that are shown at once: what fits many screens.
_TAIL: Final = 64 * 1024

Told = Callable[[str], None]


class Actions:
    """Runs one action after another; the board goes on meanwhile."""

    def __init__(self, workspace: "Workspace") -> None:
        self._workspace = workspace
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="action")
        self._running: list[tuple[str, Future[str]]] = []

    @property
    def busy(self) -> list[str]:
        """What is under way."""
        return [name for name, future in self._running if not future.done()]

    def finished(self) -> list[str]:
        """Return what has come of actions that are over since the last call."""
        over = [(name, future) for name, future in self._running if future.done()]
        self._running = [one for one in self._running if one not in over]
        return [_said(name, future) for name, future in over]

    def close(self) -> None:
        """Let go; what is under way goes on to its end in the ledger, which may take a moment."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def stop(self, task_id: str) -> None:
        """End what runs of a task; its work is kept."""
        from wfledger.run.attempts import stopping

        def act() -> str:
            done = stopping.stop(self._workspace, task_id, reason="from the board")
            stopped = bool(done.attempts) and done.attempts[-1].outcome == "stopped"
            return "was stopped, its work is kept" if stopped else "had ended by itself"

        self._start(f"stop {task_id}", task_id, act)

    def retry(self, task_id: str) -> None:
        """Let a blocked task be tried again."""
        from wfledger.run import people

        def act() -> str:
            people.retry(self._workspace, task_id)
            return "will be tried again"

        self._start(f"retry {task_id}", task_id, act)

    def answer(self, task_id: str, text: str) -> None:
        """Answer a task's question."""
        from wfledger.run import people

        def act() -> str:
            people.answer(self._workspace, task_id, text, who=user())
            return "has its answer"

        self._start(f"answer {task_id}", task_id, act)

    def open(self, task_id: str) -> None:
        """Make a worktree with a task's kept work and tell where it is."""
        from wfledger.run.attempts.mending import open_worktree

        def act() -> str:
            opened = open_worktree(self._workspace, task_id)
            return f"is in {opened.place.path}"

        self._start(f"open {task_id}", task_id, act)

    def pause(self, *, resume: bool) -> None:
        """Pause dispatch of the whole ledger, or let it go on."""
        from wfledger.run.pausing import set_paused

        def act() -> str:
            set_paused(self._workspace, None if resume else "paused from the board")
            return "goes on" if resume else "is paused; what runs goes on to its end"

        self._start("resume" if resume else "pause", "dispatch", act)

    def _start(self, name: str, subject: str, act: Callable[[], str]) -> None:
        from wfledger.run.hub.confirming import bring_in

        def carry_out() -> str:
            said = act()
            brought = bring_in(self._workspace)
            return f"{subject} {said}" + (f"; {brought.said}" if brought.said else "")

        self._running.append((name, self._pool.submit(carry_out)))


def _said(name: str, future: "Future[str]") -> str:
    error = future.exception()
    if error is None:
        return clean_line(future.result(), _MESSAGE)
    if isinstance(error, (WfledgerError, OSError)):
        return trouble(name, error)
    raise error


def trouble(name: str, error: WfledgerError | OSError) -> str:
    """Return one line that says what went wrong."""
    if not isinstance(error, WfledgerError):
        return clean_line(f"{name}: {error}", _MESSAGE)
    more = "; ".join(problems_of(error.facts))
    hint = f" ({error.hint})" if error.hint else ""
    return clean_line(f"{name}: {error.message}{'; ' + more if more else ''}{hint}", _MESSAGE)


def why_lines(workspace: "Workspace", task_id: str) -> list[str]:
    """Return what `why` says of a task."""
    from wfledger.run.looks.explain import explain

    found = explain(workspace, task_id)
    now = workspace.clock.now()
    lasting = f" for {ago(found.since, now)}" if found.since else ""
    lines = [f"{found.task} is {found.status.value} ({found.state}){lasting}", ""]
    lines += _reason(found)
    for wait in found.waits_for:
        holder = f", {wait.holder} works on it" if wait.holder else ""
        lines.append(clean_line(f"  {wait.task} is {wait.status}{holder}"))
    if found.root is not None:
        lines += ["", f"behind it: {found.root.task}, {found.root.status.value}"]
        lines += _reason(found.root)
    if found.command is not None:
        lines += ["", f"to end that: {clean_line(found.command)}"]
    return lines


def _reason(found: "Why") -> list[str]:
    return [f"  {line}" for line in clean(found.reason).strip().splitlines()]


def log_lines(workspace: "Workspace", task_id: str) -> tuple[str, list[str]]:
    """Return a title and the last lines of the output of a task's latest attempt that has any."""
    layout = workspace.ledger.layout
    attempt = workspace.ledger.get(task_id).task.attempt
    for number in range(attempt, 0, -1):
        try:
            with layout.log(task_id, number).open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(size - _TAIL, 0))
                raw = file.read(_TAIL)
        except FileNotFoundError:
            continue
        text = clean(raw.decode("utf-8", "replace"))
        lines = text.splitlines()
        cut = size > _TAIL
        return f"output of {task_id}, attempt {number}", lines[1:] if cut else lines
    return f"output of {task_id}", ["it has no output on this machine"]
