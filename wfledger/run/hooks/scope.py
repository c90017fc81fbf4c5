"""Whether a path may be written by the attempt that a session works on, and what to say if not.

The rules are those of landing (spec 40); here they only come before the work instead of after it.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wfledger.core.text import clean_line
from wfledger.errors import RepositoryError, WfledgerError
from wfledger.run.hooks.claimed import Claimed
from wfledger.vcs.locate import locate

#: Patterns that a refusal lists.
_LISTED: Final = 12
_SHOWN: Final = 200


def refusal(
    claimed: Claimed, path: Path, *, cwd: Path, by_shell: bool, result_file: str = ""
) -> str | None:
    """Return why *path* may not be written, as a sentence that a model can act on; else None.

    A shell may write temporary files that are in no repository; a tool that edits files may not:
    what it writes there would be lost with the attempt.
    """
    real = Path(os.path.realpath(path))
    if result_file and real == Path(os.path.realpath(result_file)):
        return None
    root = claimed.folder or _checkout(cwd)
    if root is None or (by_shell and _is_scratch(real, claimed.folder)):
        return None
    if not real.is_relative_to(root) or real == root:
        return _said(claimed, str(path), f"it lies outside the worktree {root}")
    name = real.relative_to(root).as_posix()
    reason = _broken(claimed, name)
    return None if reason is None else _said(claimed, name, reason)


def _checkout(cwd: Path) -> Path | None:
    """Return where a claim without a worktree is worked on: the checkout that the session is in."""
    try:
        return locate(cwd).workdir
    except (RepositoryError, OSError):
        return None


def _is_scratch(path: Path, worktree: Path | None) -> bool:
    """Whether *path* is nobody's: a device, or a temporary file outside of any repository.

    Beside the *worktree* of an attempt are those of others.
    """
    if path.is_relative_to("/dev"):
        return True
    folders = {Path(os.path.realpath(one)) for one in (tempfile.gettempdir(), "/tmp", "/var/tmp")}  # noqa: S108 - only looked at
    is_temporary = any(path.is_relative_to(one) for one in folders)
    is_beside = worktree is not None and path.is_relative_to(worktree.parent)
    return is_temporary and not is_beside and _checkout(path) is None


def _broken(claimed: Claimed, name: str) -> str | None:
    """Return the rule that writing *name* would break, or None."""
    from wfledger.core.scopes import covered, is_path, parse_all

    try:
        allowed = parse_all(claimed.write)
    except WfledgerError:
        return None  # landing names what is wrong with it
    if not is_path(name):
        return "it belongs to git or to the ledger, whose files no task writes"
    if covered(allowed, name) is None:
        return "no pattern of the task covers it" if allowed else "the task only reads"
    return _protected(claimed, name)


def _protected(claimed: Claimed, name: str) -> str | None:
    """Return why a protected path may not be written; only for such ones all rules are loaded."""
    from wfledger.core.scopes import PROTECTED, matches_folded, parse_protected

    path = claimed.layout.root / "ledger.json"
    try:
        listed = json.loads(path.read_bytes()).get("policy", {}).get("protected", PROTECTED)
        areas = [parse_protected(text) for text in listed]
    except (WfledgerError, OSError, ValueError, TypeError, AttributeError):
        return None  # landing names what is wrong with it
    if not any(matches_folded(area, name) for area in areas):
        return None
    return _by_all_rules(claimed.write, name, path)


def _by_all_rules(write: Sequence[str], name: str, ledger: Path) -> str | None:
    from wfledger.core.changes import Change, Entry, Rules, violations
    from wfledger.core.policy import LedgerConfig
    from wfledger.core.records import parse
    from wfledger.core.scopes import parse_all

    policy = parse(LedgerConfig, ledger.read_bytes()).policy
    entry = Entry(0o100644, "0" * 40, 0)
    change = Change(os.fsencode(name), entry, Entry(0o100644, "1" * 40, 0))
    found = violations([change], parse_all(write), Rules.of(policy), siblings=lambda _: ())
    return found[0].reason if found else None


def _said(claimed: Claimed, name: str, reason: str) -> str:
    listed = ", ".join(clean_line(one, _SHOWN) for one in claimed.write[:_LISTED]) or "nothing"
    more = len(claimed.write) - _LISTED
    allowed = f"{listed} and {more} more" if more > 0 else listed
    return (
        f"{clean_line(name, _SHOWN)} may not be written for {claimed.task_id}: {reason}. "
        f"Allowed are: {allowed}. Do it within these paths. If that cannot be, write nothing "
        "there and ask: wfledger fail --kind question --reason 'WHAT YOU NEED, AND WHY'. "
        "Allowing more (`wfledger widen`) is for a person."
    )
