"""What the system refuses is told as such; only what nobody expects is a defect."""

import errno
import os

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


def test_other_trouble_is_a_defect_with_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y")
    assert exit_status_of(error, ["status"]) == DEFECT
    assert "defect" in capsys.readouterr().err
