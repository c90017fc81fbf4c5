"""What kind of file system a folder lies on, as far as the system says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
#: Their locks and renames go over a network.
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "gfs2", "ocfs2"}
)
#: What is behind them cannot be told, or is a mount of the machine that this one runs on.
_UNSURE: Final = frozenset({"9p", "fuse", "fuseblk", "virtiofs", "vboxsf", "prl_fs", "drvfs"})


def kind_of(path: Path, mounts: str | None = None) -> str | None:
    """Return the kind of file system at *path*; None where the system does not say."""
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return None
    place, best, found = path.resolve(), -1, None
    for at, kind in _parsed(mounts):
        # The last of equal mount points lies on top.
        if place.is_relative_to(at) and len(at.parts) >= best:
            best, found = len(at.parts), kind
    return found


def network_kind(path: Path, mounts: str | None = None) -> str | None:
    """Return the kind of network file system at *path*, None where it is none."""
    kind = kind_of(path, mounts)
    return kind if kind in _NETWORK else None


def unsure_kind(path: Path, mounts: str | None = None) -> str | None:
    """Return the kind of file system at *path* if nobody can tell what is behind it."""
    kind = kind_of(path, mounts)
    return kind if kind is not None and kind.partition(".")[0] in _UNSURE else None


def _parsed(mounts: str) -> Iterator[tuple[Path, str]]:
    """Yield mount point and kind of each line of /proc/self/mountinfo."""
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 4 and after:
            yield Path(_unescaped(fields[4])), after.split(" ")[0]


def _unescaped(text: str) -> str:
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, letter)
    return text
