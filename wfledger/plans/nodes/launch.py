"""How many agents a plan would start at most, and how deep its branches go (spec 95.7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from wfledger.plans.nodes.model import Expand, Group, Leaf, Loop, Node, Reduce, inside
from wfledger.plans.problems import Problem, join

#: Agents and levels of branches that a plan may start without being told.
MAX_AGENTS: Final = 1000
MAX_DEPTH: Final = 5
#: Where counting ends, as the original's does.
_MOST: Final = 2**64 - 1


@dataclass(frozen=True)
class Launch:
    """What would be started, and what of the plan says no end of it."""

    total: int
    depth: int
    #: Of all that may be started, reductions included, what a role of the fleet does.
    agents: int = 0
    #: Loops and expands without a bound, in declared order.
    unbounded: tuple[Problem, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `plan --json` prints."""
        return {"total": self.total, "depth": self.depth}

    def problems(
        self, max_agents: int = MAX_AGENTS, max_depth: int = MAX_DEPTH
    ) -> tuple[Problem, ...]:
        """Return why the plan is not started; what has no end is named first (WFL-NODE-071)."""
        found = list(self.unbounded)
        if self.total > max_agents:
            message = (
                f"the plan would start {self.total} agents; at most {max_agents}, "
                "unless --max-agents says otherwise"
            )
            found.append(Problem("too_many_agents", message, "/nodes"))
        if self.depth > max_depth:
            message = (
                f"branches of the plan are {self.depth} deep; at most {max_depth}, "
                "unless --max-depth says otherwise"
            )
            found.append(Problem("recursion_too_deep", message, "/nodes"))
        return tuple(found)


def launch_of(nodes: Sequence[Node]) -> Launch:
    """Count what *nodes* would start: rounds and items as often as their bound (WFL-NODE-070)."""
    total, depth, agents = 0, 0, 0
    unbounded: list[Problem] = []
    # A node, how often it is started, how deep it stands.
    pending: list[tuple[Node, int, int]] = [(node, 1, 1) for node in reversed(nodes)]
    while pending:
        node, times, level = pending.pop()
        agents = min(agents + times * _agents(node), _MOST)
        if isinstance(node, Leaf):
            total = min(total + times * (node.best_of or 1), _MOST)
            depth = max(depth, level)
            continue
        problem = _without_end(node)
        if problem is not None:
            unbounded.append(problem)
        times = min(times * _repeated(node), _MOST)
        level += isinstance(node, Group)
        pending.extend((child, times, level) for child in reversed(inside(node)))
    return Launch(total, depth, agents, tuple(unbounded))


def _agents(node: Node) -> int:
    if isinstance(node, Leaf):
        return (node.best_of or 1) if node.terms.starts_agent else 0
    return int(isinstance(node, Reduce) and node.terms.starts_agent and not node.is_neutral)


def _repeated(node: Node) -> int:
    if isinstance(node, Loop):
        return max(1, node.max_iterations or 1)
    if isinstance(node, Expand):
        return 1 if node.max_children is None else node.max_children
    return 1


def _without_end(node: Node) -> Problem | None:
    if isinstance(node, Loop) and node.max_iterations is None:
        message = f"{node.label} has no `max_iterations`: nothing says when it ends at the latest"
        return Problem("unbounded_loop", message, join(node.pointer, "max_iterations"))
    if isinstance(node, Expand) and node.max_children is None:
        message = f"{node.label} has no `max_children`: nothing says how many it may start"
        return Problem("unbounded_expand", message, join(node.pointer, "max_children"))
    if isinstance(node, Expand) and node.template is None:
        message = f"{node.label} has no `template`: nothing says what it starts"
        return Problem("missing_expand_template", message, join(node.pointer, "template"))
    return None
