"""Looking into a file: each way not to pass has its reason, and none harms who asks."""

import json
import resource
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.landings import land, outcomes
from tests.support.repos import git
from tests.support.workspaces import BRANCH, Content, link, make_workspace, put_merging
from wfledger.core.documents import Check
from wfledger.core.policy import Policy
from wfledger.run.merger.landing import Blocked, Deferred, Done
from wfledger.run.processes import aside
from wfledger.run.processes.process import tagged

FILES: dict[str, Content] = {
    "src/t.txt": "one\ntotal 12\n",
    "src/r.json": json.dumps({
        "ok": True, "n": 0, "none": None, "a": {"b": [1, 2]}, "big": 2**70,
        "users": [{"name": "Sue", "admin": True}, {"name": "Tom", "admin": False}],
    }),
    "src/bad.json": "{",
    "src/latin.txt": b"caf\xe9",
    "src/deep.json": "[" * 200_000,
    "src/large.txt": "x" * 1_000_001,
    "src/slow.txt": "a" * 40 + "!",
}  # fmt: skip


def _regex(path: str, pattern: str, **fields: Any) -> Check:
    return Check(kind="regex", path=path, pattern=pattern, **fields)


def _json(path: str, expression: str, **fields: Any) -> Check:
    return Check(kind="json_path", path=path, expression=expression, **fields)


def _reasons(tmp_path: Path, *checks: Check, files: dict[str, Content]) -> list[str]:
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"})
    task = put_merging(workspace, "one", files, verify=checks)
    landing = land(workspace, task)
    assert isinstance(landing, (Blocked, Deferred)), landing
    return landing.reason.splitlines()


@pytest.mark.requirement("WFL-RESULT-036")
@pytest.mark.requirement("WFL-RESULT-037")
def test_file_that_says_what_it_must_lands_and_is_not_asked_again(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"})
    files = {name: FILES[name] for name in ("src/t.txt", "src/r.json")}
    checks = (
        _regex("src/t.txt", r"total \d+"), _json("./src/r.json", ".n"),
        _json("src/r.json", "$.users[?(@.admin==true)].name", equals="Sue"),
    )  # fmt: skip
    said: list[str] = []
    task = put_merging(workspace, "one", files, verify=checks)
    base = git(workspace.main, "rev-parse", BRANCH)
    assert isinstance(land(workspace, task, report=said.append), Done)
    assert sum(text.startswith("verify: looks into") for text in said) == 3
    assert not list((workspace.ledger.layout.local / "logs").glob("*probe*"))
    said.clear()
    again = put_merging(workspace, "two", files, base=base, verify=checks)
    land(workspace, again, report=said.append)
    assert not any("looks into" in text for text in said)


@pytest.mark.requirement("WFL-RESULT-036")
@pytest.mark.requirement("WFL-RESULT-037")
@pytest.mark.requirement("WFL-RESULT-025")
@pytest.mark.long
def test_each_way_not_to_pass_has_a_reason_of_its_own(tmp_path: Path) -> None:
    cases = {
        "src/none.txt is missing": _regex("src/none.txt", "a"),
        "src/large.txt has 1000001 bytes; at most 1000000": _regex("src/large.txt", "x"),
        "src/latin.txt is not UTF-8": _regex("src/latin.txt", "caf"),
        "the pattern does not compile: missing )": _regex("src/t.txt", "("),
        "src/t.txt does not match ^total": _regex("src/t.txt", "^total"),
        "src/bad.json is no JSON": _json("src/bad.json", "$.a"),
        "src/deep.json is nested too deeply": _json("src/deep.json", "$.a"),
        "$.a.c in src/r.json leads to nothing": _json("src/r.json", "$.a.c"),
        "$.none in src/r.json is null": _json("src/r.json", "$.none"),
        "$.users[*].admin in src/r.json is false": _json("src/r.json", "$.users[*].admin"),
        "$.n in src/r.json is not what it must be": _json("src/r.json", "$.n", equals=False),
        "the expression $.[ is no JSON path": _json("src/r.json", "$.["),
    }  # fmt: skip
    reasons = _reasons(tmp_path, *cases.values(), files=FILES)
    for said in cases:
        assert any(reason.startswith(said) for reason in reasons), said
    assert len(reasons) == len(cases)


@pytest.mark.requirement("WFL-RESULT-035")
@pytest.mark.long
def test_link_is_never_followed_out_of_the_snapshot(tmp_path: Path) -> None:
    policy = Policy(allow_symlinks=True)
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"}, policy=policy)
    files: dict[str, Content] = {
        "src/t.txt": "total\n", "src/link.txt": link("t.txt"), "src/up": link("../src"),
    }
    checks = (
        _regex("src/link.txt", "total"), _regex("src/up/t.txt", "total"),
        Check(kind="file_exists", path="src/link.txt"),
    )  # fmt: skip
    task = put_merging(workspace, "one", files, verify=checks)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert sorted(landing.reason.splitlines()) == [
        "src/link.txt is a symbolic link, not a file", "src/link.txt is a symbolic link, not a file",
        "src/up/t.txt is missing",
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-038")
def test_pattern_that_never_ends_is_a_reason(tmp_path: Path) -> None:
    check = _regex("src/slow.txt", r"^(a+)+$", timeout_s=1)
    (reason,) = _reasons(tmp_path, check, files={"src/slow.txt": FILES["src/slow.txt"]})
    assert reason.startswith("src/slow.txt: no answer within 1 s")


@pytest.mark.long
@pytest.mark.requirement("WFL-RESULT-038")
def test_document_that_fills_memory_is_a_reason_and_harms_nobody(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    files: dict[str, Content] = {
        "src/wide.json": "[" + "[]," * 2_500_000 + "1]", "src/large.json": "[" + " " * 10_000_000,
    }  # fmt: skip
    checks = (_json("src/wide.json", "$..*", timeout_s=3), _json("src/large.json", "$.a"))
    reasons = _reasons(tmp_path, *checks, files=files)
    assert "1 GiB of memory" in reasons[0] or "no answer within 3 s" in reasons[0]
    assert reasons[1] == "src/large.json has 10000001 bytes; at most 10000000 are looked into"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300 * 1024  # KiB: the files themselves, written by this test


@pytest.mark.long
@pytest.mark.requirement("WFL-LAND-032")
def test_probe_that_cannot_be_started_leaves_the_task_in_merging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"})
    files = {"src/t.txt": FILES["src/t.txt"]}
    task = put_merging(workspace, "one", files, verify=(_regex("src/t.txt", "total"),))
    monkeypatch.setattr(aside, "_START", "raise SystemExit('no machine')")
    landing = land(workspace, task)
    assert isinstance(landing, Deferred)
    assert "could not be looked into" in landing.reason
    assert outcomes(workspace, task) == ["succeeded"]


@pytest.mark.long
def test_stop_ends_a_probe_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, {"src/a.py": "A = 1\n"})
    files = {"src/slow.txt": FILES["src/slow.txt"]}
    check = _regex("src/slow.txt", r"^(a+)+$", timeout_s=30)
    task = put_merging(workspace, "one", files, verify=(check,))
    stop = threading.Event()

    def report(text: str) -> None:
        if text.startswith("verify: looks"):
            stop.set()

    assert isinstance(land(workspace, task, stop=stop, report=report), Deferred)
    assert tagged(f"{workspace.ledger.layout.local}:") == {}
