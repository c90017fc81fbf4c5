"""The scratch world of a rehearsal: a repository with a ledger, a role and a task for each case.

Everything lies in one temporary folder. The machine's own settings hold there as everywhere: what
they allow an agent, and the adapters they define.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wfledger.clock import Clock
from wfledger.core.documents import Limits, Retry, TaskSpec
from wfledger.core.policy import Backpressure, Policy
from wfledger.core.statuses import Status
from wfledger.errors import EnvironmentFailedError
from wfledger.run.localnames import FOLDER
from wfledger.run.rehearsal.server import Rehearsal
from wfledger.run.setup import initialise
from wfledger.run.submit import add
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock, is_alive

#: Variable that holds the servers' key, and the model that they are asked for.
KEY: Final = "REHEARSAL_API_KEY"
MODEL: Final = "scripted"
#: Folder of stages, beside the state of all ledgers.
REHEARSALS: Final = "rehearsals"
#: Held in a stage while its rehearsal runs; a stage that is kept has none.
_LIVE: Final = "live"
#: Seconds for which a stage is nobody's to take away, whoever is at it.
_SETTLE_S: Final = 3600.0
#: A rehearsal tries out an agent, not the machine: nothing here waits for a quiet one.
_POLICY: Final = Policy(
    backpressure=Backpressure(load_per_cpu=None, memory_bytes=None, disk_bytes=None)
)


@dataclass(frozen=True)
class Part:
    """One case on the stage: what is asked of whom, and the server that answers."""

    name: str
    prompt: str
    server: Rehearsal


@dataclass(frozen=True)
class Stage:
    """A scratch repository with its ledger."""

    folder: Path
    workspace: Workspace
    #: Task of each part.
    tasks: Mapping[str, str]
    #: Says that it is in use.
    live: LiveLock

    def remove(self) -> None:
        """Take everything away again."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.live.release()

    def keep(self) -> None:
        """Leave everything for whoever wants to look at it."""
        self.live.path.unlink(missing_ok=True)
        self.live.release()

    def files_with(self, text: str) -> tuple[str, ...]:
        """Return the files of the ledger and of what is local to this machine that hold *text*."""
        layout = self.workspace.ledger.layout
        found = (
            path for root in (layout.root, layout.local) for path in sorted(root.rglob("*"))
            if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes()
        )  # fmt: skip
        return tuple(str(path.relative_to(self.folder)) for path in found)


@dataclass(frozen=True)
class Cast:
    """Who plays: an adapter, and the role that it is given."""

    adapter: str
    #: The table of an adapter that a fleet defines itself.
    definition: Mapping[str, Any] | None = None
    #: More keys of the role.
    role: Mapping[str, Any] = field(default_factory=dict)


def build(
    clock: Clock, cast: Cast, parts: tuple[Part, ...], *, limit_s: float, below: Path
) -> Stage:  # fmt: skip
    """Make the repository, its ledger and the tasks, in a new folder *below* the state home.

    Worktrees lie there otherwise, too; agents and sandboxes treat temporary folders as special.

    Raises `WfledgerError` where that cannot be done; nothing is left then.
    """
    place = below / "wfledger" / REHEARSALS
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=place)).resolve()
    live = LiveLock(folder / _LIVE)
    try:
        repo = folder / "repo"
        _make_repo(repo)
        initialise(repo, clock=clock, policy=_POLICY)
        tables = _fleet(cast, parts)
        (repo / FOLDER / "fleet.toml").write_text(as_toml(tables), "utf-8")
        workspace = Workspace.open(repo, clock=clock, state_home=folder / "state")
        workspace.fleet()  # whatever is wrong with the adapter is said before anything starts
        tasks = {part.name: _add(workspace, part, limit_s) for part in parts}
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        live.release()
        raise
    return Stage(folder, workspace, tasks, live)


def is_abandoned(folder: Path, *, now: float) -> bool:
    """Whether the rehearsal that made the stage *folder* was killed, and some time ago."""
    path = folder / _LIVE
    try:
        return path.stat().st_mtime < now - _SETTLE_S and not is_alive(path)
    except FileNotFoundError:
        return False


@contextmanager
def key_in_environment(key: str) -> Iterator[None]:
    """Let the providers of the stage find their key, where providers' keys are looked for."""
    before = os.environ.get(KEY)
    os.environ[KEY] = key
    try:
        yield
    finally:
        if before is None:
            del os.environ[KEY]
        else:
            os.environ[KEY] = before


def settled(workspace: Workspace, task_id: str) -> bool:
    """Whether a task has come to its end, or its first attempt has."""
    entry = workspace.ledger.get(task_id)
    if entry.status is Status.WAITING:
        return bool(entry.task.attempts)
    return entry.status in {Status.DONE, Status.BLOCKED, Status.CANCELLED}


def _make_repo(repo: Path) -> None:
    repo.mkdir()
    (repo / "README.md").write_text("# scratch repository of a rehearsal\n")
    for args in (
        ("init", "--quiet", "--initial-branch=main"), ("config", "user.name", "rehearsal"),
        ("config", "user.email", "rehearsal@example.invalid"), ("add", "--all"),
        ("commit", "--quiet", "--message=start"),
    ):  # fmt: skip
        done = subprocess.run(
            ["git", *args], cwd=repo, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise EnvironmentFailedError(f"git {args[0]}: {done.stderr.strip()}")


def _fleet(cast: Cast, parts: tuple[Part, ...]) -> dict[str, Any]:
    tables: dict[str, Any] = {"provider": {}, "role": {}}
    if cast.definition is not None:
        tables["adapter"] = {cast.adapter: cast.definition}
    for part in parts:
        name, server = f"rehearsal-{part.name}", part.server
        tables["provider"][name] = {
            "profile": "vllm", "base_url": server.chat_url, "key": KEY,
            "other_urls": {"responses": server.chat_url, "anthropic": server.anthropic_url},
        }  # fmt: skip
        role = {"adapter": cast.adapter, "model": f"{name}/{MODEL}"}
        tables["role"][name] = {**cast.role, **role}
    return tables


def _add(workspace: Workspace, part: Part, limit_s: float) -> str:
    spec = TaskSpec(
        title=part.name, prompt=part.prompt, role=f"rehearsal-{part.name}",
        write=(f"{part.name}/",), limits=Limits(wall_s=limit_s), retry=Retry(max_attempts=1),
    )  # fmt: skip
    return add(workspace, spec, node=part.name, target=None).id


def as_toml(tables: Mapping[str, Any]) -> str:
    """Return *tables*, as TOML has given them, as TOML: one line for each key at the top."""
    return "".join(f"{_string(name)} = {_value(value)}\n" for name, value in tables.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = (f"{_string(name)} = {_value(one)}" for name, one in value.items())
        return "{ " + ", ".join(inside) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _string(text: str) -> str:
    # What JSON escapes, TOML does too; TOML alone wants that of DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
