"""The benchmark runs; what it measures is not a matter of tests."""

import sys
from pathlib import Path

import pytest

from tests.support.processes import run
from tests.support.sealed import ROOT


@pytest.mark.long
def test_benchmark_measures_claims_and_loses_nothing(tmp_path: Path) -> None:
    argv = ["--tasks", "60", "--processes", "2", "--dir", str(tmp_path), "claims"]
    done = run(sys.executable, "-m", "tests.bench", *argv, cwd=ROOT)
    assert "claims a second, 2 processes, 60 tasks" in done.out, done.err
    ours = next(line for line in done.out.splitlines() if line.startswith("  wfledger "))
    assert "LOST" not in ours
    assert "TWICE" not in ours
