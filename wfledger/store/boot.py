"""Which boot this is, to know whether power may have been lost since somebody last looked."""

import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wfledger.store import atomic

if TYPE_CHECKING:
    from wfledger.store.ledger import Ledger

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")
_SYSCTL: Final = b"kern.bootsessionuuid"
#: What the note of the boot says while a rebuild is under way.
_BEGUN: Final = "rebuilding"


def boot_id() -> str:
    """Return an identity that changes with each boot; empty where the system has none."""
    try:
        return _LINUX.read_text("ascii").strip()
    except OSError:
        return _from_sysctl() if sys.platform == "darwin" else ""


def _from_sysctl() -> str:
    size = ctypes.c_size_t(64)
    buffer = ctypes.create_string_buffer(size.value)
    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except (AttributeError, OSError):
        return ""
    failed = ask(_SYSCTL, buffer, ctypes.byref(size), None, ctypes.c_size_t(0))
    return "" if failed else buffer.value.decode("ascii", "replace")


def needs_redo(ledger: "Ledger") -> bool:
    """Whether power may have been lost since the ledger was last known to be whole.

    True as well while a rebuild has begun and not ended. Else False where the system cannot tell
    one boot from another.
    """
    present = boot_id()
    try:
        noted = note_path(ledger).read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        noted = ""
    return noted == _BEGUN or present not in {"", noted}


def note_path(ledger: "Ledger") -> Path:
    """Return the file that says for which boot the ledger is whole."""
    return ledger.layout.local / "boot"


def begin_redo(ledger: "Ledger") -> None:
    """Let nobody change the ledger before it was redone, also when the caller dies."""
    layout = ledger.layout
    atomic.replace(note_path(ledger), _BEGUN.encode() + b"\n", tmp=layout.tmp)


def note_boot(ledger: "Ledger") -> None:
    """Note that the ledger is whole as of this boot."""
    layout = ledger.layout
    atomic.replace(note_path(ledger), boot_id().encode() + b"\n", tmp=layout.tmp)
