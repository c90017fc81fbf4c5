"""What an attempt takes with it: slots of the machine, its role and its provider, and its route."""

from typing import NamedTuple

from wfledger.core.documents import Task
from wfledger.core.routes import NoRoute, Routed
from wfledger.run.beating import Heart
from wfledger.run.config.roles import Fleet
from wfledger.run.lending import Lending
from wfledger.run.money.breakers import kind_of_slot
from wfledger.run.slots import Slots
from wfledger.run.workers.routing import Router
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock


class Share(NamedTuple):
    """What an attempt holds while it runs: its slots, and the model that it was given."""

    slots: tuple[LiveLock, ...]
    route: Routed | None

    def release(self) -> None:
        """Let go of the slots."""
        for slot in self.slots:
            slot.release()


class Shares:
    """Hands out shares of one reading of fleet.toml and of the breakers."""

    def __init__(self, workspace: Workspace, fleet: Fleet, *, heart: Heart, most: int) -> None:
        self._workspace = workspace
        self._fleet = fleet
        self._heart = heart
        #: Slots of a provider that nothing limits.
        self._most = most
        self._router = Router(workspace, fleet)
        self._lending = Lending(workspace, fleet)

    def take(self, task: Task, slot: LiveLock) -> Share | None:
        """Return *slot* with all else that *task* needs; None, and nothing held, where that lacks.

        *slot* itself stays the caller's in that case.
        """
        more = self._role_slot(task)
        if more is None:
            return None
        share = self._routed(task, (slot, *more))
        if share is None:
            for own in more:
                own.release()
        return share

    def _role_slot(self, task: Task) -> tuple[LiveLock, ...] | None:
        """Return a slot of the role, where that has a limit; None when none is free."""
        name = task.spec.role or self._fleet.default_role
        role = next((one for one in self._fleet.roles if one.name == name), None)
        if role is None or role.slots is None or task.spec.prompt is None:
            return ()
        more = self._lent(task, "role_limit", role.name)
        own = self._slot(f"role-{role.name}", role.slots + more)
        return None if own is None else (own,)

    def _routed(self, task: Task, slots: tuple[LiveLock, ...]) -> Share | None:
        """Return the first route that is open and has a slot, with that slot."""
        full: set[str] = set()
        while True:
            route = self._router.route(task.spec, full)
            if isinstance(route, NoRoute):
                return None
            account = None if route is None else self._router.account(route)
            if account is None:
                return Share(slots, route)
            more = self._lent(task, "provider", account)
            is_full = self._router.is_full(account, more)
            own = None if is_full else self._account_slot(account, more)
            if own is not None:
                return Share((*slots, own), route)
            full.add(account)

    def _lent(self, task: Task, kind: str, name: str) -> int:
        """Return how many slots more those lend who wait for the run of *task*."""
        return self._lending.to(task).slots.get((kind, name), 0)

    def _account_slot(self, account: str, more: int) -> LiveLock | None:
        limit = self._router.limit(account)
        return self._slot(kind_of_slot(account), (self._most if limit is None else limit) + more)

    def _slot(self, kind: str, count: int) -> LiveLock | None:
        return Slots(self._workspace, count, kind=kind, heart=self._heart).take()
