"""Moves refs: several at once, each only from where it was expected, durably."""

import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pygit2

from wfledger.clock import SystemClock
from wfledger.errors import BusyError, GitError
from wfledger.vcs.proc import Finished, failure, run_git
from wfledger.vcs.repo import Repository
from wfledger.vcs.stale import OURS, PACKED, SHALLOW, is_abandoned, is_stale

_NAME: Final = re.compile(r"refs/[^\x00-\x20\x7f]+\Z")
_OID: Final = re.compile(r"[0-9a-f]{40}\Z")
_ABSENT: Final = "0" * 40
_CONTENTION: Final = (
    b"Unable to create", b"unable to create file", b"unable to lock", b"but expected",
)  # fmt: skip
_ROUNDS: Final = 5
_CLOCK: Final = SystemClock()


@dataclass(frozen=True)
class RefUpdate:
    """One move: *old* None means that the ref must not exist, *new* None deletes it.

    Where *old* and *new* are the same nothing moves, but the ref must be there.
    """

    ref: str
    new: str | None
    old: str | None


def swap(repo: Repository, updates: Sequence[RefUpdate], *, reason: str) -> bool:
    """Apply *updates* in one transaction; False where some ref was not at its `old`.

    On False nothing has moved. A ref that is locked is tried again for a few seconds, then
    `BusyError` names it; the lock of a process that died is removed where the ref is ours. Every
    other failure is a `GitError`. After a crash inside the call some refs may have moved and
    others not (git's files are renamed one by one): see `ensure`.
    """
    if not updates:
        return True
    script = "".join(["start\n", *map(_line, updates), "prepare\ncommit\n"]).encode()
    done = None
    for round_ in range(_ROUNDS):
        done = run_git(
            ["update-ref", "--no-deref", "--create-reflog", "-m", _one_line(reason), "--stdin"],
            git_dir=repo.common_dir,
            stdin=script,
            check=False,
        )
        if done.status == 0:
            return True
        if any(repo.tip(update.ref) != update.old for update in updates):
            return False
        if not any(words in done.err for words in _CONTENTION):
            raise failure(done)
        if not _clear_stale(repo, updates):
            _CLOCK.wait(_pause(round_))
    raise _busy(done)


def ensure(repo: Repository, updates: Sequence[RefUpdate], *, reason: str) -> bool:
    """Apply what is not applied yet of *updates*, so that a repetition after a crash succeeds.

    False where some ref is neither at its `old` nor at its `new`; nothing has moved then.
    """
    left = [update for update in updates if repo.tip(update.ref) != update.new]
    return swap(repo, left, reason=reason)


def is_branch_name(name: str) -> bool:
    """Whether git takes *name* for a new branch."""
    if name.startswith("-") or name == "HEAD":
        return False
    return pygit2.reference_is_valid_name(f"refs/heads/{name}")


def refs_under(repo: Repository, prefix: str) -> dict[str, str]:
    """Return the refs below *prefix* (`refs/wfledger/keep`) and the objects they name.

    Read from git's files without a process: meetings ask several times. What is packed meanwhile
    is found, for loose ones are read first; what names nothing legible is left out.
    """
    top = prefix.rstrip("/") or "refs"
    found = dict(_loose(repo, top))
    return {**_packed(repo, top), **found}


def _loose(repo: Repository, top: str) -> Iterator[tuple[str, str]]:
    start = repo.common_dir / top
    folders = os.walk(start) if start.is_dir() else [(str(start.parent), [], [start.name])]
    for folder, _, names in folders:
        for name in names:
            path = Path(folder, name)
            ref = path.relative_to(repo.common_dir).as_posix()
            oid = None if name.endswith(".lock") else _named(repo, path, ref)
            if oid is not None:
                yield ref, oid


def _named(repo: Repository, path: Path, ref: str) -> str | None:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, ValueError):  # gone this moment, perhaps into the packed ones
        return None
    return text if _OID.match(text) else repo.tip(ref)


def _packed(repo: Repository, top: str) -> dict[str, str]:
    try:
        text = (repo.common_dir / "packed-refs").read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return {}
    pairs = (line.split(" ", 1) for line in text.splitlines() if line[:1] not in {"#", "^"})
    return {
        pair[1]: pair[0] for pair in pairs
        if len(pair) == 2 and (pair[1] == top or pair[1].startswith(f"{top}/"))
    }  # fmt: skip


def _line(update: RefUpdate) -> str:
    """Return one instruction; what could be read as two is refused."""
    oids = [oid for oid in (update.old, update.new) if oid is not None]
    if not _NAME.match(update.ref) or not all(_OID.match(oid) for oid in oids):
        raise GitError(f"not a ref update: {update}", kind="bad_ref", ref=update.ref)
    if update.new == update.old:
        return f"verify {update.ref} {update.old or _ABSENT}\n"
    if update.new is None:
        return f"delete {update.ref} {update.old}\n"
    if update.old is None:
        return f"create {update.ref} {update.new}\n"
    return f"update {update.ref} {update.new} {update.old}\n"


def clear_stale_below(repo: Repository, prefix: str) -> bool:
    """Remove the locks that dead processes left on refs below *prefix*, which are ours alone.

    Returns whether there were any.
    """
    return _clear(repo, (repo.common_dir / prefix.rstrip("/")).rglob("*.lock"))


def _clear_stale(repo: Repository, updates: Sequence[RefUpdate]) -> bool:
    """Remove the locks that dead processes left on refs of ours; nobody else ever would."""
    return _clear(
        repo,
        (repo.common_dir / f"{one.ref}.lock" for one in updates if one.ref.startswith(OURS)),
    )


def _clear(repo: Repository, locks: Iterable[Path]) -> bool:
    """Remove those of *locks* that are stale.

    And what a git that was killed while it deleted a ref leaves of all packed refs, or of all
    histories while it fetched.
    """
    stale = [lock for lock in locks if is_stale(lock)]
    shared = (repo.common_dir / name for name in (*PACKED, SHALLOW))
    stale += [path for path in shared if is_abandoned(path)]
    for lock in stale:
        lock.unlink(missing_ok=True)
    return bool(stale)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200] or "wfledger"


def _pause(round_: int) -> float:
    """Return seconds to wait, spread by process and thread so that rivals part."""
    spread = hash((os.getpid(), threading.get_ident(), round_)) % 1000 / 1000
    return 0.01 * (1 << round_) * (0.5 + spread)


def _busy(done: Finished | None) -> BusyError:
    said = failure(done).message if done is not None else ""
    return BusyError(
        f"a ref is locked by another process: {said}",
        hint="if no git process is running, remove the .lock file that the message names",
    )
