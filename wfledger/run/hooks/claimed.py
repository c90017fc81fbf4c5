"""Which attempt an agent's session works on: by its environment, or by the worktree it stands in.

Most sessions work on none, and that is found out by looking at a few names. So the ledger is read
here file by file, without its machinery; nothing is decided by it that another door does not check.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wfledger.errors import RepositoryError
from wfledger.run.localnames import LOCAL, POINTER
from wfledger.vcs.locate import Located, lender, locate

if TYPE_CHECKING:
    from wfledger.store.layout import Layout


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
