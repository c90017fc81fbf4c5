"""Addresses that run programs, carry passwords or mean nothing are refused; a remote has one."""

from pathlib import Path

import pytest

from tests.support.repos import git, make_repo
from wfledger.errors import NotFoundError, RepositoryError
from wfledger.vcs.addresses import checked, path_of, resolved, url_of
from wfledger.vcs.repo import Repository


@pytest.mark.parametrize(
    "url",
    ["ssh://git@host:22/x.git", "git@host:x/y.git", "host:x.git", "https://host/x", "http://h/x",
     "https://name@host/x", "git://host/x.git", "file:///srv/x.git", "/srv/x.git",
     "git@[::1]:x.git", "/srv/a b/x.git", "/srv/it's \"50%\" #1 ü?.git", "/srv/a:b\\c.git", "/srv/x://y",
     "host:a b.git", "ssh://host/a b#c", "file:///srv/a b.git", "file:///srv/a%20b#c.git",
     "file://localhost/srv/x.git", "/srv/x.git/"],
)  # fmt: skip
def test_addresses_of_servers_are_used(url: str) -> None:
    assert checked(url) == url


@pytest.mark.requirement("WFL-HUB-045")
@pytest.mark.parametrize(
    "url",
    ["", "ext::sh -c true", "ext::true", "fd::17", "foo::bar", "-oProxyCommand=x", "--upload-pack=x",
     "ssh://-oProxyCommand=x/y", "-oProxyCommand=x:y", "git@-oProxyCommand=x:y", "host:-x", "x\ny:z",
     "https://host/a b", "ftp://host/x", "relative/path", "../x", "/srv/../x", ":x", "ssh:///x",
     "file://host/x", "a\\b:c", "a b:c", "ssh://a b/x", "/srv/a\tb", "/srv/" + 2000 * "x", "ssh://host/-x", "\x1b[2J:x"],
)  # fmt: skip
def test_addresses_that_are_odd_are_refused(url: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        checked(url)
    assert caught.value.facts["kind"] == "bad_url"
    assert caught.value.hint


@pytest.mark.requirement("WFL-HUB-045")
def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(RepositoryError) as caught:
        checked("https://me:geheim123@host/x.git")
    assert "geheim123" not in str(caught.value.as_json())
    assert "credential.helper" in (caught.value.hint or "")


def test_a_file_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("x")
    with pytest.raises(RepositoryError):
        checked(str(tmp_path / "bundle"))


def test_a_remote_is_where_it_is_pushed_to(repo: Path) -> None:
    git(repo, "remote", "add", "origin", "https://host/x.git")
    here = Repository.open(repo / ".git")
    assert url_of(here, "origin") == "https://host/x.git"
    git(repo, "config", "remote.origin.pushurl", "git@host:x.git")
    assert url_of(here, "origin") == "git@host:x.git"
    git(repo, "config", "--add", "remote.origin.pushurl", "git@other:x.git")
    with pytest.raises(RepositoryError):
        url_of(here, "origin")
    with pytest.raises(NotFoundError) as caught:
        url_of(here, "upstream")
    assert caught.value.facts["remotes"] == ["origin"]


def test_a_relative_path_is_taken_from_the_checkout(repo: Path, tmp_path: Path) -> None:
    git(repo, "remote", "add", "origin", "../hub.git")
    here = Repository.open(repo / ".git")
    assert url_of(here, "origin") == str(tmp_path / "hub.git")
    assert path_of(url_of(here, "origin")) == tmp_path / "hub.git"
    assert path_of("https://host/x") is None


def test_a_path_of_a_url_is_what_git_takes_it_for(repo: Path) -> None:
    assert path_of("file:///srv/a%20b#c?d.git") == Path("/srv/a b#c?d.git")
    assert path_of("/srv/a%20b") == Path("/srv/a%20b")
    here = Repository.open(repo / ".git")
    with pytest.raises(RepositoryError) as caught:
        resolved(here, "~nobody-of-that-name/x.git")
    assert "there is no user of that name" in caught.value.message
    with pytest.raises(RepositoryError) as caught:
        checked("https://host/a b")
    assert "%20 is one" in caught.value.message
    with pytest.raises(RepositoryError) as caught:
        resolved(here, f"file://{str(repo).replace('m', '%6D')}")
    assert "this very repository" in caught.value.message


def test_a_repository_is_not_its_own_remote(repo: Path) -> None:
    here = Repository.open(repo / ".git")
    for own in (str(repo), str(repo / ".git"), "."):
        with pytest.raises(RepositoryError):
            resolved(here, own)
    make_repo(repo.parent / "other")
    assert resolved(here, "../other") == str(repo.parent / "other")


def test_what_the_repository_says_instead_of_an_address_counts_once(repo: Path) -> None:
    git(repo, "remote", "add", "origin", "hub:x.git")
    git(repo, "config", "url.https://host/.insteadOf", "hub:")
    git(repo, "config", "--global", "url.ssh://git@host/.insteadOf", "https://host/")
    here = Repository.open(repo / ".git")
    assert url_of(here, "origin") == "https://host/x.git"
