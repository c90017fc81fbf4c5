"""Network namespaces of a torture: packets between a machine and the hub vanish untold.

The torture runs in a network of its own (`own_network`), where nothing of the computer's is
touched, and each machine in another, which a pair of virtual interfaces joins to it (`Link`).
None of them has a name: they are held by open files and by what runs in them, so that nothing is
left when these have ended, however they did. Needs Linux, `ip` and `unshare`; rights only where
user namespaces are forbidden.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal

from wfledger.errors import EnvironmentFailedError

#: Set in the environment of a torture that runs in a network of its own.
_INSIDE: Final = "WFLEDGER_TORTURE_INSIDE"
_PROGRAMS: Final = ("ip", "unshare", "nsenter", "sh")
_LIMIT_S: Final = 20.0
#: An address of hardware that nobody has: whoever is sent to it does not hear of it.
_NOBODY: Final = "02:00:00:00:00:00"
#: What is tried out: all that a torture needs.
_TRIAL: Final = (
    "ip link set lo up && ip link add there type veth peer name here && unshare -n true"
    " && ip address add 10.97.0.1/30 dev there && ip link set there up"
    f" && ip neighbour replace 10.97.0.2 lladdr {_NOBODY} dev there nud permanent"
)

#: A link that is down; what the machine sends is lost; what it is sent is.
Break = Literal["down", "there", "back"]
BREAKS: Final[tuple[Break, ...]] = ("down", "there", "back")


def is_inside() -> bool:
    """Whether this process runs in a network of its own, as `own_network` makes it."""
    return os.environ.get(_INSIDE) == str(os.getpid())


def own_network(argv: Sequence[str]) -> str:
    """Run *argv* in place of this process, in a network of its own.

    Returns only where that cannot be: why.
    """
    reason = why_not()
    if reason:
        return reason
    inside = f'ip link set lo up && {_INSIDE}=$$ exec "$@"'
    with suppress(OSError):
        os.execvp("unshare", [*_unshare(), "sh", "-c", inside, "sh", *argv])
    return "unshare could not be run"


def why_not() -> str:
    """Return why no networks can be made here, "" where they can be."""
    if sys.platform != "linux":
        return "only Linux has network namespaces"
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    try:
        _run(*_unshare(), "sh", "-c", _TRIAL)
    except EnvironmentFailedError as error:
        return f"this system does not let us make network namespaces ({error})"
    return ""


def _unshare() -> list[str]:
    return ["unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--net"]


def _run(*argv: str) -> None:
    """Run a program to its end; raises `EnvironmentFailedError` with what it says."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=_LIMIT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailedError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        said = done.stderr.strip() or f"it ended with {done.returncode}"
        raise EnvironmentFailedError(f"{argv[0]}: {said[-200:]}")


class Link:
    """The namespace of one machine and its link to this one; only in a network of our own.

    Raises `EnvironmentFailedError` where it cannot be made.
    """

    def __init__(self, number: int) -> None:
        self._outer, self._inner = f"machine{number}", "hub"
        #: What the machine reaches us by, and we it.
        self.address, self._machine = f"10.97.{number}.1", f"10.97.{number}.2"
        self._broken: Break | None = None
        said, saying = os.pipe()
        with subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up; echo; read -r _"],
            stdin=subprocess.PIPE, stdout=saying,
        ) as holder:  # fmt: skip
            os.close(saying)
            os.read(said, 1)  # nothing where it has failed, and then `ip` says so
            os.close(said)
            # The open file keeps it from now on, for as long as this process lives.
            self._file = os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            ends = ("type", "veth", "peer", "name", self._inner, "netns", str(holder.pid))
            _run("ip", "link", "add", self._outer, *ends)
        self._here("address", "add", f"{self.address}/30", "dev", self._outer)
        self._here("link", "set", self._outer, "up")
        self._there("address", "add", f"{self._machine}/30", "dev", self._inner)
        self._there("link", "set", self._inner, "up")

    def inside(self, argv: Sequence[str]) -> list[str]:
        """Return what runs *argv* in the machine's namespace, as the same process."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self._file}", "--", *argv]

    @property
    def is_broken(self) -> bool:
        """Whether packets vanish."""
        return self._broken is not None

    def cut(self, how: Break) -> None:
        """Let packets vanish, both ways or one, until `heal`."""
        self.heal()
        self._broken = how
        if how == "down":
            self._here("link", "set", self._outer, "down")
        elif how == "there":
            self._there(*_astray("replace", self.address, self._inner))
        else:
            self._here(*_astray("replace", self._machine, self._outer))

    def heal(self) -> None:
        """Let packets through again."""
        how, self._broken = self._broken, None
        if how == "down":
            self._here("link", "set", self._outer, "up")
        elif how == "there":
            self._there(*_astray("del", self.address, self._inner))
        elif how == "back":
            self._here(*_astray("del", self._machine, self._outer))

    def close(self) -> None:
        """Let go of it: it ends with what still runs there."""
        os.close(self._file)

    def _here(self, *args: str) -> None:
        _run("ip", *args)

    def _there(self, *args: str) -> None:
        _run(*self.inside(["ip", *args]))


def _astray(what: str, address: str, device: str) -> list[str]:
    """Return what has *address* looked for at a machine that there is not, or no longer."""
    found = ["neighbour", what, address, "dev", device]
    return [*found, "lladdr", _NOBODY, "nud", "permanent"] if what == "replace" else found
