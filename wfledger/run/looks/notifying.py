"""Telling people: the command of `[notify]` is run once for each event, beside the work.

Before it is run a record of the event is created exclusively, so that of any number of processes
one runs it, and none after a crash (WFL-RESULT-060). It runs in a thread, one at a time and under a
limit; that it fails is said once, and stops nothing.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final

from wfledger.clock import iso
from wfledger.core.records import Command
from wfledger.errors import InvalidDocumentError, WfledgerError
from wfledger.run.attempts.commanding import SHELL, tag_for, tail_of
from wfledger.run.config.notify_settings import Notify
from wfledger.run.guard import vouching
from wfledger.run.looks.notices import Notice, notices, together
from wfledger.run.processes.environment import build
from wfledger.run.processes.process import Job, ProcessLimits, run_job
from wfledger.run.processes.threads import in_thread
from wfledger.run.step import Step
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

_FOLDER: Final = "notified"
#: Longest wait for a command when whoever runs it ends.
CLOSE_S: Final = 10.0
#: Seconds after which the record of what is past goes.
_OLD_S: Final = 7 * 86_400.0
_CLEAR_EVERY_S: Final = 3600.0
_OUTPUT: Final = 64 * 1024
#: What a desktop's programs need besides the standing list.
_DESKTOP: Final = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")

Report = Callable[[str, str], None]


class Notifier:
    """Tells of one run, or of all, from this process."""

    def __init__(self, workspace: Workspace, *, run_id: str | None, report: Report) -> None:
        self._workspace = workspace
        self._run_id = run_id
        self._report = report
        self._stop = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._sending: Future[None] | None = None
        #: Names of what is recorded, so that it is not looked for at each tick.
        self._known: set[str] = set()
        self._has_failed = False
        self._cleared = float("-inf")

    def look(self, step: Step) -> None:
        """Tell what *step* saw and nobody has told; returns at once."""
        try:
            settings = vouching.known_fleet(self._workspace).notify
        except InvalidDocumentError:
            return  # said where it stops something
        if settings is None or not self._idle.is_set():
            return  # what comes meanwhile is found by the next look
        if self._sending is not None:
            done, self._sending = self._sending, None
            done.result()
        self._clear_due(step)
        due = [
            notice
            for notice in notices(self._workspace, step, self._run_id)
            if notice.event in settings.events and not self._is_told(notice.key)
        ]
        if not due:
            return
        self._idle.clear()
        try:
            self._sending = in_thread(
                "notify", lambda: self._send(settings, together(due)), then=self._idle.set
            )
        except RuntimeError:  # no thread to be had now; the next look tries again
            self._idle.set()

    def close(self, step: Step) -> None:
        """Tell what *step* saw last and wait for that, at most `CLOSE_S`."""
        self._idle.wait(CLOSE_S)
        if self._idle.is_set():
            with suppress(WfledgerError):
                self.look(step)
        if not self._idle.wait(CLOSE_S):
            self._stop.set()
            self._idle.wait()

    # -- records ---------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self._workspace.ledger.layout.local / _FOLDER

    def _is_told(self, key: str) -> bool:
        if key not in self._known and (self._folder / f"{key}.json").exists():
            self._known.add(key)
        return key in self._known

    def _record(self, notice: Notice) -> Path | None:
        """Take it on oneself to tell *notice*; None where another process has."""
        self._folder.mkdir(exist_ok=True)
        at = iso(self._workspace.clock.now())
        path = self._folder / f"{notice.key}.json"
        said = {**notice.as_json(), "at": at, "repository": str(self._workspace.main)}
        for key in notice.keys or (notice.key,):
            self._known.add(key)
            with suppress(FileExistsError):
                raw = json.dumps(said, ensure_ascii=True).encode() if key == notice.key else b"{}"
                atomic.create(self._folder / f"{key}.json", raw)
                continue
            if key == notice.key:
                return None
        return path

    def _clear_due(self, step: Step) -> None:
        """Forget old records of what nobody would tell any more, of any run."""
        now = self._workspace.clock.elapsed()
        if now - self._cleared < _CLEAR_EVERY_S:
            return
        self._cleared = now
        present = {notice.key for notice in notices(self._workspace, step, None)}
        self._known &= present
        oldest = self._workspace.clock.now().timestamp() - _OLD_S
        for path in self._folder.glob("*.json"):
            if path.stem not in present:
                _remove_if_older(path, oldest)

    # -- telling ---------------------------------------------------------------------------------

    def _send(self, settings: Notify, due: list[Notice]) -> None:
        for notice in due:
            if self._stop.is_set():
                return  # unrecorded: whoever looks next tells it
            try:
                path = self._record(notice)
                trouble = self._run(settings, notice, path) if path is not None else None
            except (WfledgerError, OSError) as error:
                trouble = str(error)
            if trouble is not None and not self._has_failed:
                self._has_failed = True
                self._report("notify", f"its command fails: {trouble}")

    def _run(self, settings: Notify, notice: Notice, path: Path) -> str | None:
        """Run the command; return what went wrong, if anything did."""
        workspace = self._workspace
        log = workspace.ledger.layout.local / "logs" / f"notify-{notice.event}.log"
        tag = tag_for(workspace, f"notify-{notice.key}")
        extra = {**notice.variables(), "WFLEDGER_NOTICE": str(path)}
        fleet = vouching.known_fleet(workspace)
        names = (*fleet.env_pass, *settings.pass_names, *_DESKTOP)
        job = Job(
            argv=_reading(settings.command), cwd=workspace.main,
            env=build(names, extra, workspace.main), output=log,
            limits=ProcessLimits(
                wall_s=settings.timeout_s, output_bytes=_OUTPUT, grace_s=1.0
            ), tag=tag,
        )  # fmt: skip
        ended = run_job(job, stop=self._stop, clock=workspace.clock)
        if ended.status == 0 and ended.reason == "exited":
            return None
        tail = tail_of(log)
        return f"{ended.message}; {tail.splitlines()[-1]}" if tail else ended.message


def _reading(command: Command) -> tuple[str, ...]:
    """Return an argument vector whose standard input is the notice."""
    if isinstance(command, str):
        return (SHELL, "-c", f'exec < "$WFLEDGER_NOTICE"\n{command}')
    return (SHELL, "-c", 'exec "$0" "$@" < "$WFLEDGER_NOTICE"', *command)


def _remove_if_older(path: Path, oldest: float) -> None:
    with suppress(FileNotFoundError):
        if path.stat().st_mtime < oldest:
            path.unlink()
