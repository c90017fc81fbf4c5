"""Writes many blobs as one pack, and packs loose objects without losing any."""

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

import pygit2

from wfledger.errors import GitError
from wfledger.vcs.proc import run_git
from wfledger.vcs.repo import Repository

_BLOB: Final = 3
_VERSION: Final = 2


def write_pack(repo: Repository, contents: Iterable[bytes]) -> dict[bytes, pygit2.Oid]:
    """Store *contents* as blobs in one pack, durably, and return their object ids.

    As loose objects each would cost a file and a sync of its own: ten thousand took five seconds.
    """
    blobs = dict.fromkeys(contents)
    body = b"".join(_pack(list(blobs)))
    run_git(
        ["index-pack", "--stdin"],
        git_dir=repo.common_dir,
        stdin=body + hashlib.sha1(body, usedforsecurity=False).digest(),
        timeout=600,
    )
    found = {content: pygit2.Oid(hex=_oid(content)) for content in blobs}
    if any(oid not in repo.objects.odb for oid in found.values()):
        raise GitError("git did not store what it was given", kind="lost_objects")
    return found


def loose_objects(repo: Repository) -> int:
    """Return how many objects of the repository are in files of their own."""
    folders = repo.common_dir.joinpath("objects").glob("[0-9a-f][0-9a-f]")
    return sum(1 for folder in folders for _ in folder.iterdir())


def packs(repo: Repository) -> int:
    """Return how many packs the repository has."""
    return sum(1 for _ in repo.common_dir.joinpath("objects", "pack").glob("*.pack"))


def loose_refs(repo: Repository, prefix: str) -> int:
    """Return how many refs below *prefix* (`refs/wfledger`) are in files of their own."""
    return sum(len(names) for _, _, names in os.walk(repo.common_dir / prefix))


def pack_refs(repo: Repository, *, timeout: float) -> None:
    """Put loose refs into one file; none changes."""
    run_git(["pack-refs", "--all"], git_dir=repo.common_dir, timeout=timeout)


def repack(repo: Repository, *, timeout: float) -> None:
    """Pack loose objects, and small packs together; unreachable objects stay where they are.

    Packs in geometric progression: large ones of the user's are not rewritten. Nothing is pruned,
    so objects that a rival has written and not yet named survive.
    """
    run_git(
        ["repack", "-d", "-l", "-q", "--geometric=2", "--no-write-bitmap-index"],
        git_dir=repo.common_dir,
        timeout=timeout,
    )


def _pack(blobs: list[bytes]) -> Iterator[bytes]:
    yield b"PACK" + _VERSION.to_bytes(4, "big") + len(blobs).to_bytes(4, "big")
    for blob in blobs:
        yield _head(len(blob))
        yield zlib.compress(blob, 1)


def _head(size: int) -> bytes:
    """Return the type and size of an entry: four bits, then seven to a byte, low ones first."""
    byte, size = _BLOB << 4 | size & 15, size >> 4
    head = bytearray()
    while size:
        head.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    head.append(byte)
    return bytes(head)


def _oid(blob: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(blob) + blob, usedforsecurity=False).hexdigest()
