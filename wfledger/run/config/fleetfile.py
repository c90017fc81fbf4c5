"""Reading fleet.toml, which all machines share, joined with this machine's machine.toml (spec 66).

One reading finds every mistake of both. What both define is a mistake, too: neither file quietly
takes the other's place, nor that of what wfledger comes with.
"""

from collections.abc import Mapping
from typing import Any, Final

from wfledger.run.config import adapters, machine, profiles
from wfledger.run.config.adapters import Adapter
from wfledger.run.config.confinement import read_confinement
from wfledger.run.config.known import built_in
from wfledger.run.config.notify_settings import read_notify
from wfledger.run.config.profiles import Profile
from wfledger.run.config.provider_tables import read_provider
from wfledger.run.config.providers import Provider
from wfledger.run.config.role_tables import (
    check_name,
    read_names,
    read_role,
    refuse_doubles,
    role_warnings,
)
from wfledger.run.config.roles import Fleet, Role, Worktree
from wfledger.run.config.settings import Reader, read_toml

NAME: Final = "fleet.toml"


def load(text: str, *, machine_text: str = "", source: str = NAME) -> Fleet:
    """Read both texts; raises `InvalidDocumentError` that names every mistake with its key."""
    top = _joined(text, machine_text, source)
    defaults = top.table("defaults")
    confinement = read_confinement(defaults)
    tables = top.table("role")
    roles = tuple(read_role(tables.table(name), name, confinement) for name in tables.names())
    refuse_doubles(tables, roles)
    own = _read_profiles(top)
    fleet = Fleet(
        roles=roles,
        providers=_read_providers(top, own),
        profiles=own,
        adapters=_read_adapters(top),
        worktree=_read_worktree(top.table("worktree")),
        env_pass=read_names(top.table("env"), "pass"),
        default_role=_read_default(defaults, roles),
        workers=defaults.integer("workers"),
        offers=frozenset(defaults.strings("offers")),
        confinement=confinement,
        notify=read_notify(top.table("notify"), read_names(top.table("notify"), "pass")),
        unsandboxed=machine.read_unsandboxed(top, str(machine.path())),
        warnings=tuple(role_warnings(roles)),
    )
    top.close()
    return fleet


def _joined(text: str, machine_text: str, source: str) -> Reader:
    """Return a reader of both files; a key of a table that both have is noted."""
    ours = read_toml(text, source=source)
    if not machine_text.strip():
        return Reader(ours, source=source)
    there = str(machine.path())
    theirs = read_toml(machine_text, source=there)
    both: dict[str, Any] = dict(ours)
    elsewhere: dict[tuple[str, ...], str] = {}
    twice: list[tuple[str, ...]] = []
    for name, value in theirs.items():
        mine = ours.get(name)
        if isinstance(mine, dict) and isinstance(value, dict):
            both[name] = {**value, **mine}
            elsewhere |= {(name, key): there for key in value if key not in mine}
            twice += [(name, key) for key in value if key in mine]
        elif name in ours:
            twice.append((name,))
        else:
            both[name] = value
            elsewhere[(name,)] = there
    top = Reader(both, source=source, elsewhere=elsewhere)
    for keys in twice:
        table = top.table(keys[0]) if len(keys) == 2 else top
        table.wrong(keys[-1], f"is defined twice: in {source} and in {there}; keep one of them")
    return top


def _read_profiles(top: Reader) -> tuple[Profile, ...]:
    found = []
    table = top.table("profile")
    for name in table.names():
        check_name(table.table(name), name, "a profile")
        if name in built_in():
            _twice(top, "profile", name, profiles.file_of(name))
        found.append(profiles.read_profile(table.table(name), name))
    return tuple(found)


def _read_adapters(top: Reader) -> tuple[Adapter, ...]:
    table = top.table("adapter")
    taken = {adapter.name for adapter in adapters.built_in()} if table.names() else set()
    for name in table.names():
        if name in taken:
            _twice(top, "adapter", name, adapters.file_of(name))
    return tuple(adapters.read_adapter(table.table(name), name) for name in table.names())


def _twice(top: Reader, kind: str, name: str, where: str) -> None:
    source = top.source_of(kind, name)
    top.table(kind).wrong(
        name, f"is defined twice: in {source} and by wfledger itself, in {where}; take another name"
    )


def _read_providers(top: Reader, own: tuple[Profile, ...]) -> tuple[Provider, ...]:
    table = top.table("provider")
    known: Mapping[str, Profile] = {}
    if table.names():
        known = {**built_in(), **{profile.name: profile for profile in own}}
    found = (read_provider(table.table(name), name, known) for name in table.names())
    return tuple(provider for provider in found if provider is not None)


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
