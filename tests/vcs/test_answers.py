"""What servers say is understood: words that git, ssh and forges have really used."""

import pytest

from wfledger.vcs.answers import TroubleKind, ref_status, refusal, trouble

_GENERIC = """\
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
"""
_SAID: list[tuple[TroubleKind, str]] = [
    ("auth", "fatal: could not read Username for 'https://github.com': terminal prompts disabled"),
    ("auth", "git@github.com: Permission denied (publickey).\n" + _GENERIC),
    ("auth", "ERROR: Permission to octo/hello.git denied to robot.\n" + _GENERIC),
    ("auth", "Host key verification failed.\n" + _GENERIC),
    ("auth", "remote: Invalid username or token.\nfatal: Authentication failed for 'https://h/r/'"),
    ("auth", ("remote: Write access to repository not granted.\n"
             "fatal: unable to access 'https://h/r/': The requested URL returned error: 403")),
    ("auth", "remote: You are not allowed to push code to this project.\n" + _GENERIC),
    ("auth", "remote: TF401027: You need the Git 'GenericContribute' permission to perform this"),
    ("auth", "Gitea: User permission denied for writing.\n" + _GENERIC),
    ("not_found", "ERROR: Repository not found.\n" + _GENERIC),
    ("not_found", "fatal: '/srv/x.git' does not appear to be a git repository\n" + _GENERIC),
    ("not_found", "fatal: repository 'https://h/r/' not found"),
    ("not_found", "fatal: remote error: access denied or repository not exported: /x.git"),
    ("not_found", "conq: repository does not exist.\n" + _GENERIC),
    ("not_found", ("remote: TF401019: The Git repository with name or identifier x does not exist or"
                  " you do not have permissions for the operation you are attempting.")),
    ("read_only", ("remote: This repository was archived so it is read-only.\n"
                  "fatal: unable to access 'https://h/r/': The requested URL returned error: 403")),
    ("read_only", "ERROR: The key you are authenticating with has been marked as read only.\n"
                  + _GENERIC),
    ("read_only", "fatal: remote error: service not enabled: /hub.git"),
    ("quota", "fatal: unable to access 'https://h/r/': The requested URL returned error: 429"),
    ("quota", ("error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413\n"
              "fatal: the remote end hung up unexpectedly")),
    ("busy", "fatal: Unable to create '/tmp/x/shallow.lock': File exists.\n"),
    ("unreachable", "fatal: unable to access 'https://h/r/': Could not resolve host: h"),
    ("unreachable", "ssh: Could not resolve hostname h: Name or service not known\n" + _GENERIC),
    ("unreachable", "ssh: connect to host h port 22: Connection timed out\n" + _GENERIC),
    ("unreachable", "fatal: unable to connect to h:\nh[0: 1.2.3.4]: errno=Connection refused"),
    ("timeout", "fatal: unable to access 'https://h/r/': Operation too slow. Less than 1 bytes/sec"),
    ("timeout", "Timeout, server h not responding.\n" + _GENERIC),
    ("hung_up", "kex_exchange_identification: Connection closed by remote host\n" + _GENERIC),
    ("hung_up", ("error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502\n"
                "fatal: the remote end hung up unexpectedly")),
    ("hung_up", ("error: RPC failed; curl 18 transfer closed with outstanding read data remaining\n"
                "fatal: early EOF\nfatal: fetch-pack: invalid index-pack output")),
    ("hung_up", "fatal: the remote end hung up unexpectedly"),
    ("hung_up", ""),
    ("protocol", "fatal: transport 'ext' not allowed"),
    ("protocol", "fatal: unable to access 'https://h/': SSL certificate problem: self signed"),
    ("format", "fatal: mismatched algorithms: client sha1; server sha256"),
    ("format", "fatal: the receiving end does not support this repository's hash algorithm"),
    ("atomic", "fatal: the receiving end does not support --atomic push"),
    ("disk_full", "fatal: unable to access 'https://h/r/': The requested URL returned error: 507"),
    ("local", ("fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack"
              " output")),
    ("local", "error: cannot lock ref 'refs/wfledger/hub/ledger': Unable to create '/r/.git/x.lock'"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "said"), _SAID, ids=[said[:50] for _, said in _SAID])
def test_the_words_of_servers_are_understood(kind: TroubleKind, said: str) -> None:
    found = trouble(said)
    assert found.kind == kind
    assert found.message
    assert bool(found.hint) == (kind not in {"unreachable", "timeout", "hung_up"})


@pytest.mark.requirement("WFL-HUB-048")
def test_the_servers_words_are_handed_on_without_what_says_nothing() -> None:
    said = "ERROR: Permission to octo/hello.git denied to robot.\n" + _GENERIC
    assert trouble(said).message == "Permission to octo/hello.git denied to robot."


def test_words_cannot_write_to_a_terminal() -> None:
    assert "\x1b" not in trouble("remote: \x1b[2Jgone\nfatal: x").message


@pytest.mark.parametrize(
    ("reason", "by_server", "said", "status"),
    [
        ("stale info", False, "", "lost"),
        ("fetch first", False, "", "lost"),
        ("non-fast-forward", False, "", "lost"),
        ("failed to update ref", True, "", "lost"),
        ("reference already exists", True, "", "lost"),
        ("cannot lock ref", True, "", "lost"),
        ("non-fast-forward", True, "", "refused"),
        ("deletion prohibited", True, "", "refused"),
        ("deny updating a hidden ref", True, "", "refused"),
        ("protected branch hook declined", True, "", "refused"),
        ("push declined due to repository rule violations", True, "", "refused"),
        ("atomic push failure", True, "", "waits"),
        ("atomic transaction failed", True, "", "waits"),
        ("atomic transaction failed", True,
         "remote: error: cannot lock ref 'refs/heads/x': is at 1 but expected 2", "lost"),
        ("atomic transaction failed", True,
         "remote: error: cannot lock ref 'refs/heads/y': is at 1 but expected 2", "waits"),
        ("failed to update ref", True,
         ("remote: error: cannot lock ref 'refs/heads/x': Unable to create 'x.lock': Permission"
         " denied"), "refused"),
        ("remote failed to report status", True, "", "unknown"),
    ],
)  # fmt: skip
def test_what_became_of_one_ref_is_understood(
    reason: str, by_server: bool, said: str, status: str
) -> None:
    assert ref_status(reason, by_server=by_server, said=said, ref="refs/heads/x") == status


@pytest.mark.parametrize(
    ("reason", "said", "kind"),
    [
        ("pre-receive hook declined", ("remote: GitLab: You are not allowed to push code to"
         " protected branches on this project."), "rule"),
        ("pre-receive hook declined", ("remote: error: File x is 123 MB; this exceeds GitHub's file"
         " size limit of 100 MB"), "quota"),
        ("unpacker error", "remote: error: insufficient permission for adding an object", "read_only"),
        ("unpacker error", "remote: fatal: write error: No space left on device", "disk_full"),
        ("deny updating a hidden ref", "", "hidden"),
        ("branch is currently checked out", "", "rule"),
        ("failed to update ref", ("remote: error: cannot lock ref 'refs/heads/x': 'refs/heads' exists;"
         " cannot create 'refs/heads/x'"), "name"),
    ],
)  # fmt: skip
def test_why_a_ref_is_refused_is_understood(reason: str, said: str, kind: str) -> None:
    found = refusal(reason, said, "refs/heads/x")
    assert found.kind == kind
    assert found.hint
