"""The pages of the specification, read: requirements, generated tables, descriptions of fields."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SPEC: Final = ROOT / "spec"
ID: Final = re.compile(r"WFL-[A-Z]+-[0-9]{3}(?![0-9])")
_DEFINED: Final = re.compile(r"\*\*(WFL-[A-Z]+-[0-9]{3})\*\* (.+?)(?=\n\n|\Z)", re.DOTALL)
_BINDING: Final = re.compile(r"\bMUST\b")
_BLOCK: Final = re.compile(r"<!-- generated: ([a-z]+) -->\n(.*?)<!-- end -->", re.DOTALL)
_FIELD: Final = re.compile(
    r"^- \*\*`([a-z_0-9]+)`\*\* \*(.+?)\*, (REQUIRED|OPTIONAL)", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Requirement:
    """One numbered sentence of the specification."""

    id: str
    text: str
    page: str

    @property
    def is_binding(self) -> bool:
        """Whether it says MUST or MUST NOT, so that something has to show it."""
        return _BINDING.search(self.text) is not None


@dataclass(frozen=True)
class Described:
    """A field as page 20 describes it."""

    name: str
    is_required: bool


def pages() -> list[Path]:
    """Return the pages, in order."""
    return [SPEC / "README.md", *sorted(SPEC.glob("[0-9][0-9]-*.md"))]


def defined() -> Iterator[Requirement]:
    """Yield every requirement, also one whose number stands twice."""
    for page in pages():
        for number, text in _DEFINED.findall(page.read_text("utf-8")):
            yield Requirement(number, " ".join(text.split()), page.name)


@cache
def requirements() -> dict[str, Requirement]:
    """Return the requirements by number."""
    return {requirement.id: requirement for requirement in defined()}


def blocks(page: Path) -> dict[str, str]:
    """Return the generated blocks of a page, by name."""
    return dict(_BLOCK.findall(page.read_text("utf-8")))


def with_blocks(text: str, made: dict[str, str]) -> str:
    """Return the text of a page with its generated blocks replaced by those in *made*."""

    def replaced(match: re.Match[str]) -> str:
        return f"<!-- generated: {match[1]} -->\n\n{made[match[1]]}\n<!-- end -->"

    return _BLOCK.sub(replaced, text)


def described() -> dict[str, list[Described]]:
    """Return the fields that page 20 describes, by the name of the part they belong to."""
    text = (SPEC / "20-task.md").read_text("utf-8")
    _, *sections = re.split(r"^### `([A-Za-z]+)`$", text, flags=re.MULTILINE)
    return {
        name: [
            Described(field, required == "REQUIRED") for field, _, required in _FIELD.findall(body)
        ]
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }
