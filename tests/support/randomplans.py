"""Plans of nodes drawn from a seed, whose workers are commands with results that never differ."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.support.engines import AT_ONCE, note

Node = dict[str, Any]


def _said(envelope: dict[str, Any]) -> str:
    return f"echo '{json.dumps(envelope)}' > \"$WFLEDGER_RESULT_FILE\""


class Maker:
    """Draws nodes; what they name is there when they run."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._random = Random(seed)
        #: Every attempt notes that it has begun.
        self._began = note(folder, '"$WFLEDGER_TASK $WFLEDGER_ATTEMPT"')
        self._count = 0

    def plan(self, nodes: int = 4) -> dict[str, Any]:
        """Return a document whose every top-level node may name those before it."""
        known: list[str] = []
        made = []
        for _ in range(nodes):
            made.append(self._node(2, known))
            known.append(made[-1]["spec"]["id"])
        made.append(self._of("reduce", merge=True, inputs=list(known)))
        return {"goal": "whatever a seed makes", "nodes": made}

    def _of(self, kind: str, **spec: Any) -> Node:
        self._count += 1
        return {"kind": kind, "spec": {"id": f"{kind[:2]}{self._count}", **spec}}

    def _node(self, depth: int, known: Sequence[str]) -> Node:
        kinds: list[Callable[[int, Sequence[str]], Node]] = [self._leaf] if depth == 0 else [
            self._leaf, self._chain, self._group, self._loop, self._cond, self._expand, self._choice,
        ]  # fmt: skip
        return self._random.choice(kinds)(depth - 1, known)

    def _leaf(self, _depth: int, known: Sequence[str], mark: str = "") -> Node:
        node = self._of("leaf", retry=AT_ONCE)
        spec, number = node["spec"], self._random.randrange(10)
        if known and self._random.random() < 0.6:
            spec["depends_on_results"] = [self._random.choice(known)]
        findings = [{"title": f"finding {number % 3}", "severity": self._random.choice(("low", "high"))}]
        said = {
            "status": "succeeded", "findings": findings,
            "outputs": {"n": number, "ok": number > 4, "items": ["a", "b", "c"][: 1 + number % 3]},
        }  # fmt: skip
        lines = [self._began]
        if self._random.random() < 0.5:
            name = f"out/{spec['id']}{'-' + mark if mark == '{{item}}' else ''}.txt"
            spec |= {"mode": "read_write", "file_scope": [name]}
            lines.append(f"mkdir -p out && echo {number} {mark} >> {name}")
        lines.append(_said(said))
        if self._random.random() < 0.12:
            lines.append("exit 1")
        return node | {"spec": spec | {"command": "\n".join(lines)}}

    def _chain(self, depth: int, known: Sequence[str]) -> Node:
        return self._of("sequence", children=self._steps(depth, known))

    def _steps(self, depth: int, known: Sequence[str], mark: str = "") -> list[Node]:
        known, made = list(known), []
        for _ in range(self._random.randint(1, 3)):
            made.append(self._leaf(0, known, mark) if mark else self._node(min(depth, 1), known))
            known.append(made[-1]["spec"]["id"])
        return made

    def _group(self, depth: int, known: Sequence[str]) -> Node:
        children = [self._node(min(depth, 1), known) for _ in range(self._random.randint(1, 3))]
        return self._of("branch_set", parallel=True, children=children)

    def _loop(self, _depth: int, known: Sequence[str]) -> Node:
        ends = self._random.choice(("round >= 2", "round >= 3"))
        steps = self._steps(0, known, "{{round}}")
        return self._of("loop_until", condition=ends, max_iterations=2, children=steps)

    def _cond(self, depth: int, known: Sequence[str]) -> Node:
        asked = f"results.{self._random.choice(known)}.status == 'succeeded'" if known else "1 < 2"
        arms = [self._steps(depth, known) for _ in range(2)]
        return self._of("cond", condition=asked, then_nodes=arms[0], else_nodes=arms[1])

    def _expand(self, _depth: int, known: Sequence[str]) -> Node:
        scan = self._leaf(0, known)
        template = self._of("sequence", children=self._steps(0, [], "{{item}}"))
        source = f"results.{scan['spec']['id']}.status == 'succeeded' ? results.{scan['spec']['id']}.outputs.items : []"
        expand = self._of("expand", source=source, max_children=2, template=template)
        return self._of("sequence", children=[scan, expand])

    def _choice(self, _depth: int, known: Sequence[str]) -> Node:
        candidates = []
        for number in range(2):
            leaf = self._leaf(0, known)
            leaf["spec"] |= {
                "mode": "read_write", "file_scope": ["chosen"], "retry": AT_ONCE,
                "command": "\n".join((
                    self._began, f"mkdir -p chosen && echo {number} > chosen/{self._count}.txt",
                    _said({"status": "succeeded", "outputs": {"score": number}}),
                )),
            }  # fmt: skip
            candidates.append(leaf)
        names = [one["spec"]["id"] for one in candidates]
        review = self._of(
            "teacher_review", candidates=names, promotion_policy={"strategy": "best_score"}
        )
        branch = self._of("branch_set", parallel=True, children=candidates)
        return self._of("sequence", children=[branch, review])
