"""What a torture does to its fleet: each fault is counted, and one that lasts is taken back."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from wfledger.clock import Clock

#: Does one fault. Returns what it was besides its name, "" for nothing; None: it was not done.
Fault = Callable[[], str | None]


@dataclass(kw_only=True)
class Toll(ABC):
    """Does faults as they are drawn, keeps count of them, and takes back those that last."""

    clock: Clock
    counts: "Counter[str]" = field(default_factory=Counter)
    #: Faults that cannot be done on this system, or found nothing to hit.
    missed: "Counter[str]" = field(default_factory=Counter)
    #: When, and what ends a fault that lasts.
    _due: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    @abstractmethod
    def draw(self) -> tuple[str, Fault]:
        """Return the name of the next fault, and what does it."""

    def do(self) -> None:
        """Do one fault."""
        name, fault = self.draw()
        said = fault()
        if said is None:
            self.missed[name] += 1
        else:
            self.counts[f"{name}: {said}" if said else name] += 1

    def take_back(self, *, at_once: bool = False) -> None:
        """End the faults whose time is over, or all of them."""
        now = self.clock.elapsed()
        over = [action for due, action in self._due if at_once or due <= now]
        self._due = [one for one in self._due if not (at_once or one[0] <= now)]
        for action in over:
            action()

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Have *action* end in so many seconds what has begun now."""
        self._due.append((self.clock.elapsed() + seconds, action))
