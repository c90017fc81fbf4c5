"""What `watch` draws: a picture of the fleet as lines that fit a terminal; asks nothing of either.

Drawing keeps what is chosen in sight. Every text that may come from a document or a worker was
cleaned before, or is here.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from wfledger.cli.machinetable import machine_rows, remote_lines
from wfledger.cli.render import plural, span, table
from wfledger.core.states import State
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.run.looks.board import Picture, Row, RunRow, age_s
from wfledger.run.looks.costs import Share, spent_line

HELP: Final = (
    "up down j k   choose a task        g G  first, last        space b  a page on, back",
    "w  why it is where it is           l    its output, followed",
    "s  stop what runs of it            r    try it again",
    "a  answer its question             o    a worktree with its work",
    "p  pause dispatch, or resume       /    only tasks with these words (empty: all)",
    "q  quit; the fleet goes on         Esc  back to the board",
)
_KEYS: Final = (
    "w why  l logs  s stop  r retry  a answer  o open  p pause  / find  j k choose  ? help  q quit"
)
#: State -> colour; others are plain.
_COLOURS: Final = {
    State.FAILED: "red", State.STALE: "red", State.ESCALATED: "yellow",
    State.INTERRUPTED: "yellow", State.SILENT: "yellow", State.QUEUED: "dim",
    State.CANCELLED: "dim", State.COMPLETED: "green", State.VERIFYING: "blue",
    State.GATING: "blue", State.MERGING: "blue", State.KEEPING: "blue",
}  # fmt: skip
_RUN_COLOURS: Final = {
    "succeeded": "green", "landed": "green", "failed": "red", "degraded": "yellow",
    "waits": "yellow", "aborted": "red", "paused": "yellow",
}  # fmt: skip
_SGR: Final = {
    "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "dim": "2",
    "bold": "1", "chosen": "7",
}  # fmt: skip
#: Agents and models that are shown with what they have used, and the width of their names.
_SHARES: Final = 6
_WHO: Final = 48
#: Machines that are shown.
_MACHINES: Final = 6
#: Runs that are shown at once, and cells of a bar.
_RUNS: Final = 6
_BAR: Final = 14
#: Cells of the columns of the table before the text, which has the rest.
_STATE: Final = 13
_AGE: Final = 6


@dataclass(frozen=True)
class Line:
    """One line of the screen: pieces of text, each with the name of a style or none."""

    pieces: tuple[tuple[str, str], ...] = ()
    #: Whether it is the chosen row.
    is_chosen: bool = False

    @property
    def text(self) -> str:
        """The line without its styles."""
        return "".join(text for text, _ in self.pieces)


@dataclass
class Panel:
    """Text in the place of the tasks: why, help, output."""

    title: str
    lines: Sequence[str]
    #: Whether new lines push the old ones up.
    follows: bool = False
    #: Lines above the first that is shown; for one that follows, below the last.
    offset: int = 0


@dataclass
class Ui:
    """What the person who watches has chosen."""

    chosen: str | None = None
    #: First row that is shown.
    top: int = 0
    words: str = ""
    message: str = ""
    panel: Panel | None = None
    #: What is asked for in the last line, and what has been typed.
    asks: str | None = None
    typed: str = ""
    #: Commands that are under way.
    busy: list[str] = field(default_factory=list)


def matching(rows: Sequence[Row], words: str) -> list[Row]:
    """Return the rows that hold every one of *words*."""
    wanted = words.lower().split()
    if not wanted:
        return list(rows)

    def shown(row: Row) -> str:
        return " ".join([row.task, row.state.value, row.status.value, row.text, row.worker or ""])

    return [row for row in rows if all(word in shown(row).lower() for word in wanted)]


def draw(picture: Picture, ui: Ui, *, width: int, height: int) -> list[Line]:
    """Return exactly *height* lines, none wider than *width* cells."""
    head = [
        _summary(picture), *_remote(picture), *_runs(picture.runs), *_shares(picture.shares),
        Line(),
    ]  # fmt: skip
    foot = _foot(ui)
    room = max(height - len(head) - len(foot), 1)
    body = _panel(ui.panel, room) if ui.panel else _tasks(picture, ui, room=room, width=width)
    lines = [*head, *body[:room], *[Line()] * (room - len(body)), *foot]
    return [_fitted(line, width) for line in lines[:height]]


def sgr(style: str, *, coloured: bool) -> str:
    """Return the escape sequence that begins *style*; empty for none."""
    code = _SGR.get(style, "")
    if not code or (not coloured and style not in {"bold", "chosen"}):
        return ""
    return f"\x1b[{code}m"


def cells(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(char) for char in text)


def _cells_of(char: str) -> int:
    if unicodedata.combining(char) or char in "\u200c\u200d":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return *text* as far as it fits *width* cells, ending in an ellipsis where it does not."""
    if cells(text) <= width:
        return text
    taken, kept = 0, []
    for char in text:
        taken += _cells_of(char)
        if taken > width - 1:
            break
        kept.append(char)
    return "".join(kept) + "…" if width > 0 else ""


def _pad(text: str, width: int) -> str:
    shown = cut(text, width)
    return shown + " " * (width - cells(shown))


def _fitted(line: Line, width: int) -> Line:
    pieces, left = [], width
    for text, style in line.pieces:
        shown = cut(text, left)
        left -= cells(shown)
        if shown:
            pieces.append((shown, style))
        if shown != text:
            break
    if line.is_chosen and left > 0:
        pieces.append((" " * left, ""))
    return Line(tuple(pieces), line.is_chosen)


# -- parts ---------------------------------------------------------------------------------------


def _summary(picture: Picture) -> Line:
    busy = sum(row.status in {Status.IN_PROGRESS, Status.MERGING} for row in picture.rows)
    people = sum(
        row.status is Status.BLOCKED or row.state is State.ESCALATED for row in picture.rows
    )
    queued = sum(row.state is State.QUEUED for row in picture.rows)
    done = sum(run.done for run in picture.runs)
    said = f"{busy} at work, {queued} queued, {people} need you, {done} done"
    pieces = [("wfledger  ", "bold"), (said, "")]
    if picture.pause is not None:
        pieces.append((f"  PAUSED: {clean_line(picture.pause.reason)}", "yellow"))
    if picture.short_of is not None:
        pieces.append((f"  starts nothing more here: {picture.short_of}", "yellow"))
    pieces += [(f"  {one.provider} is stopped: {one.command}", "yellow") for one in picture.shut]
    return Line(tuple(pieces))


def _remote(picture: Picture) -> list[Line]:
    """Return how this machine stands with its remote, and a line for each machine."""
    one = picture.remote
    if one is None:
        return []
    first, *trouble = remote_lines(one, len(picture.machines))
    lines = [Line(((first, ""),)), *(Line(((text, "yellow"),)) for text in trouble)]
    rows = machine_rows(picture.machines[:_MACHINES], picture.at)
    lines += [Line(((text, ""),)) for text in table(rows, indent="  ")]
    rest = len(picture.machines) - _MACHINES
    return [*lines, Line(((f"  and {rest} more", "dim"),))] if rest > 0 else lines


def _runs(runs: Sequence[RunRow]) -> list[Line]:
    if not runs:
        return [Line((("no run is open; wfledger run PLAN starts one", "dim"),))]
    # Those that are not over first, of the others the newest.
    moving = [run for run in runs if run.state == "running"]
    shown = (moving + [run for run in reversed(runs) if run.state != "running"])[:_RUNS]
    lines = [_run(run) for run in shown]
    if len(runs) > len(shown):
        lines.append(Line(((f"  and {plural(len(runs) - len(shown), 'more run')}", "dim"),)))
    return lines


def _shares(shares: Sequence[Share]) -> list[Line]:
    """Return which agent or model has used what."""
    wide = min(max((cells(one.who) for one in shares[:_SHARES]), default=0), _WHO)
    lines = [
        Line(((f"  {_pad(clean_line(one.who), wide)}  ", ""), (
            f"{plural(one.spent.attempts, 'attempt')}, {spent_line(one.spent)}", "dim"
        )))
        for one in shares[:_SHARES]
    ]  # fmt: skip
    rest = len(shares) - _SHARES
    return [*lines, Line(((f"  and {rest} more", "dim"),))] if rest > 0 else lines


def _run(run: RunRow) -> Line:
    full = _BAR * run.done // run.total if run.total else 0
    bar = f"[{'#' * full}{'-' * (_BAR - full)}] {run.done}/{run.total}"
    pieces = [
        (_pad(run.run, 10), "bold"), (f"{bar}  ", ""),
        (run.state, _RUN_COLOURS.get(run.state, "cyan")), (f"  {cut(run.title, 40)}", ""),
    ]  # fmt: skip
    failed = ", ".join(f"{count} {kind}" for kind, count in run.failures.items())
    if run.cost:
        pieces.append((f"  {run.cost}", ""))
    if failed:
        pieces.append((f"  failed: {failed}", "red"))
    if run.is_idle:
        pieces.insert(3, (f"  nobody works on it: wfledger run {run.run}", "yellow"))
    return Line(tuple(pieces))


def _tasks(picture: Picture, ui: Ui, *, room: int, width: int) -> list[Line]:
    rows = matching(picture.rows, ui.words)
    names = [row.task for row in rows]
    if ui.chosen not in names:
        ui.chosen = names[min(ui.top, len(names) - 1)] if names else None
    several = len(picture.runs) != 1
    labels = [row.task if several else row.task.partition(".")[2] or row.task for row in rows]
    room -= 1  # the heading
    at = names.index(ui.chosen) if ui.chosen is not None else 0
    ui.top = _scrolled(ui.top, at, room=room, count=len(rows))
    shown = range(ui.top, min(ui.top + room, len(rows)))
    wide = max([4, *(cells(labels[i]) for i in shown)])
    wide = min(wide, max(width // 3, 8))
    people = max([6, *(min(cells(rows[i].worker or ""), 18) for i in shown)])
    heading = "  ".join(
        [_pad("TASK", wide + 2), _pad("STATE", _STATE), _pad("WORKER", people), _pad("FOR", _AGE)]
    )
    where = f"{ui.top + 1}-{shown.stop} of {len(rows)}" if len(rows) > room else ""
    found = f"  with {ui.words!r}" if ui.words else ""
    lines = [Line(((f"{heading}  {where}{found}", "dim"),))]
    for i in shown:
        row = rows[i]
        left = [_pad(labels[i], wide), "  ", _pad(row.state.value, _STATE), "  "]
        right = [_pad(row.worker or "", people), "  ", _pad(_age(row, picture), _AGE), "  "]
        lines.append(_row(row, left, right, is_chosen=row.task == ui.chosen))
    if not rows:
        lines.append(Line(((f"  no task {found.strip() or 'is open'}", "dim"),)))
    return lines


def _row(row: Row, left: Sequence[str], right: Sequence[str], *, is_chosen: bool) -> Line:
    mark = "> " if is_chosen else "  "
    label, gap, state, _ = left
    said = f"{clean_line(row.cost)}: {row.text}" if row.cost else row.text
    if row.quiet_s is not None and row.status is Status.IN_PROGRESS:
        said += f"; last output {span(row.quiet_s)} ago"
    return Line(
        (
            (mark + label + gap, "bold" if is_chosen else ""),
            (state + gap, _COLOURS.get(row.state, "cyan")), ("".join(right), ""), (said, ""),
        ),
        is_chosen,
    )  # fmt: skip


def _age(row: Row, picture: Picture) -> str:
    age = age_s(row.since, picture.at)
    return "" if age is None else span(age)


def _scrolled(top: int, at: int, *, room: int, count: int) -> int:
    """Return the first row to show so that row *at* is seen and no room is wasted."""
    room = max(room, 1)
    top = min(max(top, at - room + 1), at)
    return max(min(top, count - room), 0)


def _panel(panel: Panel, room: int) -> list[Line]:
    room = max(room - 1, 1)
    count = len(panel.lines)
    panel.offset = max(min(panel.offset, count - room), 0)
    first = count - room - panel.offset if panel.follows else panel.offset
    shown = panel.lines[max(first, 0) : max(first, 0) + room]
    more = "" if count <= room else f"  (line {max(first, 0) + 1} of {count})"
    title = Line(((f"{panel.title}{more}", "bold"), ("  Esc: back", "dim")))
    return [title, *(Line(((line.expandtabs(), ""),)) for line in shown)]


def _foot(ui: Ui) -> list[Line]:
    if ui.asks is not None:
        return [Line(((f"{ui.asks} ", "bold"), (ui.typed, ""), ("_", "dim")))]
    said = ui.message or (f"{', '.join(ui.busy)} …" if ui.busy else "")
    return [Line(((said, "yellow"),)), Line(((_KEYS, "dim"),))]
