"""What the modules of the package import, read from their source."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.sealed import ROOT

PACKAGE = "wfledger"
#: The project that `wfledger demo` copies: files of a user, not modules of ours.
SHIPPED = "demo_files"


@dataclass(frozen=True)
class Import:
    """One import statement: `wfledger.x.y` in full where it is a module of ours."""

    importer: str
    target: str
    line: int
    at_top: bool

    @property
    def is_ours(self) -> bool:
        """Whether the target belongs to the package."""
        return self.target.partition(".")[0] == PACKAGE

    def __str__(self) -> str:
        """Return what a failed test shows."""
        return f"{self.importer}:{self.line} imports {self.target}"


@dataclass(frozen=True)
class Source:
    """One module of the package."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def layer(self) -> str:
        """The folder below the package; the module's own name for a module of the root."""
        return self.name.split(".")[1] if "." in self.name else ""


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file, parsed once in a process."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def sources() -> tuple[Source, ...]:
    """Return every module of the package, parsed."""
    found = []
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        if SHIPPED in path.parts:
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Source(name, path, parsed(path)))
    return tuple(found)


@cache
def imports_of(source: Source) -> list[Import]:
    """Return every import in *source*, also those inside functions."""
    top = set(map(id, source.tree.body))
    return [
        Import(source.name, target, node.lineno, id(node) in top)
        for node in ast.walk(source.tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for target in _targets(node)
    ]


def _targets(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    module = "." * node.level + (node.module or "")
    if module.partition(".")[0] != PACKAGE:
        return [module]
    return [_resolved(module, alias.name) for alias in node.names]


def _resolved(module: str, name: str) -> str:
    """Return `module.name` where that is a module, else *module*, which defines the name."""
    path = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if path.is_dir() or path.with_suffix(".py").exists() else module
