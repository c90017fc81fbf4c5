"""fleet.toml: which programs run prompts, what they may see, and how worktrees are prepared.

The file is committed and shared, so it holds names of secrets and never secrets. Reading it finds
every mistake at once. Filling a role's argument vector involves no shell, so nothing in a prompt
can become a command.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Final

from wfledger.core.documents import Limits, TaskSpec
from wfledger.core.records import Command
from wfledger.core.routes import Capability, ModelPolicy
from wfledger.core.usage import Budget
from wfledger.errors import InvalidDocumentError, NotFoundError
from wfledger.run.config.confinement import UNCONFINED, Confinement, read_confinement
from wfledger.run.config.notify_settings import Notify, read_notify
from wfledger.run.config.settings import Reader, read_toml
from wfledger.run.processes.environment import looks_like_token, looks_secret

#: Bytes of one argument, its end mark included: the kernel's MAX_ARG_STRLEN.
ARGUMENT_BYTES: Final = 128 * 1024
_PIECES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_ROLE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LISTED: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?\Z")
#: A shorter value of a secret's name is a stand-in for a server that wants none.
_SECRET_CHARS: Final = 16


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
    """All of fleet.toml."""

    roles: tuple[Role, ...] = ()
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
    #: What is allowed but probably not meant.
    warnings: tuple[str, ...] = ()

    def confinement_for(self, spec: TaskSpec) -> Confinement:
        """Return how the worker of a task is kept apart; as the defaults say without its role."""
        wanted = spec.role or self.default_role
        found = self.confinement
        if spec.command is None:
            roles = [role for role in self.roles if role.name == wanted]
            found = roles[0].confinement if roles else found
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


def load(text: str, *, source: str = "fleet.toml") -> Fleet:
    """Read *text*; raises `InvalidDocumentError` that names every mistake with its key."""
    top = Reader(read_toml(text, source=source), source=source)
    tables, defaults = top.table("role"), top.table("defaults")
    confinement = read_confinement(defaults)
    roles = tuple(_read_role(tables.table(name), name, confinement) for name in tables.names())
    fleet = Fleet(
        roles=roles,
        worktree=_read_worktree(top.table("worktree")),
        env_pass=_read_names(top.table("env"), "pass"),
        default_role=_read_default(defaults, roles),
        workers=defaults.integer("workers"),
        offers=frozenset(defaults.strings("offers")),
        confinement=confinement,
        notify=read_notify(top.table("notify"), _read_names(top.table("notify"), "pass")),
        warnings=tuple(_warnings(roles)),
    )
    top.close()
    return fleet


def argv_for(role: Role, filling: Filling) -> tuple[str, ...]:
    """Return the argument vector that starts *role* on an attempt.

    A prompt that begins with a hyphen gets a space before it, so that no plan can hand options
    to the program. Raises `InvalidDocumentError` when an argument cannot be passed.
    """
    return tuple(_fill(role, template, filling) for template in role.argv)


def propose(names: Collection[str]) -> str:
    """Return the text of a new fleet.toml for a repository whose top folder holds *names*."""
    from wfledger.run.config.proposals import text_for

    return text_for(names)


def _read_role(table: Reader, name: str, defaults: Confinement) -> Role:
    if not _ROLE_NAME.match(name):
        table.wrong("", "is no name for a role: letters, digits, . _ - only")
    argv = table.each("argv", _template_problem)
    if not argv or not argv[0]:
        table.wrong("argv", 'is missing; for example ["program", "{prompt}"]')
    return Role(
        name=name,
        argv=argv,
        env=_read_env(table.table("env")),
        pass_names=_read_names(table, "pass"),
        limits=_read_limits(table),
        slots=table.integer("slots"),
        max_steps=table.integer("max_steps", high=1_000_000),
        confinement=read_confinement(table, defaults),
    )


def _read_env(table: Reader) -> tuple[tuple[str, str], ...]:
    pairs = []
    for name in table.names():
        value = table.text(name)
        if not _VARIABLE.match(name) or name.startswith("WFLEDGER_"):
            table.wrong(name, "is no name that a variable may have here")
        elif value is None:
            continue
        elif looks_like_token(value) or (looks_secret(name) and len(value) >= _SECRET_CHARS):
            table.wrong(name, "looks like a secret; fleet.toml is committed: list its name in pass")
        elif "\0" in value:
            table.wrong(name, "holds NUL")
        else:
            pairs.append((name, value))
    return tuple(pairs)


def _read_names(table: Reader, key: str) -> tuple[str, ...]:
    def problem(name: str) -> str | None:
        return None if _LISTED.match(name) else "is no name of a variable, nor a prefix ending in *"

    return table.each(key, problem)


def _read_limits(role: Reader) -> Limits:
    table = role.table("limits")
    wall_s = table.seconds("wall_s")
    timeout = role.seconds("timeout")
    if timeout is not None and table.has("wall_s"):
        role.wrong("timeout", "says the same as limits.wall_s; keep one of them")
    return Limits(
        wall_s=timeout if wall_s is None else wall_s,
        idle_s=table.seconds("idle_s"),
        silence_s=table.seconds("silence_s"),
        output_bytes=table.integer("output_bytes", low=1024, high=2**40),
    )


def _read_worktree(table: Reader) -> Worktree:
    copy = table.each("copy", path_problem)
    link = table.each("link", path_problem)
    for path in sorted(set(copy) & set(link)):
        table.wrong("link", f"{path!r} is in copy too")
    return Worktree(
        setup=table.command("setup"),
        copy=tuple(path.rstrip("/") for path in copy),
        link=tuple(path.rstrip("/") for path in link),
        timeout=table.seconds("timeout") or Worktree.timeout,
        network=table.flag("network"),
    )


def path_problem(path: str) -> str | None:
    """Return why *path* cannot be copied or linked into a worktree, or None."""
    parts = path.rstrip("/").split("/")
    if path.startswith("/") or "\\" in path or any(ord(char) < 32 for char in path):
        return "must be relative to the repository, with / between its parts"
    if any(part in {"", ".", ".."} for part in parts):
        return "must name a file or folder below the repository, without . or .."
    if any(part.lower() in {".git", ".wfledger"} for part in parts):
        return "belongs to git or to the ledger"
    return None


def _read_default(defaults: Reader, roles: tuple[Role, ...]) -> str | None:
    """Return the default role: the one that is named, else the only one there is."""
    name = defaults.text("role")
    known = [role.name for role in roles]
    if name is not None and name not in known:
        defaults.wrong("role", f"there is no role {name!r}; known: {', '.join(known) or 'none'}")
    if name is None and len(known) == 1:
        return known[0]
    return name


def _warnings(roles: tuple[Role, ...]) -> Iterator[str]:
    for role in roles:
        joined = "".join(role.argv)
        if "{prompt}" not in joined and "{prompt_file}" not in joined:
            yield (
                f"role.{role.name}.argv has neither {{prompt}} nor {{prompt_file}}: "
                "the program must read $WFLEDGER_TASK_FILE"
            )


def _template_problem(template: str) -> str | None:
    for match in _PIECES.finditer(template):
        piece = match[0]
        if piece in "{}":
            return f"has a lone {piece}; write {piece * 2} for the character itself"
        if match[1] is not None and match[1] not in PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            return f"has the unknown placeholder {piece}; known: {known}"
    return None


def _fill(role: Role, template: str, filling: Filling) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        return _value(role, match[1], filling)

    filled = _PIECES.sub(value, template)
    if filled.startswith("-") and not template.startswith("-"):
        filled = " " + filled
    _check_argument(role, filled)
    return filled


def _value(role: Role, name: str, filling: Filling) -> str:
    value = getattr(filling, name)
    if value is None and name == "max_steps":
        value = role.max_steps
    if value is None:
        raise InvalidDocumentError(
            f"role {role.name} needs {{{name}}} and the task says nothing of it",
            hint=f"give the task max_steps, or set max_steps in [role.{role.name}]",
            role=role.name,
        )
    return str(value)


def _check_argument(role: Role, argument: str) -> None:
    try:
        size = len(argument.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise InvalidDocumentError(
            f"role {role.name}: the prompt holds half a character (a lone surrogate)",
            role=role.name,
        ) from None
    if "\0" in argument:
        raise InvalidDocumentError(
            f"role {role.name}: the prompt holds NUL, which no argument can", role=role.name
        )
    if size >= ARGUMENT_BYTES:
        raise InvalidDocumentError(
            f"role {role.name}: an argument of {size} bytes; the kernel takes less than"
            f" {ARGUMENT_BYTES}",
            hint="use {prompt_file} in argv instead of {prompt}",
            role=role.name,
            size=size,
        )
