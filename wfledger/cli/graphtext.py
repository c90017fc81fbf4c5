"""Draws the parts of a plan or a run: mermaid, dot, JSON, a tree for the terminal (spec 95.8)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from wfledger.cli.render import status_name
from wfledger.core.text import clean_line, listed
from wfledger.plans.outline import Part

#: Characters of a label, and names that a line of the tree says it waits for.
_LABEL: Final = 60
_NAMED: Final = 3
#: Status -> colours of a filled shape.
_FILLS: Final[Mapping[str, str]] = {
    "done": "#c8e6c9", "blocked": "#ffcdd2", "cancelled": "#e0e0e0", "in-progress": "#bbdefb",
    "merging": "#bbdefb", "pending": "#fff9c4",
}  # fmt: skip


class Drawing:
    """The parts, who stands in whom, and the arrows that are drawn."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.numbers = {part.id: number for number, part in enumerate(parts)}
        self.holders = [self._holder(part) for part in parts]
        self.inside: dict[int | None, list[int]] = {}
        for number, holder in enumerate(self.holders):
            self.inside.setdefault(holder, []).append(number)

    def _holder(self, part: Part) -> int | None:
        holder = self.numbers.get(part.holder) if part.holder is not None else None
        return None if holder == self.numbers[part.id] else holder

    def around(self, number: int) -> Iterator[int]:
        """Yield what a part stands in, from the inside; bounded where documents name each other."""
        seen = {number}
        holder = self.holders[number]
        while holder is not None and holder not in seen:
            yield holder
            seen.add(holder)
            holder = self.holders[holder]

    def arrows(self) -> Iterator[tuple[int, int]]:
        """Yield who waits for whom, but for what stands in one another."""
        around = [frozenset(self.around(number)) for number in range(len(self.parts))]
        for number, part in enumerate(self.parts):
            for name in part.after:
                other = self.numbers.get(name)
                if other is None or other in around[number] or number in around[other]:
                    continue
                yield other, number

    def walk(self) -> Iterator[tuple[int, int, bool]]:
        """Yield each part before what is inside of it: number, level, whether it is the last."""
        roots = self.inside.get(None, [])
        pending = [(number, 0, number == roots[-1]) for number in reversed(roots)]
        seen: set[int] = set()
        while pending:
            number, level, is_last = pending.pop()
            if number in seen:
                continue
            seen.add(number)
            yield number, level, is_last
            inner = self.inside.get(number, [])
            pending.extend((one, level + 1, one == inner[-1]) for one in reversed(inner))


def as_json(parts: Sequence[Part]) -> dict[str, Any]:
    """Return the parts and the arrows between them."""
    edges = [
        {"from": parts[source].id, "to": parts[target].id}
        for source, target in Drawing(parts).arrows()
    ]
    return {"nodes": [part.as_json() for part in parts], "edges": edges}


def mermaid(parts: Sequence[Part]) -> Iterator[str]:
    """Yield the lines of a mermaid flowchart."""
    drawing = Drawing(parts)
    yield "flowchart TD"
    yield from _nested(drawing, _Mermaid())
    for source, target in drawing.arrows():
        yield f"  n{source} --> n{target}"
    for number, part in enumerate(parts):
        fill = _FILLS.get(part.status or "")
        if fill is not None:
            yield f"  style n{number} fill:{fill}"


def dot(parts: Sequence[Part]) -> Iterator[str]:
    """Yield the lines of a graph for graphviz."""
    drawing = Drawing(parts)
    yield "digraph plan {"
    yield "  compound=true; node [shape=box, fontname=sans-serif];"
    yield from _nested(drawing, _Dot())
    for source, target in drawing.arrows():
        ends = [
            f"{name}=cluster{number}"
            for name, number in (("ltail", source), ("lhead", target)) if number in drawing.inside
        ]  # fmt: skip
        yield f"  n{source} -> n{target}" + (f" [{', '.join(ends)}]" if ends else "") + ";"
    yield "}"


class _Mermaid:
    """How mermaid writes parts."""

    def open(self, number: int, part: Part) -> str:
        return f'subgraph n{number}["{self._text(part)}"]'

    def close(self) -> str:
        return "end"

    def leaf(self, number: int, part: Part) -> str:
        left, right = ("{{", "}}") if not part.is_work else ("[", "]")
        return f'n{number}{left}"{self._text(part)}"{right}'

    def _text(self, part: Part) -> str:
        escaped = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "\\": "#92;"}
        return "".join(escaped.get(char, char) for char in label(part))


class _Dot:
    """How graphviz writes parts."""

    def open(self, number: int, part: Part) -> str:
        anchor = f'n{number} [shape=point, style=invis, label=""];'
        return f"subgraph cluster{number} {{ label={self._text(part)}; {anchor}"

    def close(self) -> str:
        return "}"

    def leaf(self, number: int, part: Part) -> str:
        shape = "" if part.is_work else ", shape=hexagon"
        fill = _FILLS.get(part.status or "")
        filled = f', style=filled, fillcolor="{fill}"' if fill else ""
        return f"n{number} [label={self._text(part)}{shape}{filled}];"

    def _text(self, part: Part) -> str:
        text = label(part).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'


def _nested(drawing: Drawing, writer: _Mermaid | _Dot) -> Iterator[str]:
    """Yield every part, what holds others around what it holds."""
    level = 0
    for number, depth, _ in drawing.walk():
        while level > depth:
            yield "  " * level + writer.close()
            level -= 1
        margin = "  " * (depth + 1)
        if number in drawing.inside:
            yield margin + writer.open(number, drawing.parts[number])
            level = depth + 1
        else:
            yield margin + writer.leaf(number, drawing.parts[number])
    while level > 0:
        yield "  " * level + writer.close()
        level -= 1


def label(part: Part) -> str:
    """Return what stands in the shape of a part."""
    kind = "" if part.is_work else f" ({part.kind})"
    status = f": {part.status}" if part.status else ""
    return clean_line(f"{part.label}{kind}{status}", _LABEL)


def tree(parts: Sequence[Part]) -> Iterator[str]:
    """Yield the lines of a tree; what each part waits for besides its place stands behind it."""
    drawing = Drawing(parts)
    waits: dict[int, list[str]] = {}
    for source, target in drawing.arrows():
        waits.setdefault(target, []).append(parts[source].label)
    open_: list[bool] = []
    for number, level, is_last in drawing.walk():
        del open_[level:]
        margin = "".join("   " if closed else "│  " for closed in open_)
        open_.append(is_last)
        yield f"{margin}{'└─ ' if is_last else '├─ '}{_line(parts[number], waits.get(number, []))}"


def _line(part: Part, waits: Sequence[str]) -> str:
    words = [clean_line(part.label, _LABEL), f"[{part.kind}]"]
    if part.detail:
        words.append(part.detail)
    if waits:
        words.append(f"<- {listed([clean_line(name, _LABEL) for name in waits], _NAMED)}")
    line = clean_line(" ".join(words))
    return f"{line}  {status_name(part.status)}" if part.status else line


TEXTS: Final[Mapping[str, Callable[[Sequence[Part]], Iterator[str]]]] = {
    "mermaid": mermaid, "dot": dot, "tree": tree,
}  # fmt: skip
