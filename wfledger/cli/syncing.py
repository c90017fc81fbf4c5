"""The verb `sync`: meet the remote now, and say what has come of it."""

from typing import TYPE_CHECKING, Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.machinetable import remote_lines
from wfledger.cli.render import ago, plural, say, table

if TYPE_CHECKING:
    from wfledger.run.hub.asking import Synced
    from wfledger.run.hub.meeting import Moved

#: Lines of one kind that are shown.
_SHOWN: Final = 20
#: Exit statuses by what the meeting came to (WFL-HUB-146); losses have their own.
_STATUSES: Final = {
    "quiet": 0, "ok": 0, "refused": 1, "failed": 1, "stopped": 8,
    "unreachable": 75, "unknown": 75, "lost": 75,
}  # fmt: skip
_LOST: Final = 4
_AGAIN: Final = 75
_EXAMPLES: Final = """\b
For example:
  wfledger sync            # meet the remote now
  wfledger sync --wait     # and again, until it has everything that was done here
  wfledger sync --json"""


@click.command("sync", epilog=_EXAMPLES)
@click.option("--wait", "waits", is_flag=True,
              help="Until the remote has all that was done here, however long that is.")
@json_option
@pass_app
def sync(app: App, *, waits: bool, as_json: bool) -> int:
    """Meet the remote now, and say what came, went and was lost since you last asked.

    Where a daemon or a run works here it does so at once; a push may come sooner than the interval
    asks for. Nothing that is done here waits for it: what is granted goes on without the remote.

    Exit status 0: this machine and the remote agree. 1: the server refuses, or something here is in
    the way. 4: something done here came too late, and is named with the reason; its work is kept.
    8: a person has to decide first, as after a rewind. 75: the remote cannot be reached, or others
    came first; try again.
    """
    from wfledger.run.hub.asking import sync as meet
    from wfledger.run.hub.losses import work_of
    from wfledger.run.hub.meeting import Met
    from wfledger.run.hub.telling import trouble_of
    from wfledger.run.looks.remote import fleet, remote_view

    workspace = app.workspace
    found = meet(workspace, waits=waits)
    here, machines = remote_view(workspace), fleet(workspace, ())
    if as_json:
        emit({
            "outcome": found.outcome, "said": found.said or None, "hint": found.hint,
            "since": found.since, **found.news.as_json(),
            "lost": [
                {**one.as_json(), "kept": work_of(workspace, one.task, one.attempt)}
                for one in found.lost
            ],
            "taken": [
                {**vars(one), "kept": work_of(workspace, one.task, one.attempt)}
                for one in found.taken
            ],
            "unconfirmed": found.unconfirmed,
            "remote": here and here.as_json(),
        })  # fmt: skip
    else:
        _say_news(app, found)
        if _STATUSES[found.outcome] == _AGAIN and (here is None or not here.trouble):
            say(f"try again: {trouble_of(Met(found.outcome, found.said, found.hint))}")
        for line in remote_lines(here, len(machines)) if here is not None else ():
            say(line)
    status = _STATUSES[found.outcome] or int(here is not None and bool(here.notes))
    return _LOST if found.lost and status == 0 else status


def _say_news(app: App, found: "Synced") -> None:
    from wfledger.run.hub.machines import names

    news, called = found.news, names(app.workspace)
    asked = ago(found.since, app.clock.now())
    since = f" in the {asked} since you last asked" if asked else ""
    _say_moves(f"came{since}", news.counts.get("came", 0), news.came, called)
    _say_moves("went", news.counts.get("went", 0), news.went, {})
    for what in news.granted[-_SHOWN:]:
        say(f"confirmed: {what}")
    for what, because in list(dict.fromkeys(news.refused))[-_SHOWN:]:
        say(f"refused: {what}: {because}")
    _say_taken(app, found, called)
    if not (news.counts or found.lost):
        say(f"nothing came or went{since}")


def _say_taken(app: App, found: "Synced", called: dict[str, str]) -> None:
    """Print which attempts others have ended, and what came too late; with where its work is."""
    from wfledger.run.hub.losses import foremost, work_of

    def work(task: str, attempt: int) -> str:
        kept = work_of(app.workspace, task, attempt)
        return f"; its work is kept: {kept}" if kept else ""

    lost = foremost(found.lost)
    named = {(one.task, one.attempt) for one in lost}
    lines = [
        f"taken over: {one.task}, attempt {one.attempt}, by {called.get(one.machine, one.machine)}"
        f"; nothing was heard of this machine{work(one.task, one.attempt)}"
        for one in found.taken if (one.task, one.attempt) not in named
    ]  # fmt: skip
    for one in lost:
        moved = f" {one.source or 'new'} -> {one.target}" if one.target else ""
        lines.append(f"lost: {one.task}{moved}: {one.because}{work(one.task, one.attempt)}")
    for line in lines[-_SHOWN:]:
        say(line)
    if len(lines) > _SHOWN:
        say(f"  and {len(lines) - _SHOWN} more")


def _say_moves(
    title: str, count: int, moves: "list[Moved]", called: dict[str, str]
) -> None:
    """Print the newest of *moves* below how many there were; of one task only the last."""
    if not count:
        return
    say(f"{title}: {plural(count, 'change')}")
    last = {one.task: one for one in moves if one.source != one.target}
    rows = [
        (one.task, f"{one.source or 'new'} -> {one.target}", called.get(one.machine, ""))
        for one in last.values()
    ]  # fmt: skip
    for line in table(rows[-_SHOWN:], indent="  "):
        say(line)
    if len(rows) > _SHOWN:
        say(f"  and {plural(len(rows) - _SHOWN, 'more task')}")
