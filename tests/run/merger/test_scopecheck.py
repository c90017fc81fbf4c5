"""What lies outside of a task's scope does not land, in whatever guise it comes."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.landings import assert_landed_once, land, landed_commits
from tests.support.repos import git
from tests.support.workspaces import (
    BRANCH,
    Content,
    gitlink,
    link,
    make_workspace,
    move_branch,
    put_merging,
    script,
)
from wfledger.core.policy import Policy
from wfledger.core.routes import Routed
from wfledger.run.merger.landing import Blocked, Done
from wfledger.run.merger.scopecheck import Judged, escape_of, judge, subject_of
from wfledger.run.workspace import Workspace

FILES = {
    "src/a.py": "A = 1\n",
    "src/deep/d.py": "D = 1\n",
    "lib/c.py": "C = 1\n",
    ".gitattributes": "* text\n",
    ".github/workflows/ci.yml": "on: push\n",
}
COMMIT = "1" * 40

#: Name of the case -> what the result changes, and what is said of it.
REFUSED: dict[str, tuple[Mapping[str, Content], tuple[str, ...]]] = {
    "another folder": ({"lib/c.py": "C = 2\n"}, ("out_of_scope lib/c.py",)),
    "a new file elsewhere": ({"other": "x\n"}, ("out_of_scope other",)),
    "a deletion": ({"lib/c.py": None}, ("out_of_scope lib/c.py",)),
    "a rename out of the scope": (
        {"src/a.py": None, "lib/a.py": "A = 1\n"}, ("out_of_scope lib/a.py",),
    ),
    "a rename into the scope": (
        {"lib/c.py": None, "src/c.py": "C = 1\n"}, ("out_of_scope lib/c.py",),
    ),
    "a mode elsewhere": ({"lib/c.py": script("C = 1\n")}, ("out_of_scope lib/c.py",)),
    "a link": ({"src/link": link("../lib")}, ("symlink src/link",)),
    "a file that becomes a link": ({"src/a.py": link("deep/d.py")}, ("symlink src/a.py",)),
    "a folder that becomes a link": (
        {"src/deep": link("../lib")}, ("symlink src/deep",),
    ),
    "a repository": ({"src/nested": gitlink(COMMIT)}, ("gitlink src/nested",)),
    "git's own files": ({"src/.gitattributes": "* merge=union\n"}, ("protected src/.gitattributes",)),
    "the attributes of all": (
        {".gitattributes": "* merge=union\n"},
        ("out_of_scope .gitattributes", "protected .gitattributes"),
    ),
    "the ledger": (
        {".wfledger/pending/x.json": "{}"}, ("protected .wfledger/pending/x.json",),
    ),
    "a name that differs in case alone": ({"src/A.py": "A\n"}, ("case_twin src/A.py",)),
    "a name that is not UTF-8": ({'"src/\\377"': "x\n"}, ("bad_path src/\\xff",)),
    "something huge": ({"src/big": "x" * 2001}, ("too_large src/big",)),
    "all at once": (
        {"lib/c.py": "C = 2\n", "src/link": link("/etc"), "src/big": "x" * 2001, "z": "z\n"},
        ("out_of_scope lib/c.py", "out_of_scope z", "symlink src/link", "too_large src/big"),
    ),
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, FILES, policy=Policy(max_blob_bytes=2000))


def _said(landing: Blocked) -> set[str]:
    return {f"{found['code']} {found['path']}" for found in landing.details["violations"]}


@pytest.mark.requirement("WFL-LAND-004")
@pytest.mark.requirement("WFL-RESULT-025")
@pytest.mark.sampled(6)
@pytest.mark.parametrize("case", REFUSED)
def test_result_is_blocked_with_every_violation(workspace: Workspace, case: str) -> None:
    files, expected = REFUSED[case]
    tip = git(workspace.main, "rev-parse", BRANCH)
    task = put_merging(workspace, "one", files)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "out_of_scope"
    assert set(expected) <= _said(landing)
    for line in expected:
        assert line.split()[1] in landing.reason
    assert git(workspace.main, "rev-parse", BRANCH) == tip
    assert landed_commits(workspace.main, task.id) == []


@pytest.mark.requirement("WFL-SCOPE-050")
def test_a_secret_that_the_attempt_was_given_does_not_land_and_is_not_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = "[provider.near]\nprofile = 'vllm'\nkey = 'NEAR'\nbase_url = 'http://127.0.0.1:9'\n"
    fleet = f"[env]\npass = ['MY_TOKEN']\n{near}"
    workspace = make_workspace(tmp_path, FILES, fleet=fleet)
    values = {"MY_TOKEN": "canary-of-token", "NEAR": "canary-of-near", "OTHER_KEY": "canary-of-other"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    files = {f"src/{name}": f"key: {value}\n" for name, value in values.items()}
    task = put_merging(
        workspace, "one", files, result={"route": Routed(provider="near", model="m")}
    )
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    # The third was given to nobody.
    assert _said(landing) == {"secret src/MY_TOKEN", "secret src/NEAR"}
    assert "MY_TOKEN" in landing.reason
    assert "canary" not in landing.reason


def test_what_is_in_scope_lands_with_its_modes(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/run": script("#!/bin/sh\n"), "src/deep/d.py": None})
    assert isinstance(land(workspace, task), Done)
    assert_landed_once(workspace, task)
    assert git(workspace.main, "ls-tree", BRANCH, "src/run").startswith("100755 ")


def test_modes_are_kept_where_the_policy_says_so(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES, policy=Policy(keep_modes=True))
    task = put_merging(workspace, "one", {"src/a.py": script("A = 1\n")})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert _said(landing) == {"mode_change src/a.py"}


def test_link_within_the_scope_lands_where_the_policy_allows_links(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, FILES, policy=Policy(allow_symlinks=True))
    task = put_merging(workspace, "one", {"src/link": link("deep/d.py")})
    assert isinstance(land(workspace, task), Done)
    task = put_merging(workspace, "two", {"src/out": link("../lib/c.py")})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert _said(landing) == {"symlink src/out"}


def test_command_widens_by_all_paths_that_are_outside(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"lib/c.py": "C = 2\n", "my notes": "x\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.command == "wfledger widen r1.one lib/c.py 'my notes'"


@pytest.mark.parametrize(
    "files",
    [
        {"lib/c.py": "C = 2\n", "src/link": link("x")},
        {f"other/{number:03}": "x\n" for number in range(100)},
    ],
    ids=["not by widening alone", "too many for a command"],
)
def test_command_opens_what_widening_does_not_mend(
    workspace: Workspace, files: Mapping[str, Content]
) -> None:
    task = put_merging(workspace, "one", files)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.command == "wfledger open r1.one"


@pytest.mark.long
def test_endless_list_of_violations_is_cut_and_counted(workspace: Workspace) -> None:
    files = {f"other/{number:04}-{'x' * 90}": "x\n" for number in range(3000)}
    task = put_merging(workspace, "one", files)
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.reason.startswith("3000 violations")
    assert "more" in landing.reason.splitlines()[-1]
    assert len(landing.reason) < 20_000


def test_twin_that_landed_meanwhile_is_refused_on_the_merged_tree(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/new.py": "1\n"})
    move_branch(workspace.main, {"src/NEW.py": "2\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert _said(landing) == {"case_twin src/new.py"}


@pytest.mark.requirement("WFL-LAND-005")
def test_merge_driver_of_the_tree_does_not_settle_a_conflict(tmp_path: Path) -> None:
    files = {**FILES, ".gitattributes": "* merge=union\n"}
    workspace = make_workspace(tmp_path, files)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    move_branch(workspace.main, {"src/a.py": "A = 3\n"})
    landing = land(workspace, task)
    assert isinstance(landing, Blocked)
    assert landing.code == "conflict"


@pytest.mark.requirement("WFL-LAND-007")
def test_merge_that_goes_beyond_the_result_is_not_trusted(workspace: Workspace) -> None:
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    subject = subject_of(workspace, task)
    judged = judge(workspace, task, subject)
    assert isinstance(judged, Judged)
    tip = git(workspace.main, "rev-parse", BRANCH)
    assert subject.head is not None
    assert escape_of(workspace, task, tip, subject.head, judged=judged) is None
    more = move_branch(workspace.main, {"src/deep/d.py": "D = 2\n"})
    refusal = escape_of(workspace, task, tip, more, judged=judged)
    assert refusal is not None
    assert refusal.code == "out_of_scope"
    assert "src/deep/d.py" in refusal.reason


def test_history_of_the_result_does_not_matter(workspace: Workspace) -> None:
    """A stray commit that was taken back again is no change; what counts is base to head."""
    base = git(workspace.main, "rev-parse", BRANCH)
    task = put_merging(workspace, "one", {"src/a.py": "A = 2\n"})
    ref = f"refs/wfledger/keep/{task.id}/1"
    first = git(workspace.main, "rev-parse", ref)
    move_branch(workspace.main, {"lib/c.py": "C = 2\n"}, ref=ref)
    head = move_branch(workspace.main, {"lib/c.py": "C = 1\n"}, ref=ref)
    with workspace.ledger.transaction("test") as changes:
        result = workspace.ledger.result(task.id, 1)
        assert result is not None
        assert result.head == first
        changes.put_result(result.but(head=head))
    land(workspace, task)
    made = assert_landed_once(workspace, task)
    assert git(workspace.main, "diff", "--name-only", base, made) == "src/a.py"
    assert git(workspace.main, "rev-list", "--count", f"{base}..{made}") == "1"
