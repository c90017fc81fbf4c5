"""A program shut in by bubblewrap: it reads this machine and writes its own place alone.

The whole file system is there read-only, with private /tmp, /dev and /proc and without the sockets
of /run; its worktree, its desk and what fleet.toml lists are writable. So it changes neither the
repository nor the ledger, and holds none of the ledger's locks: they are not to be seen, nor are
the places of other attempts. Everything in it dies with the thread that started it (WFL-PROC-010 …
014, 019).
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from wfledger.errors import EnvironmentFailedError
from wfledger.run.config.confinement import Confinement
from wfledger.run.config.roles import Fleet
from wfledger.run.workspace import Workspace

PROGRAM: Final = "bwrap"
#: What a program in it is told: where it is, and where temporary files go.
VARIABLES: Final = {"WFLEDGER_SANDBOX": PROGRAM, "TMPDIR": "/tmp"}  # noqa: S108
_PROBE_S: Final = 20.0
#: Private: what other programs of the machine put there, their sockets first, leads out.
PRIVATE: Final = ("/tmp", "/var/tmp", "/run")  # noqa: S108 - of the sandbox alone
#: Parts of /run without which programs of some systems do not start.
_OF_RUN: Final = (
    "/run/current-system", "/run/booted-system", "/run/wrappers", "/run/opengl-driver",
)  # fmt: skip
#: Parts of /run that name servers are found by.
_NAMES: Final = ("/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf")
#: Folders of the ledger's local state: who can open a lock can hold it, also read-only.
_SECRET: Final = ("tokens", "locks", "live", "beats")

_Kind = Literal["read", "write", "hide"]


@dataclass(frozen=True)
class Sandbox:
    """What is mounted how; a path says it for all below, unless a deeper one says otherwise."""

    mounts: tuple[tuple[Path, _Kind], ...]
    network: bool

    def argv(self, command: Sequence[str], *, cwd: Path, status: int) -> tuple[str, ...]:
        """Return the command line that runs *command* inside.

        Bubblewrap tells the descriptor *status* `exit-code` when the command has ended; without
        that it was never started.
        """
        mounts = [word for path, kind in self.mounts for word in _mount(path, kind)]
        # Last: what lies deeper is mounted where there is nothing of that name before.
        for path, kind in self.mounts:
            mounts += ["--remount-ro", str(path)] if kind == "hide" and _is_folder(path) else []
        return (
            *_base(network=self.network), *mounts, "--chdir", str(cwd),
            "--json-status-fd", str(status), "--", *command,
        )  # fmt: skip


def sandbox_for(
    workspace: Workspace, confinement: Confinement, own: Iterable[Path]
) -> Sandbox | None:
    """Return the sandbox in which only the existing folders *own* are written; None without one.

    Raises `EnvironmentFailedError` where this machine has none, or where what should be writable
    is not there or belongs to the ledger: nothing runs less shut in than was asked for.
    """
    if confinement.sandbox != PROGRAM:
        return None
    require(confinement)
    layout = workspace.ledger.layout
    mounts: dict[Path, _Kind] = {}
    shown = (
        *_OF_RUN, *(_NAMES if confinement.network else ()), *confinement.readable,
        str(Path.home()),
    )  # fmt: skip
    mounts |= {_real(path): "read" for path in shown if Path(path).exists()}
    mounts |= {_real(path): "hide" for path in confinement.hidden if _real(path).exists()}
    kept = [path.resolve() for path in (workspace.common_dir, layout.root, workspace.main)]
    # Desks and homes of all attempts of all ledgers, with the logins that were copied there.
    places = workspace.state.parent.resolve()
    mounts |= dict.fromkeys(_writable(confinement, (*kept[:2], places)), "write")
    mounts |= dict.fromkeys(kept, "read")
    mounts |= {places: "hide"}
    mounts |= {layout.local.resolve() / name: "hide" for name in _SECRET}
    mounts |= {path.resolve(): "write" for path in own}
    ordered = sorted(mounts.items(), key=lambda item: len(item[0].parts))
    return Sandbox(tuple(ordered), confinement.network)


def require(confinement: Confinement) -> None:
    """Raise `EnvironmentFailedError` where the sandbox that is asked for cannot be had."""
    problem = trouble(confinement)
    if problem is not None:
        raise EnvironmentFailedError(
            f'sandbox = "{confinement.sandbox}" cannot be had on this machine: {problem}',
            hint="install bubblewrap and let it make user namespaces, or change fleet.toml",
        )


def trouble(confinement: Confinement) -> str | None:
    """Return why the sandbox that is asked for cannot be had here, or None."""
    return _probe(network=confinement.network) if confinement.sandbox == PROGRAM else None


def unavailable(fleet: Fleet) -> Iterator[str]:
    """Yield, for people, whose sandbox cannot be had here: what they run will fail."""
    parts = {"[defaults]": fleet.confinement}
    parts |= {f"[role.{role.name}]": role.confinement for role in fleet.roles}
    for part, confinement in parts.items():
        problem = trouble(confinement)
        if problem is not None:
            yield f"fleet.toml, {part}: there is no sandbox on this machine: {problem}"


@cache
def _probe(*, network: bool) -> str | None:
    """Run nothing in a sandbox, once for each process; Ubuntu may forbid user namespaces."""
    if shutil.which(PROGRAM) is None:
        return "there is no program bwrap on the PATH"
    try:
        done = subprocess.run(
            [*_base(network=network), "--", "true"], stdin=subprocess.DEVNULL,
            capture_output=True, timeout=_PROBE_S, check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode == 0:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1] if said else f"bwrap ended with status {done.returncode}"


def _base(*, network: bool) -> tuple[str, ...]:
    words = [
        PROGRAM, "--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc",
        # Root keeps its capabilities otherwise, and with them the right to mount.
        "--cap-drop", "ALL",
        "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
    ]  # fmt: skip
    if not network:
        words.append("--unshare-net")
    for folder in PRIVATE:
        if Path(folder).is_dir() and not Path(folder).is_symlink():
            words += ["--tmpfs", folder]
    return tuple(words)


def _mount(path: Path, kind: _Kind) -> tuple[str, ...]:
    name = str(path)
    if kind == "hide":
        return ("--tmpfs", name) if _is_folder(path) else ("--ro-bind", os.devnull, name)
    if kind == "read":
        return "--ro-bind", name, name
    option = "--dev-bind" if path.is_relative_to("/dev") else "--bind"
    return option, name, name


def _is_folder(path: Path) -> bool:
    return path.is_dir() or not path.exists()


def _writable(confinement: Confinement, kept: Sequence[Path]) -> Iterable[Path]:
    for text in confinement.writable:
        path = _real(text)
        if not path.exists():
            raise EnvironmentFailedError(
                f"fleet.toml says that {text} is writable, and it is not there",
                hint=f"make it, or take it out of `writable`: {path}",
            )
        if any(path.is_relative_to(one) for one in kept):
            raise EnvironmentFailedError(
                f"fleet.toml says that {text} is writable: it is the repository's or the ledger's"
            )
        yield path


def _real(path: str) -> Path:
    return Path(path).expanduser().resolve()
