"""What the system refuses is told as such; only what nobody expects is a defect."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from wfledger.cli.failures import DEFECT, exit_status_of


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE])
def test_refusal_of_the_system_names_the_path(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(number, os.strerror(number), "/somewhere/file")
    assert exit_status_of(error, ["status"]) == 1
    said = capsys.readouterr().err
    assert "/somewhere/file" in said
    assert "defect" not in said


def test_missing_part_of_the_ledger_leads_to_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/.wfledger/runs")
    assert exit_status_of(error, ["status"]) == 1
    assert "wfledger doctor --fix" in capsys.readouterr().err


def test_other_trouble_is_a_defect_with_a_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y")
    assert exit_status_of(error, ["status"]) == DEFECT
    (report,) = tmp_path.glob("wfledger-defect-*.log")
    assert str(report) in capsys.readouterr().err
    assert "FileNotFoundError" in report.read_text()
