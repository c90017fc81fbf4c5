"""A clone shares nothing but objects, nothing in it is obeyed, and its commits come over checked."""

import os
import zlib
from hashlib import sha1
from pathlib import Path

import pytest

from tests.support.repos import commit, git
from wfledger.vcs import clone
from wfledger.vcs.repo import Repository
from wfledger.vcs.trees import Outset, Snapshot, snapshot
from wfledger.vcs.worktree import WorktreeOccupiedError

BRANCH = "refs/heads/wf-try/r1.a/1"


@pytest.fixture
def main(repo: Path) -> Repository:
    return Repository.discover(repo)


@pytest.fixture
def path(main: Repository, tmp_path: Path) -> Path:
    """A clone of the tip of main."""
    made = tmp_path / 'a "clone": 1'
    clone.add(main, made, branch=BRANCH, base=base(main))
    return made


def base(main: Repository) -> str:
    tip = main.tip("refs/heads/main")
    assert tip is not None
    return tip


def bring(main: Repository, path: Path) -> str:
    """Bring over what HEAD leads to, and return it."""
    head = clone.head_of(path)
    assert head is not None
    scratch = main.common_dir
    clone.bring(main, path, head.commit, base=base(main), scratch=scratch, timeout=60)
    return head.commit


@pytest.mark.requirement("WFL-PROC-017")
def test_clone_has_references_and_configuration_of_its_own(main: Repository, path: Path) -> None:
    before = git(main.common_dir, "for-each-ref"), (main.common_dir / "config").read_bytes()
    assert git(path, "status", "--porcelain") == ""
    assert git(path, "for-each-ref", "--format=%(refname)") == BRANCH
    assert git(path, "remote") == ""
    git(path, "config", "core.hooksPath", "/nowhere")
    git(path, "branch", "-f", "main")
    git(path, "-c", "user.name=W", "-c", "user.email=w@x", "commit", "-q", "--allow-empty", "-m", "w")
    assert (git(main.common_dir, "for-each-ref"), (main.common_dir / "config").read_bytes()) == before
    assert not main.has_commit(git(path, "rev-parse", "HEAD"))
    assert clone.head_of(path) == clone.Head(git(path, "rev-parse", "HEAD"), BRANCH)


def test_identity_and_line_endings_of_the_repository_hold_in_its_clone(
    main: Repository, tmp_path: Path
) -> None:
    assert main.workdir is not None
    git(main.workdir, "config", "user.name", 'A "B"')
    git(main.workdir, "config", "core.autocrlf", "true")
    git(main.workdir, "config", "alias.x", "!touch /nowhere")
    path = tmp_path / "clone"
    clone.add(main, path, branch=None, base=base(main))
    assert git(path, "config", "user.name") == 'A "B"'
    assert (path / "README.md").read_bytes() == b"# sample\r\n"
    assert git(path, "status", "--porcelain") == ""
    assert "alias" not in (path / ".git/config").read_text()
    assert clone.head_of(path) == clone.Head(base(main), None)


@pytest.mark.parametrize("count", [1, pytest.param(150, marks=pytest.mark.long)])
def test_commits_come_over_whole(main: Repository, path: Path, count: int) -> None:
    commit(path, {f"f/{n}.txt": f"{n}\n" for n in range(count)})
    head = bring(main, path)
    clone.remove(path)
    assert main.has_commit(head)
    assert git(main.common_dir, "fsck", "--strict", "--connectivity-only", head) == ""
    assert git(main.common_dir, "show", f"{head}:f/0.txt") == "0"
    assert not path.exists()
    assert [one.name for one in main.common_dir.iterdir() if one.name.startswith("sealed-")] == []


def test_packed_and_detached_heads_are_found(main: Repository, path: Path) -> None:
    head = commit(path, {"x": "x\n"})
    git(path, "gc", "-q")
    assert not (path / ".git" / BRANCH).exists()
    assert clone.head_of(path) == clone.Head(head, BRANCH)
    git(path, "checkout", "-q", "--detach")
    assert clone.head_of(path) == clone.Head(head, None)
    assert bring(main, path) == head


CANARY = "#!/bin/sh\ntouch {canary}\n"
KEYS = (
    "core.fsmonitor", "core.alternateRefsCommand", "core.sshCommand", "uploadpack.packObjectsHook",
    "filter.x.clean", "filter.x.smudge", "diff.x.textconv", "gpg.program",
)  # fmt: skip


@pytest.mark.requirement("WFL-PROC-017")
def test_nothing_in_a_clone_is_obeyed(main: Repository, path: Path, tmp_path: Path) -> None:
    canary, script = tmp_path / "canary", tmp_path / "canary.sh"
    script.write_text(CANARY.format(canary=canary))
    script.chmod(0o755)
    commit(path, {"x.txt": "x\n", ".gitattributes": "* filter=x diff=x\n"})
    for key in KEYS:
        git(path, "config", key, str(script))
    git(path, "config", "core.hooksPath", str(tmp_path))
    hooks = path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-checkout", "pre-auto-gc", "post-index-change"):
        (hooks / name).symlink_to(script)
    (path / ".git/info").mkdir(exist_ok=True)
    (path / ".git/info/attributes").write_text("* filter=x\n")
    (path / "new.txt").write_text("new\n")
    head = bring(main, path)
    taken = snapshot(
        main, path, index_dir=tmp_path, timeout=60, outset=Outset(base(main), "", head)
    )
    assert isinstance(taken, Snapshot)
    assert main.read_blob(taken.tree, "new.txt") == b"new\n"
    assert main.read_blob(taken.tree, "x.txt") == b"x\n"
    assert not canary.exists()
    git(path, "add", "new.txt")
    assert canary.exists(), "its own git does obey it"
    clone.remove(path)


def forged(path: Path, kind: str, body: bytes) -> str:
    """Write an object that git would refuse, and return its id."""
    raw = b"%b %d\0%b" % (kind.encode(), len(body), body)
    oid = sha1(raw).hexdigest()
    file = path / ".git/objects" / oid[:2] / oid[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(zlib.compress(raw))
    return oid


def commit_of(tree: str, parent: str) -> bytes:
    who = "W <w@example.org> 1767603600 +0000"
    return f"tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\nforged\n".encode()


@pytest.mark.requirement("WFL-PROC-018")
@pytest.mark.parametrize("harm", ["dotgit", "missing", "author", "swapped", "gone", "fifo", "lent"])
def test_broken_commits_stay_where_they_are(main: Repository, path: Path, harm: str) -> None:
    start = base(main)
    blob = forged(path, "blob", b"x\n")
    entry = {"dotgit": b"100644 .git\0", "missing": b"100644 a\0"}.get(harm, b"100644 b\0")
    named = bytes.fromhex("12" * 20 if harm == "missing" else blob)
    tree = forged(path, "tree", entry + named)
    body = commit_of(tree, start)
    head = forged(path, "commit", body.replace(b"W <w@", b"W w@") if harm == "author" else body)
    if harm == "swapped":
        (path / ".git/objects" / blob[:2] / blob[2:]).write_bytes(zlib.compress(b"blob 2\0y\n"))
    if harm == "fifo":
        file = path / ".git/objects" / tree[:2] / tree[2:]
        file.unlink()
        os.mkfifo(file)
    if harm == "lent":
        (path / ".git/objects/info/alternates").write_text(f"{path / 'elsewhere'}\n")
    if harm == "gone":
        (path / ".git/objects").rename(path / "objects")
    (path / ".git" / BRANCH).write_text(f"{head}\n")
    with pytest.raises(clone.UnsoundError):
        bring(main, path)
    assert not main.has_commit(head)


@pytest.mark.parametrize("harm", ["outside", "link", "folder", "fifo", "loop", "none", "dots"])
def test_head_that_leads_nowhere_is_not_followed(path: Path, tmp_path: Path, harm: str) -> None:
    head, git_dir = path / ".git/HEAD", path / ".git"
    other = tmp_path / "other"
    other.write_text(f"{'1' * 40}\n")
    if harm == "outside":
        (git_dir / "refs/heads/x").symlink_to(tmp_path)
        head.write_text("ref: refs/heads/x/other\n")
    elif harm == "dots":
        head.write_text("ref: refs/heads/../../../../other\n")
    elif harm == "loop":
        head.write_text("ref: refs/heads/loop\n")
        (git_dir / "refs/heads/loop").write_text("ref: refs/heads/loop\n")
    elif harm == "none":
        git_dir.rename(tmp_path / "moved")
        git_dir.symlink_to(tmp_path / "moved")
    else:
        head.unlink()
        {"link": lambda: head.symlink_to(other), "folder": head.mkdir,
         "fifo": lambda: os.mkfifo(head)}[harm]()  # fmt: skip
    assert clone.head_of(path) is None


def test_unchanged_clone_is_adopted_and_another_is_left(main: Repository, path: Path) -> None:
    clone.add(main, path, branch=BRANCH, base=base(main))
    (path / "new.txt").write_text("work\n")
    with pytest.raises(WorktreeOccupiedError):
        clone.add(main, path, branch=BRANCH, base=base(main))
    assert (path / "new.txt").exists()


def test_half_a_clone_is_made_anew(main: Repository, tmp_path: Path) -> None:
    making = tmp_path / "clone.making"
    making.mkdir()
    (making / "junk").write_text("x")
    clone.add(main, tmp_path / "clone", branch=None, base=base(main))
    assert not making.exists()
    assert not (tmp_path / "clone/junk").exists()
