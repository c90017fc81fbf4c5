"""How the worker of a task is kept apart on this machine, once everybody has been asked.

fleet.toml says what is wanted; what an agent can be shut in by depends on the machine. Nothing
runs less shut in than was asked for: an agent without any sandbox is refused until the machine's
own configuration allows it (WFL-ADAPT-030).
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from wfledger.core.documents import TaskSpec
from wfledger.errors import EnvironmentFailedError, InvalidDocumentError
from wfledger.run.config import machine
from wfledger.run.config.adapters import Adapter
from wfledger.run.config.confinement import Confinement, Sandboxed
from wfledger.run.config.roles import Fleet, Role
from wfledger.run.processes.sandbox import trouble, unavailable

_NONE: Final = "none"


class UnsandboxedError(EnvironmentFailedError):
    """An agent would run without any sandbox, and this machine does not allow that."""

    code = "unsandboxed"


def confinement_of(fleet: Fleet, spec: TaskSpec) -> Confinement:
    """Return how the worker of a task is kept apart here; raises where it must not run so."""
    wanted = fleet.confinement_for(spec)
    role = role_of(fleet, spec)
    if role is None or role.argv:
        return wanted
    if role.adapter is None:
        found = _of_model(fleet, spec, role)
        return found.without_network() if spec.network is False else found
    adapter = adapter_of(fleet, role)
    found = _decided(wanted, adapter)
    if found.sandbox == "own" and not adapter.shuts_itself_in:
        raise InvalidDocumentError(
            f'role.{role.name}: {adapter.name} has no sandbox of its own; use sandbox = "bwrap"',
            role=role.name, adapter=adapter.name,
        )  # fmt: skip
    if found.sandbox == _NONE and not is_allowed(fleet, adapter.name):
        raise _refusal(wanted, adapter)
    return found


def is_allowed(fleet: Fleet, name: str) -> bool:
    """Whether this machine lets the agent *name* run without any sandbox."""
    allowed = fleet.unsandboxed
    return allowed if isinstance(allowed, bool) else name in allowed


def adapter_of(fleet: Fleet, role: Role) -> Adapter:
    """Return the adapter of a role; raises `InvalidDocumentError` where there is none."""
    found = fleet.adapter(role.adapter or "")
    if found is None:
        raise InvalidDocumentError(
            f"role.{role.name}: there is no adapter {role.adapter!r}",
            hint="wfledger adapter list", role=role.name, adapter=role.adapter,
        )  # fmt: skip
    return found


def role_of(fleet: Fleet, spec: TaskSpec) -> Role | None:
    """Return the role that runs the prompt of a task; None for commands, and where it is gone."""
    if spec.command is not None:
        return None
    wanted = spec.role or fleet.default_role
    return next((role for role in fleet.roles if role.name == wanted), None)


def foreseen(fleet: Fleet, spec: TaskSpec) -> Confinement:
    """Return how it would be kept apart, for people: without a sandbox where it must not run."""
    try:
        return confinement_of(fleet, spec)
    except (EnvironmentFailedError, InvalidDocumentError):
        return replace(fleet.confinement_for(spec), sandbox="none")


def unready(fleet: Fleet) -> Iterator[str]:
    """Yield, for people, which roles of *fleet* cannot work on this machine, and why."""
    yield from unavailable(fleet)
    for role in fleet.roles:
        if role.adapter is None:
            continue
        part = f"fleet.toml, [role.{role.name}]"
        try:
            confinement_of(fleet, TaskSpec(prompt=role.name, role=role.name))
            adapter = adapter_of(fleet, role)
        except (EnvironmentFailedError, InvalidDocumentError) as error:
            yield f"{part}: {error.message}"
            continue
        if shutil.which(adapter.program, path=dict(role.env).get("PATH")) is None:
            install = f"; install it: {adapter.install}" if adapter.install else ""
            yield f"{part}: there is no program {adapter.program} on the PATH{install}"


def _decided(wanted: Confinement, adapter: Adapter) -> Confinement:
    """Return *wanted* with the sandbox that is meant, where it says `auto`."""
    if wanted.sandbox != "auto":
        return wanted
    boxed = replace(wanted, sandbox="bwrap")
    if trouble(boxed) is None:
        return boxed
    sandbox: Sandboxed = "own" if adapter.shuts_itself_in else "none"
    return Confinement(sandbox, isolation=wanted.isolation)


def _of_model(fleet: Fleet, spec: TaskSpec, role: Role) -> Confinement:
    """Return what shuts in the commands that a model runs; its other tools shut themselves in.

    It commits nothing, so that its place needs no repository of its own for that.
    """
    wanted = role.confinement
    tools = role.tools if spec.tools is None else spec.tools
    if "run" not in (tools or ()):
        return Confinement("own", isolation=wanted.isolation)
    if wanted.sandbox != _NONE or is_allowed(fleet, role.name):
        return wanted
    boxed = Confinement("bwrap", isolation=wanted.isolation)
    problem = trouble(boxed)
    if problem is None:
        return boxed
    line = f'{machine.UNSANDBOXED} = ["{role.name}"]'
    raise UnsandboxedError(
        f"role {role.name} runs commands, and this machine has no sandbox ({problem}); to allow"
        f" that on this machine, write {line} into {machine.path()}",
        hint=f"echo '{line}' >> {machine.path()}", role=role.name, file=str(machine.path()),
    )  # fmt: skip


def _refusal(wanted: Confinement, adapter: Adapter) -> UnsandboxedError:
    why = "fleet.toml asks for no sandbox"
    if wanted.sandbox == "auto":
        problem = trouble(replace(wanted, sandbox="bwrap"))
        why = f"this machine has none ({problem}), and it has none of its own"
    line = f'{machine.UNSANDBOXED} = ["{adapter.name}"]'
    return UnsandboxedError(
        f"{adapter.name} would run without a sandbox: {why}; to allow that on this machine, write"
        f" {line} into {machine.path()}",
        hint=f"echo '{line}' >> {machine.path()}", adapter=adapter.name, file=str(machine.path()),
    )  # fmt: skip
