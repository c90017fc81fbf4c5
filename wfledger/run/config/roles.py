"""What fleet.toml says, as values: who runs prompts, what they may see, how worktrees are prepared.

The file is committed and shared, so it holds names of secrets and never secrets. It is read by
`config.fleetfile`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from typing import Final

from wfledger.core.documents import Limits, TaskSpec
from wfledger.core.records import Command
from wfledger.core.routes import Capability, ModelPolicy
from wfledger.core.usage import Budget
from wfledger.errors import InvalidDocumentError, NotFoundError
from wfledger.run.config import adapters
from wfledger.run.config.adapters import Adapter
from wfledger.run.config.confinement import UNCONFINED, Confinement
from wfledger.run.config.known import built_in, of_profile
from wfledger.run.config.notify_settings import Notify
from wfledger.run.config.profiles import Profile
from wfledger.run.config.providers import Provider
from wfledger.run.config.templates import fill_argument


@dataclass(frozen=True)
class Filling:
    """The values of a role's placeholders for one attempt."""

    prompt: str
    prompt_file: str
    task: str
    attempt: int
    run: str
    worktree: str
    result_file: str
    max_steps: int | None = None
    agent_type: str = "general"
    model: str | None = None
    provider: str | None = None


PLACEHOLDERS: Final = tuple(one.name for one in fields(Filling))


@dataclass(frozen=True)
class Role:
    """Who runs prompts: a program, an agent by its adapter, or a model that wfledger talks to."""

    name: str
    #: Template: `{prompt}` and the like are replaced, `{{` and `}}` are braces. Empty for agents
    #: and models.
    argv: tuple[str, ...] = ()
    #: The adapter of an agent's program.
    adapter: str | None = None
    #: The model that it asks where the task names none; its provider is a `[provider.NAME]`.
    model: ModelPolicy | None = None
    #: What the model has to be able to do, besides what the task requires.
    requires: tuple[Capability, ...] = ()
    #: Put before every prompt.
    preamble: str = ""
    #: The tools of a model worker; None: all but `run`.
    tools: tuple[str, ...] | None = None
    #: What one attempt may use.
    budget: Budget | None = None
    #: Set for the program as it stands here.
    env: tuple[tuple[str, str], ...] = ()
    #: Names of variables that the program is given besides the standing list and `[env] pass`.
    pass_names: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    #: Most attempts of this role at once on one machine; None leaves it to the slots.
    slots: int | None = None
    #: Value of `{max_steps}` for a task that has none.
    max_steps: int | None = None
    #: Roles of plans that it plays (spec 92).
    plays: tuple[str, ...] = ()
    confinement: Confinement = UNCONFINED


@dataclass(frozen=True)
class Worktree:
    """What makes a fresh worktree usable; paths are relative to the repository."""

    #: A line for /bin/sh, or an argument vector, run in the worktree.
    setup: Command | None = None
    #: Files and folders copied from the main checkout.
    copy: tuple[str, ...] = ()
    #: Files and folders of the main checkout that the worktree gets symbolic links to.
    link: tuple[str, ...] = ()
    #: Seconds that `setup` may take.
    timeout: float = 600.0
    #: Whether `setup` reaches the network from a sandbox; None: as `[defaults]` says.
    network: bool | None = None


@dataclass(frozen=True)
class Fleet:
    """All of fleet.toml, and what machine.toml says besides."""

    roles: tuple[Role, ...] = ()
    #: Servers of models that are described; those of built-in profiles are known besides.
    providers: tuple[Provider, ...] = ()
    #: Profiles and adapters of the user's own; the built-in ones are known besides.
    profiles: tuple[Profile, ...] = ()
    adapters: tuple[Adapter, ...] = ()
    worktree: Worktree = Worktree()
    #: Names of variables that every worker is given besides the standing list.
    env_pass: tuple[str, ...] = ()
    default_role: str | None = None
    #: Slots of a machine that does not say otherwise.
    workers: int | None = None
    #: What the workers of this fleet can do; a task is offered only where it `needs` no more.
    offers: frozenset[str] = frozenset()
    #: Of command tasks, worktree setup, checks and the gate.
    confinement: Confinement = UNCONFINED
    #: Whom to tell that people are wanted; None: nobody.
    notify: Notify | None = None
    #: Which agents may run here without any sandbox: all, or these (machine.toml alone says so).
    unsandboxed: bool | frozenset[str] = False
    #: What is allowed but probably not meant.
    warnings: tuple[str, ...] = ()

    def confinement_for(self, spec: TaskSpec) -> Confinement:
        """Return how the worker of a task is kept apart; as the defaults say without its role."""
        wanted = spec.role or self.default_role
        found, is_agent = self.confinement, False
        if spec.command is None:
            roles = [role for role in self.roles if role.name == wanted]
            found = roles[0].confinement if roles else found
            is_agent = bool(roles) and roles[0].adapter is not None
        if spec.network is False and not is_agent:  # an agent reaches its model
            found = found.without_network()
        return replace(found, isolation="clone") if spec.isolation == "clone" else found

    def role(self, name: str | None) -> Role:
        """Return the role *name*, or the default one; raises `NotFoundError`."""
        wanted = name if name is not None else self.default_role
        for role in self.roles:
            if role.name == wanted:
                return role
        known = ", ".join(role.name for role in self.roles) or "none"
        missing = f"there is no role {wanted!r}" if wanted else "there is no default role"
        raise NotFoundError(
            f"{missing} in fleet.toml (roles: {known})",
            hint='add [role.NAME] with argv = ["program", "{prompt}"] to .wfledger/fleet.toml',
            role=wanted,
        )


    def provider(self, name: str) -> Provider | None:
        """Return the provider *name*: one that is described, or that of a profile of its name."""
        described = next((one for one in self.providers if one.name == name), None)
        if described is not None:
            return described
        profile = self.profile(name)
        return None if profile is None else of_profile(profile, name)

    def profile(self, name: str) -> Profile | None:
        """Return the profile *name*: one of the user's own, or one that wfledger comes with."""
        own = next((one for one in self.profiles if one.name == name), None)
        return own or built_in().get(name)

    def adapter(self, name: str) -> Adapter | None:
        """Return the adapter *name*: one of the user's own, or one that wfledger comes with."""
        known = (*self.adapters, *adapters.built_in())
        return next((one for one in known if one.name == name), None)


def argv_for(role: Role, filling: Filling) -> tuple[str, ...]:
    """Return the argument vector that starts *role* on an attempt.

    Raises `InvalidDocumentError` when an argument cannot be passed.
    """
    who = f"role {role.name}"

    def value_of(name: str) -> str:
        return _value(role, name, filling)

    return tuple(fill_argument(template, value_of, who=who) for template in role.argv)


def propose(names: Collection[str]) -> str:
    """Return the text of a new fleet.toml for a repository whose top folder holds *names*."""
    from wfledger.run.config.proposals import text_for

    return text_for(names)


def _value(role: Role, name: str, filling: Filling) -> str:
    value = getattr(filling, name)
    if value is None and name == "max_steps":
        value = role.max_steps
    if value is None:
        wanted = name if name == "max_steps" else "model"
        raise InvalidDocumentError(
            f"role {role.name} needs {{{name}}} and the task says nothing of it",
            hint=f"give the task {wanted}, or set {wanted} in [role.{role.name}]",
            role=role.name,
        )
    return str(value)
