"""What one step of the scheduler did and saw."""

from dataclasses import dataclass, field

from wfledger.core.documents import Task
from wfledger.core.graph import Readiness
from wfledger.run.looks.view import View


@dataclass
class Step:
    """What one step did and saw."""

    view: View
    promoted: list[str] = field(default_factory=list)
    #: Waiting task -> why it waits, for `why` and `status`.
    waits: dict[str, str] = field(default_factory=dict)
    #: Of these, who stands in the way of a task over a path or a label.
    obstacles: dict[str, str] = field(default_factory=dict)
    #: Waiting tasks that cannot start before a person decides something.
    on_person: frozenset[str] = frozenset()
    #: Runs that abort: what runs of them is to be stopped.
    aborted: set[str] = field(default_factory=set)
    #: Runs of which somebody, perhaps at another machine, ends what runs -> the reason.
    ended: dict[str, str] = field(default_factory=dict)
    #: What was done by files and taken in: name and sentence.
    adopted: tuple[tuple[str, str], ...] = ()
    #: Controllers that have nothing left to wait for.
    controls: list[tuple[Task, Readiness]] = field(default_factory=list)
    #: Tasks that were given an earlier result, or for which one is to be looked for.
    reusing: list[str] = field(default_factory=list)
