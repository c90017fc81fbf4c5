"""Real git repositories for tests, as small as they can be."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def git(path: Path, *args: str, stdin: bytes = b"") -> str:
    """Run git in *path* and return its standard output without the last newline.

    A failure raises CalledProcessError whose notes hold what git said.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(path), *args], input=stdin, capture_output=True, check=True, timeout=60
        )
    except subprocess.CalledProcessError as failure:
        failure.add_note(failure.stderr.decode(errors="replace"))
        raise
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


def make_repo(path: Path, files: Mapping[str, str | bytes] | None = None) -> Path:
    """Create a repository at *path* whose branch main has one commit with *files*."""
    path.mkdir(parents=True, exist_ok=True)
    git(path, "init", "--quiet", "--initial-branch=main")
    commit(path, files or {}, "start")
    return path


def commit(path: Path, files: Mapping[str, str | bytes | None], message: str = "change") -> str:
    """Write *files* (None deletes), commit everything in *path*, return the new commit's oid."""
    write(path, files)
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--allow-empty", "--no-verify", f"--message={message}")
    return git(path, "rev-parse", "HEAD")


def write(path: Path, files: Mapping[str, str | bytes | None]) -> None:
    """Write *files* under *path*, making folders as needed; None deletes."""
    for name, content in files.items():
        target = path / name
        if content is None:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)


def files_at(path: Path, revision: str = "HEAD") -> dict[str, str]:
    """Return what *revision* holds: path to content."""
    listed = git(path, "ls-tree", "-r", "--name-only", "-z", revision).split("\0")
    return {name: git(path, "show", f"{revision}:{name}") for name in listed if name}
