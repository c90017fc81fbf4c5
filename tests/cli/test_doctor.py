"""`doctor` and `scope` as people and programs call them, and the user's own git beside a ledger."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.checkups import STATUSES, lived_in, look, statuses
from tests.support.cli import contents, wf, wf_json
from tests.support.repos import commit, git
from tests.support.workspaces import BRANCH, open_workspace
from wfledger.core.statuses import Status
from wfledger.run.workspace import Workspace


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return lived_in(tmp_path)


def test_sound_ledger_is_ok(ws: Workspace) -> None:
    found = wf_json(ws.main, "doctor")
    assert found["ok"] is True
    assert [item for item in found["findings"] if item["severity"] != "note"] == []
    assert wf(ws.main, "doctor").status == 0


@pytest.mark.requirement("WFL-REC-020")
@pytest.mark.requirement("WFL-REC-021")
def test_findings_have_code_severity_subject_message_and_repair(ws: Workspace) -> None:
    shutil.rmtree(ws.ledger.layout.root)
    found = wf_json(ws.main, "doctor", status=1)
    assert found == {
        "ok": False,
        "findings": [
            {
                "code": "folder-gone", "severity": "error", "subject": ".wfledger",
                "message": f"{ws.ledger.layout.root} was removed",
                "repair": "attach it to its branch, with all that branch and journal have",
            }
        ],
    }  # fmt: skip


def test_fix_says_what_it_did_and_a_second_look_finds_nothing_to_repair(ws: Workspace) -> None:
    shutil.rmtree(ws.ledger.layout.root)
    fixed = wf_json(ws.main, "doctor", "--fix")
    assert fixed["ok"] is True
    assert [item["code"] for item in fixed["repaired"]] == ["folder-gone"]
    assert fixed["failed"] == []
    assert [item for item in wf_json(ws.main, "doctor")["findings"] if item["repair"]] == []


def test_fix_prints_each_repair_for_people(ws: Workspace) -> None:
    shutil.rmtree(ws.ledger.layout.root)
    done = wf(ws.main, "doctor")
    assert done.status == 1
    assert "can be repaired: wfledger doctor --fix" in done.out
    done = wf(ws.main, "doctor", "--fix")
    assert done.status == 0
    assert done.out.startswith("repaired .wfledger: ")


@pytest.mark.requirement("WFL-REC-023")
def test_repairs_stand_in_the_history_with_their_reason(ws: Workspace) -> None:
    stray = ws.ledger.layout.root / "pending/r1.stray.json"
    stray.write_text("{")
    wf_json(ws.main, "doctor", "--fix")
    assert not stray.exists()
    assert (ws.ledger.layout.root / "quarantine/pending.r1.stray.json").read_text() == "{"
    log = git(ws.main, "log", "-1", "--format=%B", "wfledger")
    assert 'by "doctor"' in log
    assert "unreadable" in log


def test_doctor_without_fix_changes_nothing(ws: Workspace) -> None:
    (ws.ledger.layout.root / "pending/r1.stray.json").write_text("{")
    before = contents(ws.ledger.layout.root, ws.common_dir / "refs")
    assert wf(ws.main, "doctor").status == 1
    assert contents(ws.ledger.layout.root, ws.common_dir / "refs") == before


def test_doctor_works_from_any_worktree_and_folder(ws: Workspace, tmp_path: Path) -> None:
    git(ws.main, "worktree", "add", "-q", "--detach", str(tmp_path / "other"))
    for place in (tmp_path / "other", ws.main / "src", ws.ledger.layout.root):
        assert wf_json(place, "doctor")["ok"] is True


def test_no_ledger_and_no_repository_are_usage_errors(repo: Path, tmp_path: Path) -> None:
    assert wf_json(repo, "doctor", status=2)["error"] == "no_ledger"
    assert wf_json(tmp_path, "doctor", status=2)["error"] == "repository"


@pytest.mark.requirement("WFL-LEDGER-012")
@pytest.mark.parametrize(
    "verb", [("list",), ("status",), ("add", "true"), ("claim",), ("tick",)]
)
def test_other_verbs_refuse_a_removed_ledger_and_do_not_make_it(
    ws: Workspace, verb: tuple[str, ...]
) -> None:
    shutil.rmtree(ws.ledger.layout.root)
    failed = wf(ws.main, *verb)
    assert failed.status == 1
    assert "hint: wfledger doctor --fix" in failed.err
    assert not ws.ledger.layout.root.exists()


def test_init_leaves_a_removed_ledger_to_the_doctor(ws: Workspace) -> None:
    shutil.rmtree(ws.ledger.layout.root)
    failed = wf(ws.main, "init")
    assert (failed.status, ws.ledger.layout.root.exists()) == (1, False)
    assert "hint: wfledger doctor --fix" in failed.err


# -- the user's git ------------------------------------------------------------------------------


USER_GIT = {
    "gc": ("gc", "--quiet"),
    "gc-aggressive": ("gc", "--quiet", "--prune=now", "--aggressive"),
    "pack-refs": ("pack-refs", "--all", "--prune"),
    "repack": ("repack", "-q", "-a", "-d"),
    "prune": ("worktree", "prune", "--expire=now"),
    "stash": ("stash", "--include-untracked"),
    "clean": ("clean", "-fdx"),
    "reset": ("reset", "--quiet", "--hard"),
    "switch": ("checkout", "--quiet", "-b", "feature"),
    "orphan": ("checkout", "--quiet", "--orphan", "pages"),
    "detach": ("checkout", "--quiet", "--detach"),
    "reflog": ("reflog", "expire", "--expire=now", "--all"),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", USER_GIT)
def test_user_git_beside_a_ledger_harms_nothing(ws: Workspace, name: str) -> None:
    commit(ws.main, {"src/app.py": "VALUE = 2\n"})
    (ws.main / "untracked").write_text("x")
    git(ws.main, *USER_GIT[name])
    assert look(ws.main) == []
    assert statuses(open_workspace(ws.main)) == dict(sorted(STATUSES.items()))


@pytest.mark.requirement("WFL-LEDGER-013")
def test_ledger_cannot_be_deleted_as_a_branch_or_pruned_when_it_is_gone(ws: Workspace) -> None:
    for refused in (["branch", "-D", "wfledger"], ["worktree", "remove", "--force", ".wfledger"]):
        with pytest.raises(subprocess.CalledProcessError):
            git(ws.main, *refused)
    shutil.rmtree(ws.ledger.layout.root)
    git(ws.main, "worktree", "prune", "--expire=now")
    with pytest.raises(subprocess.CalledProcessError):
        git(ws.main, "branch", "-D", "wfledger")


def test_clean_with_two_forces_removes_the_ledger_and_doctor_brings_it_back(ws: Workspace) -> None:
    git(ws.main, "clean", "-ffdx")
    assert not ws.ledger.layout.root.exists()
    assert wf_json(ws.main, "doctor", "--fix")["ok"] is True
    found = statuses(open_workspace(ws.main))
    assert found == dict(sorted((STATUSES | {"r1.merging": Status.WAITING}).items()))


def test_branch_of_a_run_that_was_deleted_comes_back_where_it_was(ws: Workspace) -> None:
    tip = git(ws.main, "rev-parse", BRANCH)
    git(ws.main, "branch", "--quiet", "-D", BRANCH.removeprefix("refs/heads/"))
    assert wf_json(ws.main, "doctor", "--fix")["ok"] is True
    assert git(ws.main, "rev-parse", BRANCH) == tip


# -- scope ---------------------------------------------------------------------------------------


def test_overlap_names_a_path_that_both_match(tmp_path: Path) -> None:
    found = wf_json(tmp_path, "scope", "overlap", "src/**", "src/*.py")
    assert found["overlap"] is True
    assert found["witness"].startswith("src/")
    assert found["witness"].endswith(".py")
    assert "both match" in wf(tmp_path, "scope", "overlap", "src/**", "src/*.py").out


def test_patterns_without_a_common_path_do_not_overlap(tmp_path: Path) -> None:
    found = wf_json(tmp_path, "scope", "overlap", "src/a/**", "src/b/**")
    assert found == {"overlap": False, "witness": None}
    assert wf(tmp_path, "scope", "overlap", "src/a/**", "src/b/**").out == "they share no path\n"


def test_match_says_whether_a_pattern_allows_a_path(tmp_path: Path) -> None:
    assert wf_json(tmp_path, "scope", "match", "src/**", "src/a/b.py") == {"match": True}
    assert wf_json(tmp_path, "scope", "match", "src/*.py", "src/a/b.py") == {"match": False}
    assert wf(tmp_path, "scope", "match", "src", "src/a").out == "src/a matches src\n"


@pytest.mark.parametrize(
    "call", [("overlap", "../a", "b"), ("overlap", "a", "/b"), ("match", "a//../b", "a")]
)
def test_bad_pattern_is_an_invalid_document(tmp_path: Path, call: tuple[str, ...]) -> None:
    assert wf_json(tmp_path, "scope", *call, status=7)["error"] == "invalid_scope"


def test_braces_and_brackets_are_warned_about(tmp_path: Path) -> None:
    done = wf(tmp_path, "scope", "match", "src/{a,b}.py", "src/a.py")
    assert "warning: src/{a,b}.py" in done.err
    assert wf(tmp_path, "scope", "match", "src/[ab].py", "src/a.py").err.startswith("warning:")
