"""Which attempt an agent's session works on: what says so, and where that is found.

It is its environment, the worktree that it stands in, or a tool that has shown it the token. Most
sessions work on none, and that is found out by looking at a few names. So the ledger is read here
file by file, without its machinery; nothing is decided by it that another door does not check.
"""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wfledger.errors import RepositoryError
from wfledger.run.localnames import LOCAL, POINTER
from wfledger.vcs.locate import Located, lender, locate

if TYPE_CHECKING:
    from wfledger.store.layout import Layout

_TOKEN: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
#: Tokens that a text is searched for: those that were given out last.
_RECENT: Final = 200


@dataclass(frozen=True)
class Claimed:
    """An attempt that a session says is its own."""

    layout: "Layout"
    task_id: str
    attempt: int
    token: str
    #: Its worktree; None where it was claimed without one.
    folder: Path | None
    #: Whether the task is in progress in this very attempt.
    is_held: bool
    #: Its write scope.
    write: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The attempt as people say it."""
        return f"attempt {self.attempt} of {self.task_id}"

    @property
    def has_runtime(self) -> bool:
        """Whether a runtime started the worker and speaks for it."""
        return self.layout.live(self.task_id, self.attempt).exists()


def by_environment(environ: Mapping[str, str], cwd: Path) -> Claimed | None:
    """Return the attempt that `WFLEDGER_TASK` and `WFLEDGER_TOKEN` name, or None."""
    task_id, token = environ.get("WFLEDGER_TASK", ""), environ.get("WFLEDGER_TOKEN", "")
    layout = _layout(Path(environ.get("WFLEDGER_DIR") or cwd)) if task_id and token else None
    if layout is None:
        return None
    attempt = _attempt_of(layout, task_id, token)
    return None if attempt is None else _claimed(layout, task_id, attempt, token)


def at(folder: Path) -> Claimed | None:
    """Return the attempt whose worktree *folder* is in, or None; *folder* need not exist."""
    located = _located(folder)
    if located is None or located.workdir is None:
        return None
    for common in filter(None, (located.common_dir, lender(located))):
        place = _json(common / LOCAL / "attempts" / f"{located.workdir.name}.json")
        path = place.get("path")
        if not isinstance(path, str) or place.get("purpose") != "attempt":
            continue
        if Path(path).resolve() == located.workdir:
            return _of_place(common, located.workdir.name)
    return None


def bind(raw: bytes, session: str, cwd: Path) -> None:
    """Remember that *session* was shown the tokens in *raw*, what a tool was given or answered.

    Who bears a token holds the claim (spec 50); an agent's program starts each of its hooks anew.
    """
    shown = set(_TOKEN.findall(raw))
    layout = _layout(cwd) if shown and session else None
    if layout is None:
        return
    for path in sorted((layout.local / "tokens").iterdir(), key=_age)[:_RECENT]:
        with suppress(OSError):
            if path.read_bytes() in shown:
                (layout.beats / f"{path.name}.session-{mark(session)}").touch()


def of_session(session: str, cwd: Path) -> Iterator[Claimed]:
    """Yield the attempts whose token *session* was shown."""
    located = _located(cwd) if session else None
    if located is None:
        return
    for common in filter(None, (located.common_dir, lender(located))):
        suffix = f".session-{mark(session)}"
        for path in sorted((common / LOCAL / "beats").glob(f"*{suffix}")):
            found = _of_place(common, path.name.removesuffix(suffix))
            if found is not None:
                yield found


def unbind(claimed: Claimed, session: str) -> None:
    """Forget that *session* was shown the token of an attempt."""
    beat = claimed.layout.beat(claimed.task_id, claimed.attempt)
    with suppress(OSError):
        beat.with_name(f"{beat.name}.session-{mark(session)}").unlink()


def mark(session: str) -> str:
    """Return what stands for a session in the names of files."""
    return hashlib.sha256(os.fsencode(session)).hexdigest()[:16]


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0


def _of_place(common: Path, name: str) -> Claimed | None:
    from wfledger.store.layout import split_attempt

    layout, named = _layout_of(common), split_attempt(name)
    if layout is None or named is None:
        return None
    try:
        token = layout.token(named.task_id, named.attempt).read_text("ascii")
    except (OSError, ValueError):
        token = ""
    return _claimed(layout, named.task_id, named.attempt, token)


def _claimed(layout: "Layout", task_id: str, attempt: int, token: str) -> Claimed:
    from wfledger.core.statuses import Status

    task = _json(layout.task(Status.IN_PROGRESS, task_id))
    place = _json(layout.attempt(task_id, attempt)).get("path")
    spec = task.get("spec")
    scope = spec.get("write", ()) if isinstance(spec, dict) else ()
    return Claimed(
        layout, task_id, attempt, token,
        folder=Path(place).resolve() if isinstance(place, str) else None,
        is_held=task.get("attempt") == attempt, write=tuple(map(str, scope)),
    )  # fmt: skip


def _attempt_of(layout: "Layout", task_id: str, token: str) -> int | None:
    """Return the number of the attempt that *token* belongs to, or None."""
    from wfledger.store import claims
    from wfledger.store.layout import is_id, split_attempt

    digest = hashlib.sha256(token.encode()).hexdigest()
    if not is_id(task_id):
        return None
    for path in (layout.local / "claims").glob(f"{task_id}.*"):
        named = split_attempt(path.name)
        if named is None or named.task_id != task_id or named.rest:
            continue
        try:
            record = claims.read(path)
        except OSError:
            continue
        if record is not None and hmac.compare_digest(record.token_sha256, digest):
            return named.attempt
    return None


def _located(folder: Path) -> Located | None:
    try:
        return locate(folder)
    except (RepositoryError, OSError):
        return None


def _layout(start: Path) -> "Layout | None":
    located = _located(start)
    if located is None:
        return None
    return _layout_of(located.common_dir) or _layout_of(lender(located))


def _layout_of(common: Path | None) -> "Layout | None":
    """Return where the ledger of a repository lies; None where it has none."""
    from wfledger.store.layout import Layout

    root = _json(common / LOCAL / POINTER).get("root") if common is not None else None
    if common is None or not isinstance(root, str):
        return None
    return Layout(Path(root), common / LOCAL)


def _json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
