"""What waits for what, among the tasks of one source. Pure.

A part waits for whatever its whole waits for, and a whole comes after its open parts: that is what
trackers with epics and subtasks mean by them. A dependency on what is done there is settled.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wfledger.plans.ordering import depth_first
from wfledger.run.exchange.imported import Imported, Item, Trouble


@dataclass(frozen=True)
class Edge:
    """A dependency that is not taken over."""

    item: str
    on: str
    #: The status of what it names, there; None where there is no such task.
    status: str | None


@dataclass
class Related:
    """The open tasks, each after those that it waits for, and what was left out."""

    items: tuple[Item, ...] = ()
    #: Id -> ids of `items`, or of tasks that are done here.
    after: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Tasks that are over there.
    over: tuple[Item, ...] = ()
    settled: list[Edge] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)


def relate(imported: Imported, *, done_here: Collection[str], lenient: bool) -> Related:
    """Return how the tasks relate; those of *done_here* stay inputs of what waits for them.

    *lenient* leaves out what cannot be read and dependencies on what is not there.
    """
    found = Related()
    known = _known(imported.items, found.troubles)
    found.over = tuple(item for item in known.values() if item.state in {"done", "dropped"})
    open_items = [item for item in known.values() if item.state in {"open", "held"}]
    walk = _Walk(known, done_here, found)
    for item in open_items:
        found.after[item.id] = walk.after(item)
    found.items = _ordered(open_items, found)
    dangling = [edge for edge in found.settled if edge.status is None]
    if not lenient:
        found.troubles += imported.troubles
        found.troubles += [
            Trouble("dangling", edge.item, f"waits for {edge.on}, which is not there")
            for edge in dangling
        ]
    return found


def _known(items: Sequence[Item], troubles: list[Trouble]) -> dict[str, Item]:
    known: dict[str, Item] = {}
    for item in items:
        first = known.setdefault(item.id, item)
        if first is not item:
            message = f"the id {item.id} stands there already: {first.where}"
            troubles.append(Trouble("duplicate", item.where, message))
    return known


class _Walk:
    """Finds what each item waits for."""

    def __init__(
        self, known: Mapping[str, Item], done_here: Collection[str], found: Related
    ) -> None:
        self._known = known
        self._done_here = done_here
        self._found = found
        #: Some trackers take `task-1` and `TASK-1` for one.
        self._folded = {name.casefold(): name for name in known}
        self._parts: dict[str, list[str]] = {}
        for item in known.values():
            whole = self._name(item.parent) if item.parent else None
            if whole is not None and whole != item.id:
                self._parts.setdefault(whole, []).append(item.id)

    def _name(self, given: str) -> str | None:
        return given if given in self._known else self._folded.get(given.casefold())

    def after(self, item: Item) -> tuple[str, ...]:
        """Return the ids that *item* comes after; notes what is settled or not there."""
        names = [name for given in item.after if (name := self._kept(item, given))]
        names += self._inherited(item)
        names += [part for part in self._parts.get(item.id, ()) if self._counts(part)]
        return tuple(dict.fromkeys(names))

    def _counts(self, name: str) -> bool:
        return name in self._done_here or self._known[name].state in {"open", "held"}

    def _kept(self, item: Item, given: str) -> str | None:
        name = self._name(given)
        if name is not None and self._counts(name):
            return name
        status = self._known[name].status if name is not None else None
        self._found.settled.append(Edge(item.id, given, status))
        return None

    def _inherited(self, item: Item) -> list[str]:
        names: list[str] = []
        for whole in self._wholes(item):
            inside = self._inside(whole.id)
            given = (self._name(one) for one in whole.after)
            names += [one for one in given if one and one not in inside and self._counts(one)]
        return names

    def _wholes(self, item: Item) -> Iterator[Item]:
        """Yield what *item* is a part of, from the inside out; a ring of wholes ends."""
        seen = {item.id}
        name = self._name(item.parent) if item.parent else None
        while name is not None and name not in seen:
            seen.add(name)
            whole = self._known[name]
            yield whole
            name = self._name(whole.parent) if whole.parent else None

    def _inside(self, name: str) -> set[str]:
        """Return a whole and all its parts."""
        inside, pending = {name}, [name]
        while pending:
            fresh = set(self._parts.get(pending.pop(), ())) - inside
            inside |= fresh
            pending += fresh
        return inside


def _ordered(items: Sequence[Item], found: Related) -> tuple[Item, ...]:
    numbers = {item.id: number for number, item in enumerate(items)}
    edges = [
        [numbers[name] for name in found.after[item.id] if name in numbers] for item in items
    ]
    order = depth_first(edges)
    for cycle in order.cycles:
        ring = " → ".join(items[node].id for node in (*cycle.nodes, cycle.nodes[0]))
        found.troubles.append(Trouble("cycle", items[cycle.nodes[0]].id, f"wait in a ring: {ring}"))
    return tuple(items[node] for node in order.nodes)
