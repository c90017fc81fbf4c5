"""Reading `[role.NAME]`: a program, an agent by its adapter, or a model that wfledger talks to."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from wfledger.core import bounds
from wfledger.core.authority import TOOLS
from wfledger.core.documents import Limits
from wfledger.core.handoffs import same_role
from wfledger.core.routes import ModelPolicy
from wfledger.core.usage import Budget
from wfledger.run.config.confinement import Confinement, read_confinement
from wfledger.run.config.profiles import read_capabilities
from wfledger.run.config.roles import PLACEHOLDERS, Role
from wfledger.run.config.settings import Reader
from wfledger.run.config.templates import template_problem
from wfledger.run.processes.environment import looks_like_token, looks_secret

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LISTED: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?\Z")
#: A shorter value of a secret's name is a stand-in for a server that wants none.
_SECRET_CHARS: Final = 16
_EXAMPLES: Final = (
    'for example ["program", "{prompt}"]; or say adapter = "codex", '
    'or model = "deepseek/deepseek-v4-pro"'
)


def read_role(table: Reader, name: str, defaults: Confinement) -> Role:
    """Read one role; what it does not say of its confinement is as in *defaults*."""
    check_name(table, name, "a role")
    argv = table.each("argv", lambda template: template_problem(template, PLACEHOLDERS))
    adapter = table.text("adapter")
    model = _read_model(table, needs_provider=not argv and adapter is None)
    _check_kind(table, argv, adapter, model)
    return Role(
        name=name,
        argv=argv,
        adapter=adapter,
        model=model,
        requires=tuple(sorted(read_capabilities(table, "requires"))),
        preamble=(table.text("preamble") or "").strip(),
        tools=table.each("tools", _tool_problem) if table.has("tools") else None,
        budget=read_budget(table, "budget"),
        env=_read_env(table.table("env")),
        pass_names=read_names(table, "pass"),
        limits=_read_limits(table),
        slots=table.integer("slots"),
        max_steps=table.integer("max_steps", high=1_000_000),
        plays=table.each("plays", _part_problem),
        confinement=read_confinement(table, defaults, is_agent=adapter is not None),
    )


def refuse_doubles(tables: Reader, roles: Sequence[Role]) -> None:
    """Note each role of plans that two of *roles* play: nobody would know who is meant."""
    players: list[tuple[str, str]] = []
    for role in roles:
        for part in role.plays:
            other = next((name for known, name in players if same_role(known, part)), None)
            if other is not None and other != role.name:
                tables.table(role.name).wrong("plays", f"{part!r} is played by {other} as well")
            players.append((part, role.name))


def role_warnings(roles: tuple[Role, ...]) -> Iterator[str]:
    """Yield what is allowed of *roles* but probably not meant."""
    for role in roles:
        joined = "".join(role.argv)
        if role.argv and "{prompt}" not in joined and "{prompt_file}" not in joined:
            yield (
                f"role.{role.name}.argv has neither {{prompt}} nor {{prompt_file}}: "
                "the program must read $WFLEDGER_TASK_FILE"
            )


def check_name(table: Reader, name: str, what: str) -> None:
    """Note a name that *what* may not have."""
    if not _NAME.match(name):
        table.wrong("", f"is no name for {what}: letters, digits, . _ - only")


def read_names(table: Reader, key: str) -> tuple[str, ...]:
    """Read a list of names of variables, or of their beginnings."""

    def problem(name: str) -> str | None:
        return None if _LISTED.match(name) else "is no name of a variable, nor a prefix ending in *"

    return table.each(key, problem)


def read_key(table: Reader, key: str) -> str | None:
    """Read the name of the variable that holds a secret; None where it is not said, "" for none."""
    name = table.text(key)
    if name and (looks_like_token(name) or not _VARIABLE.match(name)):
        table.wrong(key, "must be the name of a variable that holds the key, not the key itself")
        return None
    return name


def read_budget(table: Reader, key: str) -> Budget | None:
    """Read what may be used: `{usd, tokens, steps}`; None where nothing is said."""
    inner = table.table(key)
    usd = inner.number("usd", low=0.000001, high=bounds.MAX_USD)
    tokens = inner.integer("tokens", high=bounds.MAX_TOKENS)
    steps = inner.integer("steps", high=1_000_000)
    return Budget(usd=usd, tokens=tokens, steps=steps) if table.has(key) else None


def _part_problem(name: str) -> str | None:
    fits = name and len(name) <= 64 and not any(c.isspace() or c in "\"'`=" for c in name)
    return None if fits else "is no role of a plan: 1 to 64 characters without space, quotes and ="


def _tool_problem(name: str) -> str | None:
    return None if name in TOOLS else f"is no tool of a model worker: {', '.join(TOOLS)}"


def _check_kind(
    table: Reader, argv: tuple[str, ...], adapter: str | None, model: ModelPolicy | None
) -> None:
    if adapter is not None and table.has("argv"):
        table.wrong("adapter", "a role is a program (argv) or an agent (adapter), not both")
    elif table.has("argv"):
        if not argv or not argv[0]:
            table.wrong("argv", "names no program")
        for key in ("tools", "budget"):
            if table.has(key):
                table.wrong(key, "has no effect on a program; it is for agents and models")
    elif adapter is None and model is None and not table.has("model"):
        table.wrong("argv", f"is missing; {_EXAMPLES}")
    if adapter is not None and table.has("tools"):
        table.wrong("tools", "has no effect on an agent, which brings its own")
    if table.has("requires") and model is None:
        table.wrong("requires", "has no effect without model")


def _read_model(table: Reader, *, needs_provider: bool) -> ModelPolicy | None:
    """Read `model` and `fallbacks`.

    A model that wfledger talks to has a provider; an agent's may be of the agent's own account.
    """

    def problem(name: str) -> str | None:
        provider, slash, model = name.partition("/")
        if slash and not (provider and model):
            return 'must be "PROVIDER/MODEL"'
        if needs_provider and not slash:
            return 'names no provider: write "PROVIDER/MODEL"'
        return None if name.strip() else "is empty"

    name, fallbacks = table.text("model"), table.each("fallbacks", problem)
    if name is None:
        if fallbacks:
            table.wrong("fallbacks", "has no effect without model")
        return None
    if (found := problem(name)) is not None:
        table.wrong("model", f"{name!r} {found}")
    return ModelPolicy(model=name, fallback_models=fallbacks)


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
