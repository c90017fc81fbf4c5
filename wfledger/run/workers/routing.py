"""Where a task goes: the registry's rules over fleet.toml, breakers and the keys that are here.

One `Router` is one reading of all that; whoever acts later asks a new one.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from wfledger.clock import parse_iso
from wfledger.core.breaking import Breaker
from wfledger.core.documents import Task, TaskSpec
from wfledger.core.routes import NoRoute, Routed, account_of
from wfledger.run.config.roles import Fleet, Role
from wfledger.run.money import breakers
from wfledger.run.money.breakers import Shut
from wfledger.run.money.caps import shut_providers
from wfledger.run.slots import held
from wfledger.run.workers.registry import Registry
from wfledger.run.workspace import Workspace

#: How long a run waits for a provider that says when it answers again; beyond that it is a
#: person's to decide.
PATIENCE_S: Final = 900.0


@dataclass(frozen=True)
class Closed:
    """Why an account takes nothing now."""

    reason: str
    #: Ready to paste; None where it passes by itself.
    command: str | None = None


class Router:
    """Answers where tasks go."""

    def __init__(self, workspace: Workspace, fleet: Fleet, *, with_keys: bool = True) -> None:
        self._workspace = workspace
        self._fleet = fleet
        self._registry = Registry(fleet)
        #: Whether a provider without its key counts as closed: another process may have it.
        self._with_keys = with_keys
        self._states: Mapping[str, Breaker] = breakers.states(workspace)
        self._shut = breakers.shut(workspace)
        self._used_up = shut_providers(workspace, fleet.providers)
        self._found: dict[tuple[object, ...], Routed | NoRoute | None] = {}

    def route(self, spec: TaskSpec, full: Collection[str] = ()) -> Routed | NoRoute | None:
        """Return the route of a task; None where it needs no model, or its role is not there.

        *full* are the accounts of which every slot is taken.
        """
        role = self._registry.role(spec)
        if role is None:
            return None
        key = (role.name, spec.model, spec.requires, frozenset(full))
        if key not in self._found:
            self._found[key] = self._resolve(role, spec, frozenset(full))
        return self._found[key]

    def account(self, route: Routed) -> str | None:
        """Return whose slots and breaker *route* uses; None where nobody here knows it."""
        name = account_of(route)
        known = route.provider is None or self._registry.provider(route.provider) is not None
        return name if known else None

    def account_for(self, task: Task, full: frozenset[str] = frozenset()) -> str | NoRoute | None:
        """Return the account that *task* would use, or why there is none; None: it needs none."""
        found = self.route(task.spec, full)
        return self.account(found) if isinstance(found, Routed) else found

    def limit(self, account: str) -> int | None:
        """Return how many attempts may use *account* at once now; None where nothing says."""
        provider = self._registry.provider(account)
        state = self._states.get(account, Breaker())
        configured = provider.slots if provider is not None else None
        return state.slots(configured, self._workspace.clock.now())

    def is_full(self, account: str, more: int = 0) -> bool:
        """Whether every slot of *account*, and *more*, are taken on this machine."""
        limit = self.limit(account)
        kind = breakers.kind_of_slot(account)
        return limit is not None and held(self._workspace, kind) >= limit + more

    def room(self) -> dict[str, int]:
        """Return how many more attempts may use each account that has a limit."""
        described = {one.name for one in self._fleet.providers if one.slots is not None}
        found = {}
        for name in described | set(self._states):
            limit = self.limit(name)
            if limit is not None:
                found[name] = limit - held(self._workspace, breakers.kind_of_slot(name))
        return found

    def needs_person(self, spec: TaskSpec) -> Closed | None:
        """Return why a task cannot start before a person does something, or None."""
        found, role = self.route(spec), self._registry.role(spec)
        if role is None or not isinstance(found, NoRoute):
            return None
        if not found.passes:
            return Closed(found.message, "wfledger provider list")
        closed = [self._closed(name) for name in self._registry.accounts(role, spec)]
        if any(one is not None and one.command is None for one in closed):
            return None
        command = next((one.command for one in closed if one is not None), None)
        return Closed(found.message, command)

    # -- what is open ----------------------------------------------------------------------------

    def _resolve(self, role: Role, spec: TaskSpec, full: frozenset[str]) -> Routed | NoRoute:
        accounts = self._registry.accounts(role, spec)
        closed = {name: one.reason for name in accounts if (one := self._closed(name)) is not None}
        busy = {name: f"provider {name}: every slot of it is taken" for name in full - set(closed)}
        return self._registry.resolve(role, spec, closed | busy)

    def _closed(self, name: str) -> Closed | None:
        """Return why *name* takes nothing now, whether of a breaker or for want of its key."""
        one = self._shut.get(name)
        if one is not None:
            return Closed(one.reason, None if self._is_soon(one) else one.command)
        cap = self._used_up.get(name)
        if cap is not None:
            return Closed(cap.reason, cap.command)
        provider = self._registry.provider(name)
        key = provider.key if provider is not None and self._with_keys else None
        if key is None or os.environ.get(key):
            return None
        reason = f"provider {name}: {key} is not set here"
        return Closed(reason, f"export {key}=…")

    def _is_soon(self, one: Shut) -> bool:
        until = one.opened.until
        now = self._workspace.clock.now()
        return until is not None and parse_iso(until) <= now + timedelta(seconds=PATIENCE_S)


def stuck_for(router: Router, tasks: Collection[Task]) -> frozenset[str]:
    """Return which of *tasks* no model here takes before a person does something."""
    return frozenset(
        task.id for task in tasks
        if task.accepted is None and router.needs_person(task.spec) is not None
    )  # fmt: skip
