"""What a ledger may run on the machines that share it, for a person to look at before joining.

Names alone of secrets; nothing here runs anything.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from wfledger.core.policy import LedgerConfig, Policy
from wfledger.core.records import Command, parse
from wfledger.run.config.fleetfile import load
from wfledger.run.config.roles import Fleet, Role

#: Of one text.
_MOST: Final = 300


@dataclass(frozen=True)
class Item:
    """One thing that may run here, or that those that run are given."""

    #: role, adapter, provider, setup, gate, notify, environment, protected, limits, tasks
    kind: str
    name: str
    what: str


@dataclass(frozen=True)
class Review:
    """All of it, in the order in which people read it."""

    ledger: str
    config: LedgerConfig
    items: tuple[Item, ...]
    warnings: tuple[str, ...] = ()

    def as_json(self) -> list[dict[str, Any]]:
        """Return the shape that `join --json` prints."""
        return [asdict(item) for item in self.items]


def review(files: Mapping[str, bytes], *, where: str) -> Review:
    """Return what the ledger with *files* (ledger.json, fleet.toml) may run; *where* it comes from.

    Raises `InvalidDocumentError` where one of them cannot be read.
    """
    config = parse(LedgerConfig, files.get("ledger.json", b""))
    fleet = load(files.get("fleet.toml", b"").decode("utf-8", "replace"))
    anything = f"the commands of every task that whoever can push to {where} adds"
    items = (
        Item("tasks", "", anything), *_of_fleet(fleet), *_of_policy(config.policy),
    )  # fmt: skip
    return Review(config.id, config, items, fleet.warnings)


def _of_fleet(fleet: Fleet) -> Iterator[Item]:
    for role in fleet.roles:
        yield Item("role", role.name, _role(role))
    for adapter in fleet.adapters:
        yield Item("adapter", adapter.name, _line(adapter.argv))
    for provider in fleet.providers:
        key = f", its key from {provider.key}" if provider.key else ""
        models = ", ".join(model.name for model in provider.models)
        asked = f" for {models}" if models else ""
        yield Item("provider", provider.name, _cut(f"{provider.base_url}{asked}{key}"))
    worktree = fleet.worktree
    if worktree.setup is not None:
        yield Item("setup", "", _line(worktree.setup))
    if worktree.copy or worktree.link:
        yield Item("setup", "copy, link", _cut(", ".join((*worktree.copy, *worktree.link))))
    if fleet.notify is not None:
        yield Item("notify", "", _line(fleet.notify.command))
    if fleet.env_pass:
        yield Item("environment", "", _cut(", ".join(fleet.env_pass)))


def _of_policy(policy: Policy) -> Iterator[Item]:
    if policy.gate is not None:
        yield Item("gate", "", _line(policy.gate.command))
    yield Item("protected", "", _cut(", ".join(policy.protected)))
    limits = {key: value for key, value in policy.limits.model_dump().items() if value is not None}
    yield Item("limits", "", ", ".join(f"{key} {value:.15g}" for key, value in limits.items()))


def _role(role: Role) -> str:
    if role.argv:
        what = _line(role.argv)
    elif role.adapter is not None:
        what = f"the agent {role.adapter}"
    else:
        what = "a model"
    if role.model is not None:
        named = "/".join(one for one in (role.model.provider, role.model.model) if one)
        what += f" {named}" if named else ""
    if role.pass_names:
        what += f", with {', '.join(role.pass_names)}"
    confined = role.confinement.sandbox
    return _cut(what if confined == "none" else f"{what} (sandbox: {confined})")


def _line(command: Command) -> str:
    return _cut(command if isinstance(command, str) else shlex.join(command))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"
