"""Measures the shape of Python source: lengths, nesting, branches, documentation, types.

Counting rules: a function is as long as `def` to its last line, decorators excluded and docstring
included; nesting is the deepest chain of if/for/while/with/try/match; branches approximate
cyclomatic complexity minus one; `self` and `cls` are no parameters; public means that neither the
name nor an enclosing class or function makes it private.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.imports import SHIPPED, parsed

_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_BRANCHES = (
    ast.If, ast.For, ast.AsyncFor, ast.While,
    ast.ExceptHandler, ast.IfExp, ast.comprehension, ast.match_case,
)  # fmt: skip
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Function:
    """One function or method."""

    where: str
    lines: int
    nesting: int
    branches: int
    params: int
    positional: int
    typed: bool


@dataclass(frozen=True)
class Module:
    """One source file; `undocumented` names what is public and has no docstring."""

    where: str
    lines: int
    functions: tuple[Function, ...]
    undocumented: tuple[str, ...]


def measure(root: Path) -> list[Module]:
    """Measure every module under *root*, in the order of their paths."""
    paths = (path for path in sorted(root.rglob("*.py")) if SHIPPED not in path.parts)
    return [_module(path, root.parent) for path in paths]


def percentile(values: Sequence[int], share: float) -> int:
    """Return the value below which *share* of *values* lie (nearest rank); 0 for none."""
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))] if ordered else 0


def _module(path: Path, base: Path) -> Module:
    source = path.read_text(encoding="utf-8")
    tree = parsed(path)
    where = str(path.relative_to(base))
    found = list(_definitions(tree, "", public=True))
    undocumented = [name for name, node, public in found if public and not ast.get_docstring(node)]
    if source.strip() and not ast.get_docstring(tree):
        undocumented.insert(0, "(the module)")
    functions = tuple(
        _function(node, f"{where}:{node.lineno} {name}")
        for name, node, _ in found
        if isinstance(node, _FUNCTIONS)
    )
    return Module(where, len(source.splitlines()), functions, tuple(undocumented))


def _definitions(
    node: ast.AST, prefix: str, *, public: bool
) -> Iterator[tuple[str, _Definition, bool]]:
    """Yield (dotted name, definition, whether it is public) for everything inside *node*."""
    for child in _statements(node):
        if not isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            yield from _definitions(child, prefix, public=public)
            continue
        special = child.name.startswith("__") and child.name.endswith("__")
        shown = public and not child.name.startswith("_")
        # Magic methods follow a contract that is written down elsewhere.
        yield prefix + child.name, child, shown and not special
        inside = shown and isinstance(child, ast.ClassDef)
        yield from _definitions(child, f"{prefix}{child.name}.", public=inside)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands directly in a statement; expressions hold neither blocks nor definitions."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        yield from getattr(node, name, ())


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, where: str) -> Function:
    positional = [*node.args.posonlyargs, *node.args.args]
    if positional and positional[0].arg in {"self", "cls"}:
        positional = positional[1:]
    params = positional + node.args.kwonlyargs
    params += [extra for extra in (node.args.vararg, node.args.kwarg) if extra is not None]
    returns = node.returns is not None or node.name == "__init__"
    return Function(
        where=where,
        lines=(node.end_lineno or node.lineno) - node.lineno + 1,
        nesting=_depth(node),
        branches=_branch_count(node),
        params=len(params),
        positional=len(positional),
        typed=returns and all(param.annotation is not None for param in params),
    )


def _depth(node: ast.AST, level: int = 0) -> int:
    deepest = level
    for child in _statements(node):
        if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            continue
        # "elif" is an If alone in orelse; it is no deeper than the If it belongs to.
        chained = isinstance(node, ast.If) and isinstance(child, ast.If) and [child] == node.orelse
        deepest = max(deepest, _depth(child, level + (isinstance(child, _BLOCKS) and not chained)))
    return deepest


def _branch_count(node: ast.AST) -> int:
    inside = list(ast.walk(node))
    operators = sum(len(n.values) - 1 for n in inside if isinstance(n, ast.BoolOp))
    return operators + sum(isinstance(n, _BRANCHES) for n in inside)
