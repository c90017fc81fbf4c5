"""Which test or vector shows which requirement: spec/traceability.json, generated and compared.

A binding requirement that nothing shows stands there as `"missing": true` and fails a test. Where
none is possible, replace that by `"excluded": "<reason>"` by hand; it stays until something shows
the requirement.
"""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.conformance import pages, vectors
from tests.support.imports import parsed

FILE: Final = pages.SPEC / "traceability.json"
_SHORTEST_REASON: Final = 20


def current() -> dict[str, Any]:
    """Return what the file should hold: each requirement with what shows it."""
    tests, cases, before = marked(), required(), excluded()
    found: dict[str, Any] = {}
    for number, requirement in sorted(pages.requirements().items()):
        entry: dict[str, Any] = {}
        if tests.get(number):
            entry["tests"] = sorted(tests[number])
        if cases.get(number):
            entry["vectors"] = sorted(cases[number])
        if not entry and number in before:
            entry["excluded"] = before[number]
        if not entry and requirement.is_binding:
            entry["missing"] = True
        if entry:
            found[number] = entry
    return found


def missing() -> list[str]:
    """Return the binding requirements that nothing shows and no reason excludes."""
    return [number for number, entry in current().items() if "missing" in entry]


def excluded() -> dict[str, str]:
    """Return the exclusions that stand in the file, with their reasons."""
    try:
        data = json.loads(FILE.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return {number: entry["excluded"] for number, entry in data.items() if "excluded" in entry}


def thin_reasons() -> list[str]:
    """Return the exclusions whose reason says nothing."""
    return [number for number, why in excluded().items() if len(why) < _SHORTEST_REASON]


def marked() -> dict[str, set[str]]:
    """Return the tests marked with each requirement, as `path::name`."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((pages.ROOT / "tests").rglob("test_*.py")):
        tree = parsed(path)
        relative = path.relative_to(pages.ROOT).as_posix()
        everywhere = [n for a in _assigned_marks(tree) for n in _numbers(a)]
        for name, node in _tests(tree):
            for number in [*everywhere, *(n for d in node for n in _numbers(d))]:
                found[number].add(f"{relative}::{name}")
    return found


def _assigned_marks(tree: ast.Module) -> list[ast.expr]:
    """Return the value of `pytestmark`, which marks all tests of a module."""
    return [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
    ]


def _tests(tree: ast.Module) -> Iterator[tuple[str, list[ast.expr]]]:
    """Yield each test function's name with its decorators and those of its class."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name.startswith("test"):
                    both = [*node.decorator_list, *inner.decorator_list]
                    yield f"{node.name}::{inner.name}", both
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node.name, node.decorator_list


def _numbers(expression: ast.expr) -> list[str]:
    """Return the requirements that a decorator or a list of marks names."""
    return [
        argument.value
        for call in ast.walk(expression)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "requirement"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def required() -> dict[str, set[str]]:
    """Return the vector files with a case that requires each requirement."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, case in vectors.cases():
        for number in case["requires"]:
            found[number].add(path.relative_to(pages.SPEC).as_posix())
    return found


def cited() -> dict[str, set[str]]:
    """Return every number that code, tests, examples and pages mention, with where."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in _texts():
        for number in re.findall(pages.ID, path.read_text("utf-8")):
            found[number].add(path.relative_to(pages.ROOT).as_posix())
    return found


def _texts() -> Iterator[Path]:
    own = Path(__file__).parent
    for folder in ("wfledger", "tests", "examples", "spec"):
        for path in sorted((pages.ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".md", ".json", ".sh"} and path.parent != own:
                yield path
