"""What becomes of an exception that reaches the top: a sentence, a hint, an exit status (spec 80).

Only here are messages of errors printed. What nobody expected leaves its traceback in a file.
"""

import errno
import json
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from wfledger import __version__
from wfledger.core.text import clean, clean_line
from wfledger.errors import EnvironmentFailedError, LedgerDamagedError, WfledgerError

#: A defect: EX_SOFTWARE of sysexits.
DEFECT: Final = 70
INTERRUPTED: Final = 130
#: What a shell reports of a program that SIGPIPE ended.
NO_READER: Final = 141
#: What a full, broken, read-only or forbidden file system says.
_REFUSALS: Final = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
        errno.EMFILE, errno.ENFILE,
    }
)  # fmt: skip
#: Problems of one error that are shown.
_SHOWN: Final = 20


class NoReaderError(Exception):
    """Whoever was to read our output has gone."""


def exit_status_of(error: BaseException, args: Sequence[str]) -> int:
    """Print *error* as the command line *args* wants it and return the status to exit with."""
    options = args[: args.index("--")] if "--" in args else args
    as_json = "--json" in options
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    if isinstance(error, NoReaderError):
        return NO_READER
    known = _of_system(error) if isinstance(error, OSError) else error
    if isinstance(known, WfledgerError):
        _say(known, as_json=as_json)
        return known.exit_status
    if isinstance(error, click.ClickException):
        _say_usage(error, as_json=as_json)
        return error.exit_code
    _say_defect(error, args, as_json=as_json)
    return DEFECT


def _of_system(error: OSError) -> WfledgerError | None:
    """Return what the system's refusal means to a user; None where it is a defect of ours."""
    where = str(error.filename) if error.filename is not None else ""
    said = f"{error.strerror or error}: {where}" if where else str(error.strerror or error)
    if error.errno == errno.EROFS and "WFLEDGER_SANDBOX" in os.environ:
        return EnvironmentFailedError(
            "a worker in a sandbox cannot write the ledger; its runtime renews its claim",
            hint="say it in $WFLEDGER_RESULT_FILE", path=where,
        )
    if error.errno in _REFUSALS:
        return EnvironmentFailedError(said, path=where)
    if error.errno in {errno.ENOENT, errno.ENOTDIR} and "/.wfledger/" in where:
        return LedgerDamagedError(
            f"a part of the ledger is gone: {where}", hint="wfledger doctor --fix", path=where
        )
    return None


def _say(error: WfledgerError, *, as_json: bool) -> None:
    if as_json:
        _print_json(error.as_json())
    click.echo(f"error: {clean(error.message)}", err=True)
    for line in problems_of(error.facts):
        click.echo(f"  {line}", err=True)
    if error.hint:
        click.echo(f"hint: {clean(error.hint)}", err=True)


def problems_of(facts: dict[str, Any]) -> list[str]:
    """Return a line for each of several errors in *facts*; nothing where the message is all."""
    listed = facts.get("errors") or facts.get("problems") or ()
    if not isinstance(listed, (list, tuple)) or len(listed) < 2:
        return []
    lines = [_problem(item) for item in listed[:_SHOWN]]
    rest = len(listed) - len(lines)
    return [*lines, f"and {rest} more"] if rest else lines


def _problem(item: Any) -> str:
    if not isinstance(item, dict):
        return clean_line(str(item))
    where, text = str(item.get("pointer", "")), str(item.get("message", ""))
    return clean_line(f"{where}: {text}" if where else text)


def _say_usage(error: click.ClickException, *, as_json: bool) -> None:
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context is not None else "wfledger --help"
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(message, err=True)
        return
    if as_json:
        _print_json({"error": "usage", "message": message, "hint": hint})
    click.echo(f"error: {clean(message)}", err=True)
    click.echo(f"hint: {hint}", err=True)


def _say_defect(error: BaseException, args: Sequence[str], *, as_json: bool) -> None:
    where = write_report(error, args)
    message = f"unexpected {type(error).__name__}: {clean_line(str(error))}"
    hint = f"this is a defect of wfledger; the details are in {where}"
    if as_json:
        _print_json({"error": "defect", "message": message, "hint": hint, "report": str(where)})
    click.echo(f"error: {message}", err=True)
    click.echo(f"hint: {hint}", err=True)


def here() -> Path | None:
    """Return the current directory; None where it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def write_report(error: BaseException, args: Sequence[str]) -> Path | None:
    """Write the traceback to a file and return its path; None where nothing can be written."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    head = (
        f"wfledger {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{when} {list(args)!r} in {here() or 'a directory that is gone'}\n\n"
    )
    text = head + "".join(traceback.format_exception(error))
    for folder in (_logs(), None):
        try:
            number, name = tempfile.mkstemp(".log", "wfledger-defect-", folder)
        except OSError:
            continue
        with os.fdopen(number, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        return Path(name)
    return None


def _logs() -> Path | None:
    """Return the folder of this ledger's logs, where there is one."""
    from wfledger.run.workspace import LOCAL
    from wfledger.vcs.locate import locate

    try:
        folder = locate(Path.cwd()).common_dir / LOCAL / "logs"
    except (WfledgerError, OSError):
        return None
    return folder if folder.is_dir() else None


def _print_json(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=True, default=str) + "\n")
    sys.stdout.flush()
