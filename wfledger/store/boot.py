"""Which boot this is, to know whether power may have been lost since somebody last looked."""

import ctypes
import sys
from pathlib import Path
from typing import Final

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")
_SYSCTL: Final = b"kern.bootsessionuuid"


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
