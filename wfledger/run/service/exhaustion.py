"""Trouble that says nothing about a task: the machine has run out of something.

What fails for it is not recorded against the task, which would block it until a person looks. The
attempt is left to recovery instead, and recovery waits until there is enough again.
"""

import errno
import os
from typing import Final

from wfledger.errors import RAN_OUT
from wfledger.run.workspace import Workspace

_OUT: Final = RAN_OUT | {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
#: Bytes without which nothing of use can be written.
_ROOM: Final = 2**19


def ran_out(workspace: Workspace, error: BaseException) -> bool:
    """Whether *error* came of a full or read-only disk, or of a limit of the system.

    Of what git says only its words are known, so the disk itself is asked as well.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _OUT:
            return True
        cause = cause.__cause__ or cause.__context__
    return not all(_has_room(path) for path in (workspace.common_dir, workspace.state))


def _has_room(path: os.PathLike[str]) -> bool:
    try:
        facts = os.statvfs(path)
    except OSError:
        return True  # not there yet; then it is not what is full
    # Some file systems count no inodes.
    has_inodes = facts.f_favail > 0 or facts.f_files == 0
    return facts.f_bavail * facts.f_frsize >= _ROOM and has_inodes
