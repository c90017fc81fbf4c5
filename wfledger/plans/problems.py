"""What a check finds: errors and warnings with a kind, a sentence and a JSON pointer."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

#: Errors and warnings that one check reports; how many were left out is counted (WFL-PLAN-011).
REPORTED: Final = 200


@dataclass(frozen=True)
class Problem:
    """One error or warning."""

    #: Stable, snake_case.
    kind: str
    #: One sentence that names the identifiers.
    message: str
    #: RFC 6901; where a value is missing, the place where it belongs.
    pointer: str
    #: Where that stands in the text, from 1; None where the text was not looked at.
    line: int | None = None
    column: int | None = None

    def at(self, place: tuple[int, int]) -> "Problem":
        """Return the same, standing at line and column *place*."""
        return replace(self, line=place[0], column=place[1])

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `check --json` prints."""
        said = {"kind": self.kind, "message": self.message, "pointer": self.pointer}
        return said | ({"line": self.line, "column": self.column} if self.line else {})


def join(pointer: str, *parts: str | int) -> str:
    """Return *pointer* extended by *parts*, escaped."""
    for part in parts:
        pointer = f"{pointer}/{part if isinstance(part, int) else _escaped(part)}"
    if pointer.isascii():
        return pointer
    # A document that was not read from text may hold what no text can.
    return pointer.encode("utf-8", "backslashreplace").decode("utf-8")


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1") if "~" in part or "/" in part else part


def quote(name: str) -> str:
    """Return *name* for a message: in back-ticks, without control characters, bounded."""
    shown = name if len(name) <= 80 else name[:77] + "…"
    return "`" + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown) + "`"


@dataclass
class Findings:
    """Collects what a check finds; parse errors stand before all others (WFL-PLAN-012)."""

    lenient: bool = False
    #: Kinds that strict refuses elsewhere and takes with a warning from this front end.
    taken: frozenset[str] = frozenset()
    parse: list[Problem] = field(default_factory=list)
    rules: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, kind: str, message: str, pointer: str) -> None:
        """Report an error."""
        self.rules.append(Problem(kind, message, pointer))

    def warn(self, kind: str, message: str, pointer: str) -> None:
        """Report a warning."""
        self.warnings.append(Problem(kind, message, pointer))

    def strictly(self, kind: str, message: str, pointer: str) -> None:
        """Report what is an error in strict and a warning in lenient."""
        warned = self.lenient or kind in self.taken
        (self.warnings if warned else self.rules).append(Problem(kind, message, pointer))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Report errors found elsewhere."""
        self.rules.extend(problems)

    @property
    def errors(self) -> list[Problem]:
        """Every error, parse errors first."""
        return self.parse + self.rules
