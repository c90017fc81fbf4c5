"""Plans of nodes made at random: trees of every kind that starts tasks, small enough to be run."""

import random
from typing import Any

#: Says a number and its own name; `first` is what conditions look at.
_SAYS = (
    'echo "$WFLEDGER_TASK" >> {notes}; '
    "printf '{{\"status\":\"succeeded\",\"outputs\":{{\"n\":{number}}}}}' > \"$WFLEDGER_RESULT_FILE\""
)
_FIRST = 4


class Nodes:
    """Makes nodes, each with an id of its own."""

    def __init__(self, seed: int, notes: str) -> None:
        self._chance = random.Random(seed)
        self._notes = notes
        self._count = 0
        self._left = 4

    def plan(self) -> dict[str, Any]:
        """Return a plan of some nodes and a last one that is given the results of all."""
        first = self._named("leaf", "first", command=self._command(_FIRST))
        nodes = [first, *(self.node(2) for _ in range(2))]
        names = [one["spec"]["id"] for one in nodes]
        count = "n=$(ls $WFLEDGER_INPUTS | wc -l); "
        said = self._command(0).replace('\\"n\\":0', "").replace(":0}", ":'$n'}")
        nodes.append(self._named("leaf", "end", command=count + said, depends_on_results=names))
        return {"goal": "at random", "nodes": nodes}

    def node(self, depth: int) -> dict[str, Any]:
        """Return a node with at most *depth* levels below it."""
        kinds = ["leaf", "branch_set", "sequence", "cond", "loop_until", "expand"]
        kind = self._chance.choice(kinds if depth and self._left > 0 else ["leaf"])
        makers = {
            "leaf": self._leaf, "branch_set": self._branch, "sequence": self._branch,
            "cond": self._cond, "loop_until": self._loop, "expand": self._expand,
        }  # fmt: skip
        return makers[kind](kind, depth)

    def _some(self, depth: int) -> list[dict[str, Any]]:
        return [self.node(depth - 1) for _ in range(self._chance.randint(1, 2))]

    def _new(self, kind: str, **spec: Any) -> dict[str, Any]:
        self._count += 1
        return self._named(kind, f"n{self._count}", **spec)

    def _named(self, kind: str, node: str, **spec: Any) -> dict[str, Any]:
        return {"kind": kind, "spec": {"id": node, **spec}}

    def _command(self, number: int) -> str:
        return _SAYS.format(notes=self._notes, number=number)

    def _leaf(self, kind: str, _: int) -> dict[str, Any]:
        self._left -= 1
        fails = self._chance.random() < 0.15
        number = self._chance.randint(1, 9)
        return self._new(kind, command="false" if fails else self._command(number))

    def _branch(self, kind: str, depth: int) -> dict[str, Any]:
        more = {"parallel": self._chance.random() < 0.5} if kind == "branch_set" else {}
        return self._new(kind, children=self._some(depth), **more)

    def _cond(self, kind: str, depth: int) -> dict[str, Any]:
        return self._new(
            kind, condition=f"results.first.outputs.n > {self._chance.randint(2, 5)}",
            then_nodes=self._some(depth), else_nodes=self._some(depth),
        )  # fmt: skip

    def _loop(self, kind: str, depth: int) -> dict[str, Any]:
        rounds = self._chance.randint(1, 3)
        return self._new(
            kind, condition=f"round >= {rounds}", max_iterations=2, children=self._some(depth)
        )

    def _expand(self, kind: str, depth: int) -> dict[str, Any]:
        return self._new(
            kind, source="[first.outputs.n, 2, 3]", max_children=2, template=self.node(depth - 1)
        )
