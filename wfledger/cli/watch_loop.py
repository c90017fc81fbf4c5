"""The loop behind `watch`: looks, draws, and does what keys ask for, until somebody quits."""

from collections.abc import Callable
from typing import Final

from wfledger.cli.watch_actions import Actions, log_lines, trouble, why_lines
from wfledger.cli.watch_screen import HELP, Panel, Ui, draw, matching
from wfledger.cli.watch_terminal import Terminal
from wfledger.errors import WfledgerError
from wfledger.run.looks.board import Board, Picture, Row
from wfledger.run.workspace import Workspace

#: Seconds between two looks; more where a look takes long, so that looking stays a small load.
LOOK_S: Final = 0.5
_SHARE: Final = 10.0
#: While something is under way, its end is worth seeing.
_BUSY_S: Final = 0.2
#: Seconds for which a message stays.
_MESSAGE_S: Final = 12.0
#: Lines of the screen that are no rows, about.
_FRAME: Final = 8


class Watch:
    """One person at one board."""

    def __init__(
        self, workspace: Workspace, board: Board, actions: Actions, terminal: Terminal
    ) -> None:
        self._workspace = workspace
        self._board = board
        self._actions = actions
        self._terminal = terminal
        self._ui: Ui = Ui()
        self._picture: Picture = board.look()
        self._next_look = 0.0
        self._said_at = 0.0
        #: Renews what a panel shows, where that goes on.
        self._renew: Callable[[], None] | None = None
        #: What is done with the line that is typed.
        self._on_typed: Callable[[str], None] | None = None
        self._over = False

    def go(self) -> None:
        """Show the board until somebody quits."""
        clock = self._workspace.clock
        while not self._over:
            if clock.elapsed() >= self._next_look:
                self._look()
            self._note_finished()
            self._paint()
            pause = min(self._next_look - clock.elapsed(), self._pause_s())
            for key in self._terminal.keys(pause):
                self._press(key)

    def _pause_s(self) -> float:
        return _BUSY_S if self._actions.busy else LOOK_S

    def _look(self) -> None:
        clock = self._workspace.clock
        began = clock.elapsed()
        try:
            self._picture = self._board.look()
            if self._renew is not None:
                self._renew()
        except (WfledgerError, OSError) as error:
            self._say(trouble("the ledger cannot be read now", error))
        self._next_look = clock.elapsed() + max(LOOK_S, _SHARE * (clock.elapsed() - began))

    def _paint(self) -> None:
        width, height = self._terminal.size
        self._ui.busy = self._actions.busy
        self._terminal.paint(draw(self._picture, self._ui, width=width, height=height))

    def _say(self, text: str) -> None:
        self._ui.message, self._said_at = text, self._workspace.clock.elapsed()

    def _note_finished(self) -> None:
        for said in self._actions.finished():
            self._say(said)
            self._next_look = 0.0
        if self._ui.message and self._workspace.clock.elapsed() - self._said_at > _MESSAGE_S:
            self._ui.message = ""

    # -- keys ------------------------------------------------------------------------------------

    def _press(self, key: str) -> None:
        if self._ui.asks is not None:
            self._type(key)
        elif key == "redraw":
            self._terminal.redraw()
        elif key == "q" and self._ui.panel is None:
            self._over = True
        elif key in {"escape", "q"}:
            self._close_panel()
        elif key in _MOVES:
            self._move(_MOVES[key])
        else:
            self._act(key)

    def _close_panel(self) -> None:
        if self._ui.panel is None:
            self._ui.words = ""
        self._ui.panel = self._renew = None

    def _rows(self) -> list[Row]:
        return matching(self._picture.rows, self._ui.words)

    def _chosen(self) -> Row | None:
        return next((row for row in self._rows() if row.task == self._ui.chosen), None)

    def _move(self, how: tuple[str, int]) -> None:
        kind, sign = how
        page = max(self._terminal.size[1] - _FRAME, 1)
        step = {"line": 1, "page": page, "far": 10**9}[kind] * sign
        panel = self._ui.panel
        if panel is not None:
            # Of what follows, the offset counts from the end.
            panel.offset = max(panel.offset + (-step if panel.follows else step), 0)
            return
        names = [row.task for row in self._rows()]
        if names:
            at = names.index(self._ui.chosen) if self._ui.chosen in names else 0
            self._ui.chosen = names[min(max(at + step, 0), len(names) - 1)]

    def _act(self, key: str) -> None:
        if key == "?":
            self._help()
        elif key == "p":
            self._pause()
        elif key == "/":
            self._ask("only tasks with:", self._filter)
        elif key in _ON_TASK:
            row = self._chosen()
            if row is None:
                self._say("no task is chosen")
            else:
                _ON_TASK[key](self, row)

    def _help(self) -> None:
        self._ui.panel, self._renew = Panel("keys", HELP), None

    def _filter(self, words: str) -> None:
        self._ui.words, self._ui.top = words.strip(), 0

    def _pause(self) -> None:
        pause = self._picture.pause
        if pause is not None and pause.is_alarm:
            self._say(f"{pause.reason}: {pause.command}")
        elif pause is not None:
            self._actions.pause(resume=True)
        else:
            self._confirm("pause dispatch of the whole ledger?",
                          lambda: self._actions.pause(resume=False))  # fmt: skip

    def why(self, row: Row) -> None:
        """Show why a task is where it is."""
        try:
            lines = why_lines(self._workspace, row.task)
        except (WfledgerError, OSError) as error:
            self._say(trouble("why", error))
            return
        self._ui.panel, self._renew = Panel(f"why {row.task}", lines), None

    def logs(self, row: Row) -> None:
        """Show a task's output, and what is added to it."""
        panel = Panel("", (), follows=True)

        def renew() -> None:
            panel.title, lines = log_lines(self._workspace, row.task)
            if panel.offset:  # somebody reads further up: what he reads stays where it is
                panel.offset += max(len(lines) - len(panel.lines), 0)
            panel.lines = lines

        self._ui.panel, self._renew, self._next_look = panel, renew, 0.0

    def stop(self, row: Row) -> None:
        """End what runs of a task, once that is confirmed."""
        self._confirm(
            f"stop {row.task}? its work is kept", lambda: self._actions.stop(row.task)
        )

    def retry(self, row: Row) -> None:
        """Let a blocked task be tried again."""
        self._actions.retry(row.task)

    def answer(self, row: Row) -> None:
        """Ask for the answer to a task's question."""
        if not (row.command or "").startswith("wfledger answer "):
            self._say(f"{row.task} asks nothing; it is {row.state.value}")
            return
        self._ask(f"{row.text}: your answer:", lambda text: self._answered(row, text))

    def _answered(self, row: Row, text: str) -> None:
        if text.strip():
            self._actions.answer(row.task, text)

    def open(self, row: Row) -> None:
        """Make a worktree with a task's work."""
        self._actions.open(row.task)

    # -- asking ----------------------------------------------------------------------------------

    def _ask(self, question: str, on_typed: Callable[[str], None]) -> None:
        self._ui.asks, self._ui.typed, self._on_typed = question, "", on_typed

    def _confirm(self, question: str, act: Callable[[], None]) -> None:
        def on_typed(text: str) -> None:
            if text.strip().lower() in {"y", "yes"}:
                act()
            else:
                self._say("nothing is done")

        self._ask(f"{question} [y/N]", on_typed)

    def _type(self, key: str) -> None:
        ui = self._ui
        is_question = (ui.asks or "").endswith("[y/N]")
        if key == "escape":
            ui.asks = None
        elif key == "enter" or (is_question and key.lower() in {"y", "n"}):
            typed = key if is_question and key != "enter" else ui.typed
            on_typed, ui.asks = self._on_typed, None
            if on_typed is not None:
                on_typed(typed)
        elif key == "backspace":
            ui.typed = ui.typed[:-1]
        elif key == "clear":
            ui.typed = ""
        elif len(key) == 1 and key.isprintable():
            ui.typed += key


_MOVES: Final = {
    "j": ("line", 1), "down": ("line", 1), "k": ("line", -1), "up": ("line", -1),
    " ": ("page", 1), "page down": ("page", 1), "b": ("page", -1), "page up": ("page", -1),
    "g": ("far", -1), "home": ("far", -1), "G": ("far", 1), "end": ("far", 1),
}  # fmt: skip
_ON_TASK: Final[dict[str, Callable[[Watch, Row], None]]] = {
    "w": Watch.why, "l": Watch.logs, "s": Watch.stop, "r": Watch.retry, "a": Watch.answer,
    "o": Watch.open, "enter": Watch.why,
}  # fmt: skip
