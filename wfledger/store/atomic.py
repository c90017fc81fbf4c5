"""The only file mutations there are: write a whole file, move it, create it exclusively.

Everything is written under a temporary name in a folder of its own and renamed into place, so a
reader sees the old or the new bytes and never a part (WFL-LEDGER-020). Durability against power
loss is the journal's (`store.journal`); files are synced here only where asked.
"""

import ctypes
import errno
import itertools
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wfledger import faults
from wfledger.errors import InvalidDocumentError, LedgerDamagedError

faults.register(
    "atomic.replace.before-rename", "atomic.replace.after-rename", "atomic.move.after-rename"
)

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
#: What kernels and file systems without RENAME_NOREPLACE answer.
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})

_serial = itertools.count()


def _find_renameat2() -> Callable[..., int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    function.argtypes = (
        ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint,
    )
    return function


_renameat2 = _find_renameat2()


def move(source: Path, target: Path) -> None:
    """Rename *source* to *target*, which must not exist.

    Raises `FileNotFoundError` when the source is gone (a lost race) and `FileExistsError` when the
    target is taken. Where the kernel cannot refuse to replace, the check comes before the rename;
    callers then rely on the ledger lock.
    """
    if _renameat2 is not None:
        arguments = (_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target))
        if _renameat2(*arguments, _RENAME_NOREPLACE) == 0:
            faults.point("atomic.move.after-rename")
            return
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), str(source), None, str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)
    faults.point("atomic.move.after-rename")


def _write_temporary(data: bytes, tmp: Path, mode: int, *, durable: bool = False) -> Path:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        temporary = tmp / f"{os.getpid()}-{next(_serial)}.tmp"
        try:
            descriptor = os.open(temporary, flags, mode)
            break
        except FileExistsError:
            continue  # left by a dead process that had our pid, or of another pid namespace
    try:
        write_all(descriptor, data)
        if durable:
            os.fsync(descriptor)
    except OSError:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
        raise
    os.close(descriptor)
    return temporary


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*; a short write goes on where it stopped."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def replace(
    path: Path, data: bytes, *, tmp: Path, mode: int = 0o644, durable: bool = False
) -> None:
    """Make *path* hold exactly *data*, replacing what is there in one step.

    Where it is to be *durable* it outlives a power loss from the return on.
    """
    temporary = _write_temporary(data, tmp, mode, durable=durable)
    try:
        faults.point("atomic.replace.before-rename")
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    faults.point("atomic.replace.after-rename")


def write_new(path: Path, data: bytes, *, tmp: Path) -> None:
    """Make *path* hold *data*; raises `FileExistsError` when it is there already."""
    temporary = _write_temporary(data, tmp, 0o644)
    try:
        faults.point("atomic.replace.before-rename")
        move(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    faults.point("atomic.replace.after-rename")


def create(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Create *path* with *data* by exclusive creation: at most one caller ever succeeds.

    The name exists before its content does. Use it where the name alone decides (claim records);
    a crash in between leaves an empty file, which still decides.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def read(path: Path, *, limit: int) -> bytes:
    """Return the content of a regular file of at most *limit* bytes (WFL-LEDGER-022).

    Links are not followed, a FIFO does not block, and what is not a plain single file raises
    `LedgerDamagedError`; a file that is too large raises `InvalidDocumentError`.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except PermissionError:
        raise LedgerDamagedError(f"{path.name} may not be read", path=str(path)) from None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise LedgerDamagedError(f"{path.name} is not a regular file", path=str(path)) from None
        raise
    try:
        _check_plain(path, os.fstat(descriptor), limit)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit + 1)
    finally:
        os.close(descriptor)


def _check_plain(path: Path, facts: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise LedgerDamagedError(f"{path.name} is not a regular file", path=str(path))
    # No name at all is well: it was replaced after we opened it, and we read the old bytes whole.
    if facts.st_nlink > 1:
        raise LedgerDamagedError(f"{path.name} has more than one name", path=str(path))
    if facts.st_size > limit:
        raise InvalidDocumentError(f"{path.name} is {facts.st_size} bytes; limit {limit}")


def append(path: Path, data: bytes) -> None:
    """Append *data* to a file, which need not be there; durable on return.

    A crash leaves the file as it was, or with the beginning of *data* at its end.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o644)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
