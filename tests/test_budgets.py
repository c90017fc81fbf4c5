"""Functions and modules stay small, flat, typed and documented.

The figures are those of code bases that are read with pleasure; see CONTRIBUTING.md.
"""

from collections.abc import Callable
from functools import cache

import pytest

from tests.support.sealed import ROOT
from tests.support.style import Function, Module, measure, percentile

#: To read every function of both trees takes seconds.
pytestmark = pytest.mark.long

CODE, TESTS = "wfledger", "tests"


@cache
def _modules(tree: str) -> list[Module]:
    return measure(ROOT / tree)


@cache
def _functions(tree: str) -> list[Function]:
    return [function for module in _modules(tree) for function in module.functions]


def _over(tree: str, limit: int, size: Callable[[Function], int]) -> list[str]:
    sizes = ((size(function), function.where) for function in _functions(tree))
    return [f"{where}: {found} > {limit}" for found, where in sizes if found > limit]


def _worst(sizes: list[int]) -> str:
    return f"the largest are {sorted(sizes)[-10:]}"


@pytest.mark.parametrize("tree", [CODE, TESTS])
def test_no_function_is_longer_than_eighty_lines(tree: str) -> None:
    assert _over(tree, 80, lambda function: function.lines) == []


@pytest.mark.parametrize("tree", [CODE, TESTS])
def test_no_module_is_longer_than_five_hundred_lines(tree: str) -> None:
    assert [f"{m.where}: {m.lines}" for m in _modules(tree) if m.lines > 500] == []


@pytest.mark.parametrize("tree", [CODE, TESTS])
def test_functions_are_short(tree: str) -> None:
    lengths = [function.lines for function in _functions(tree)]
    assert percentile(lengths, 0.95) <= 40, _worst(lengths)


def test_modules_are_short() -> None:
    lengths = [module.lines for module in _modules(CODE)]
    assert percentile(lengths, 0.95) <= 400, _worst(lengths)


@pytest.mark.parametrize(("tree", "limit"), [(CODE, 3), (TESTS, 4)])
def test_functions_are_flat(tree: str, limit: int) -> None:
    assert _over(tree, limit, lambda function: function.nesting) == []


def test_functions_have_few_branches() -> None:
    branches = [function.branches for function in _functions(CODE)]
    assert percentile(branches, 0.95) <= 8, _worst(branches)


def test_functions_have_few_parameters() -> None:
    assert _over(CODE, 4, lambda function: function.positional) == []
    # A command's parameters are its options.
    assert [f for f in _over(CODE, 6, lambda function: function.params) if "/cli/" not in f] == []


def test_every_function_is_typed() -> None:
    assert [f.where for f in _functions(CODE) if not f.typed] == []


def test_every_module_and_public_name_is_documented() -> None:
    bare = [f"{m.where}: {name}" for m in _modules(CODE) for name in m.undocumented]
    assert bare == []
