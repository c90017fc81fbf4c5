"""Imports go one way, and each third-party package has one door."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import TopologicalSorter

from tests.support.imports import PACKAGE, Import, Source, imports_of, sources

#: May be imported by everything.
ANYWHERE = {"", "errors", "clock", "faults"}
#: Layer: what it may import besides itself and `ANYWHERE`.
BELOW = {
    "core": set(),
    "plans": {"core"},
    "store": {"core"},
    "vcs": {"core"},
    "run": {"core", "plans", "store", "vcs"},
    "mcp": {"core", "plans", "store", "vcs", "run"},
    "cli": {"core", "plans", "store", "vcs", "run", "mcp"},
    "__main__": {"cli"},
    "": set(),
    "errors": set(),
    "clock": set(),
    "faults": set(),
}
#: Third-party package: the modules that may import it.
DOORS = {
    "pydantic": ["core.records", "core.documents", "core.policy", "core.usage", "core.control"],
    "pydantic_core": ["core.records"],
    "filelock": ["store.locks"],
    "pygit2": ["vcs.*"],
    "ruamel": ["plans.reading"],
    "jsonpath_ng": ["plans.expressions"],
    "cel": ["plans.conditions"],
    "starlark": ["plans.frontends.starlark"],
    "quickjs": ["plans.frontends.scripts"],
    "jsonschema": ["plans.frontends.script_values"],
    "referencing": ["plans.frontends.script_values"],
    "click": ["cli.*"],
    "rich": ["cli.*"],
    "watchdog": ["run.service.watching"],
    "openai": ["run.models.client"],
    "mcp": ["mcp.*"],
}
#: Standard modules that only some may import: programs are started by vcs, run and cli alone, and
#: time and chance come from a Clock.
RESERVED = {
    "subprocess": ["vcs.*", "run.*", "cli.*"],
    "multiprocessing": [],
    "asyncio": ["mcp.*"],
    "time": ["clock", "cli.*"],
    # Torture draws its plan and its faults from a seed; nothing that a ledger rests on may.
    "random": ["run.chaos.chance"],
    "secrets": ["clock"],
    "uuid": [],
}
#: What core and plans have no business with: they compute.
IMPURE = {
    "os", "shutil", "tempfile", "threading", "signal", "select", "socket", "fcntl",
    "glob", "ctypes", "subprocess", "time", "random", "secrets", "uuid", "logging", "urllib",
}  # fmt: skip
IMPURE_CALLS = ("open", "print", "input", "*.now", "*.today", "*.utcnow", "Path", "*.read_text")


def _all_imports() -> Iterator[tuple[Source, Import]]:
    return ((source, found) for source in sources() for found in imports_of(source))


def _allowed(source: Source, patterns: list[str]) -> bool:
    name = source.name.removeprefix(f"{PACKAGE}.")
    return any(fnmatch(name, pattern) or f"{name}.*" == pattern for pattern in patterns)


def test_every_layer_is_known() -> None:
    assert {source.layer for source in sources()} <= set(BELOW)


def test_imports_go_one_way() -> None:
    wrong = []
    for source, found in _all_imports():
        target = found.target.split(".")[1] if "." in found.target else ""
        if found.is_ours and target not in BELOW[source.layer] | ANYWHERE | {source.layer}:
            wrong.append(str(found))
    assert wrong == []


def test_modules_import_each_other_in_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for source, found in _all_imports():
        if found.is_ours and found.at_top and found.target != source.name:
            graph.setdefault(source.name, set()).add(found.target)
    assert list(TopologicalSorter(graph).static_order()) != []


def test_third_party_packages_come_in_by_their_door() -> None:
    wrong = []
    for source, found in _all_imports():
        package = found.target.partition(".")[0]
        if found.is_ours or package in sys.stdlib_module_names:
            continue
        if not _allowed(source, DOORS.get(package, [])):
            wrong.append(str(found))
    assert wrong == []


def test_programs_time_and_chance_come_in_by_their_door() -> None:
    wrong = [
        str(found)
        for source, found in _all_imports()
        if not _allowed(source, RESERVED.get(found.target.partition(".")[0], ["*"]))
    ]
    assert wrong == []


def test_core_and_plans_import_nothing_that_acts() -> None:
    wrong = [
        str(found)
        for source, found in _all_imports()
        if source.layer in {"core", "plans"} and found.target.partition(".")[0] in IMPURE
    ]
    assert wrong == []


def test_core_and_plans_call_nothing_that_acts() -> None:
    wrong = []
    for source in sources():
        if source.layer not in {"core", "plans"}:
            continue
        calls = (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))
        for call in calls:
            name = ast.unparse(call.func)
            if any(fnmatch(name, pattern) for pattern in IMPURE_CALLS):
                wrong.append(f"{source.name}:{call.lineno} calls {name}")
    assert wrong == []


def test_environment_is_read_by_run_and_cli_alone() -> None:
    wrong = [
        f"{source.name}:{node.lineno}"
        for source in sources()
        if source.layer in {"core", "plans", "store", "errors", "clock"}
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    assert wrong == []
