"""Which configuration may change under an attempt, and which may not."""

import pytest

from tests.support.planting_git import CONFIGURATION
from wfledger.vcs.keys import alarming, changes

KNOWN = (
    ("core.bare", "false"), ("remote.origin.url", "https://example.org/x"),
    ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
    ("branch.main.remote", "origin"), ("branch.main.merge", "refs/heads/main"),
    ("submodule.lib.url", "https://example.org/lib"), ("filter.lfs.clean", "git-lfs clean -- %f"),
)  # fmt: skip

ALARMING = (
    ("remote.origin.url", "https://evil.example/x"), ("remote.origin.pushurl", "https://evil"),
    ("remote.pushdefault", "evil"), ("remote.new.url", "ext::evil"), ("remote.new.vcs", "evil"),
    ("remote.new.fetch", "+refs/*:refs/heads/*"), ("branch.main.remote", "https://evil"),
    ("branch.main.pushremote", "evil"), ("branch.new.remote", "unknown"),
    ("branch.main.mergeoptions", "-s evil"), ("submodule.lib.url", "https://evil"),
    ("submodule.new.url", "ext::evil"), ("filter.lfs.clean", "evil"), ("lfs.url", "https://evil"),
    ("core.autocrlf", "input"), ("core.worktree", "/"), ("core.bare", "true"),
    ("extensions.objectformat", "sha256"), ("gc.pruneexpire", "now"), ("core.ignorecase", "true"),
    ("pull.twohead", "evil"), ("init.templatedir", "/evil"), ("http.proxy", "evil"),
    ("http.sslverify", "false"), ("a.key.of.tomorrow", "x"),
)  # fmt: skip
HARMLESS = (
    ("branch.new.remote", "origin"), ("branch.new.merge", "refs/heads/main"),
    ("branch.new.vscode-merge-base", "origin/main"), ("branch.new.remote", "."),
    ("remote.new.url", "https://example.org/y"), ("user.email", "me@example.org"),
    ("remote.new.fetch", "+refs/heads/*:refs/remotes/new/*"), ("color.ui", "always"),
    ("submodule.new.url", "https://example.org/n"), ("submodule.new.active", "true"),
    ("lfs.https://example.org/x.access", "basic"), ("push.autosetupremote", "true"),
    ("maintenance.auto", "false"), ("core.sparsecheckout", "true"), ("pull.rebase", "true"),
)  # fmt: skip


def after(key: str, value: str) -> tuple[tuple[str, str], ...]:
    return (*(pair for pair in KNOWN if pair[0] != key), (key, value))


@pytest.mark.parametrize(("key", "value"), ALARMING)
def test_what_could_run_or_redirect_alarms(key: str, value: str) -> None:
    assert [one.key for one in alarming(KNOWN, after(key, value))] == [key]


@pytest.mark.parametrize(("key", "value"), HARMLESS)
def test_what_git_and_people_write_every_day_does_not(key: str, value: str) -> None:
    assert changes(KNOWN, after(key, value))
    assert alarming(KNOWN, after(key, value)) == ()


def test_server_that_goes_whole_reaches_nobody_else() -> None:
    less = tuple(pair for pair in KNOWN if not pair[0].startswith("remote."))
    assert alarming(KNOWN, less) == ()
    assert alarming(KNOWN, tuple(pair for pair in KNOWN if pair[0] != "remote.origin.url")) != ()


def test_every_key_of_the_canaries_alarms() -> None:
    """The names that the canaries carry are keys; a key that nobody thought of must alarm too."""
    named = [name.lower() for name in CONFIGURATION if "." in name and " " not in name]
    quiet = {"merge.default"}
    for name in named:
        assert alarming((), ((name, "evil"),)) or name in quiet, name
