"""Marks of cases."""

import pytest
from _pytest.mark.structures import ParameterSet


def rarely(value: object) -> ParameterSet:
    """Leave one case of a long test to those who ask for all of them."""
    return pytest.param(value, marks=pytest.mark.exhaustive)
