"""The claim record: five lines, made once, believed whatever is in them."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ledgers import make_ledger, put, record
from wfledger.core.statuses import Status
from wfledger.errors import InvalidDocumentError, LedgerDamagedError, StaleError
from wfledger.store import claims
from wfledger.store.claiming import is_taken_back, take, take_back
from wfledger.store.claims import RECOVERY, ClaimRecord
from wfledger.store.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return make_ledger(tmp_path)


def test_record_is_five_lines_in_their_order() -> None:
    raw = ClaimRecord("ana", "k3v9", 4711, "0d5c", "9f86").to_bytes()
    assert raw == b"worker ana\nmachine k3v9\npid 4711\nboot 0d5c\ntoken-sha256 9f86\n"


@given(st.text(max_size=200), st.text(max_size=40), st.integers(0, 2**31))
def test_no_value_can_forge_another_line(worker: str, machine: str, pid: int) -> None:
    raw = ClaimRecord(worker, machine, pid, "boot", "digest").to_bytes()
    assert raw.count(b"\n") == 5
    assert len(raw) < 4096
    found = claims.parse(raw)
    if found is not None:
        assert (found.pid, found.boot, found.token_sha256) == (pid, "boot", "digest")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_none(raw: bytes) -> None:
    claims.parse(raw)
    claims.parse(b"worker a\npid " + raw)


def test_record_that_a_shell_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.a.1"
    script = 'set -C; printf "worker %s\\nmachine m\\npid %s\\nboot b\\ntoken-sha256 t\\n" me $$ > "$1"'
    subprocess.run(["sh", "-c", script, "sh", path], check=True)
    found = claims.read(path)
    assert found is not None
    assert (found.worker, found.token_sha256) == ("me", "t")
    assert subprocess.run(["sh", "-c", script, "sh", path], check=False, capture_output=True).returncode
    path.write_bytes(b"x" * 10_000)
    assert claims.read(path) is None


def test_claim_takes_the_file_as_it_is_and_records_its_owner(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r.a", attempt=3)
    before = ledger.layout.task(Status.PENDING, "r.a").read_bytes()
    entry = take(ledger.layout, "r.a", record("ana"))
    assert (entry.status, entry.task.attempt) == (Status.IN_PROGRESS, 3)
    assert ledger.layout.task(Status.IN_PROGRESS, "r.a").read_bytes() == before
    found = ledger.claim_record("r.a", 3)
    assert found == record("ana")
    with pytest.raises(StaleError):
        take(ledger.layout, "r.a", record("bea"))
    assert ledger.claim_record("r.a", 3) == found


def test_claim_into_a_place_that_is_taken_is_lost_and_destroys_nothing(ledger: Ledger) -> None:
    put(ledger, Status.PENDING, "r.a")
    put(ledger, Status.IN_PROGRESS, "r.a", seq=7)
    with pytest.raises(StaleError):
        take(ledger.layout, "r.a", record("ana"))
    assert ledger.load(Status.IN_PROGRESS, "r.a").task.seq == 7
    assert ledger.load(Status.PENDING, "r.a").task.seq == 1


@pytest.mark.parametrize("folder", ["pending", "in-progress", "claims"])
def test_missing_folder_is_an_error_and_no_lost_race(ledger: Ledger, folder: str) -> None:
    put(ledger, Status.PENDING, *(["r.a"] if folder != "pending" else []))
    base = ledger.layout.local if folder == "claims" else ledger.layout.root
    (base / folder).rmdir()
    with pytest.raises(LedgerDamagedError):
        take(ledger.layout, "r.a", record("ana"))


def test_offer_that_is_no_task_is_no_claim(ledger: Ledger) -> None:
    (ledger.layout.folder(Status.PENDING) / "r.a.json").write_bytes(b"")
    with pytest.raises(InvalidDocumentError):
        take(ledger.layout, "r.a", record("ana"))
    assert list((ledger.layout.local / "claims").iterdir()) == []


def test_claim_is_taken_back_once_and_for_all(ledger: Ledger) -> None:
    assert not is_taken_back(ledger.layout, "r.a", 1)
    assert take_back(ledger.layout, "r.a", 1)
    assert take_back(ledger.layout, "r.a", 1)
    assert is_taken_back(ledger.layout, "r.a", 1)
    found = ledger.claim_record("r.a", 1)
    assert found is not None
    assert found.worker == RECOVERY


@pytest.mark.parametrize("raw", [b"", b"garbage", record("ana").to_bytes()])
def test_recorded_claim_is_not_taken_back_however_it_reads(ledger: Ledger, raw: bytes) -> None:
    ledger.layout.claim("r.a", 1).write_bytes(raw)
    assert not take_back(ledger.layout, "r.a", 1)
    assert ledger.layout.claim("r.a", 1).read_bytes() == raw
