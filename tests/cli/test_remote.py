"""Somebody shares a ledger, joins one, looks, and leaves, by typing it."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.support.cli import contents, wf, wf_json
from tests.support.hubs import Hubs, hubs
from tests.support.repos import git, make_repo
from tests.support.terminal import call
from tests.support.workspaces import open_workspace

__all__ = ["hubs"]

ROLE = '[role.echo]\nargv = ["echo", "{prompt}"]\npass = ["MY_TOKEN"]\n'


@pytest.fixture
def two(hubs: Hubs) -> tuple[Path, Path]:
    """Two clones of a bare repository, without a ledger."""
    one, other = hubs.clones(hubs.bare(), 2)
    return one, other


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-093")
def test_one_shares_and_another_joins_and_both_see_the_same_task(two: tuple[Path, Path]) -> None:
    one, other = two
    assert wf(one, "init", "--remote").status == 0
    fleet = one / ".wfledger/fleet.toml"
    fleet.write_text(fleet.read_text() + ROLE)
    task = wf_json(one, "add", "true")["task"]
    wf(one, "sync")
    refused = wf(other, "join")
    assert refused.status == 2
    assert "the commands of every task that whoever can push to origin adds" in refused.out
    assert re.search(r"role +echo +echo '\{prompt\}', with MY_TOKEN", refused.out)
    assert "hint: wfledger join origin --trust" in refused.err
    assert "output_bytes 10485760" in refused.out
    assert not (other / ".wfledger").exists()
    found = wf_json(other, "join", "--trust")
    assert {one["kind"] for one in found["runs"]} >= {"role", "tasks", "limits"}
    assert [one["id"] for one in wf_json(other, "list")["tasks"]] == [task["id"]]
    assert wf_json(other, "join")["fresh"] is False
    folders = [open_workspace(clone).state.name for clone in (one, other)]
    assert folders == [found["ledger"], f"{found['ledger']}.{found['machine']}"]
    shutil.rmtree(other / ".wfledger")
    wf(other, "doctor", "--fix")
    assert open_workspace(other).state.name == folders[1], "its worktrees are where they were"


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-103")
def test_who_shares_or_joins_is_known_to_the_next_at_once(hubs: Hubs) -> None:
    hub = hubs.bare()
    clones = hubs.clones(hub, 3)
    assert wf(clones[0], "init", "--remote").status == 0
    for machines, clone in enumerate(clones[1:], 2):
        said = wf(clone, "join", "--trust").out
        assert re.search(rf"^ +{machines} .* now$", said, re.MULTILINE), said
        assert f", {machines} machines, " in wf(clone, "status").out


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-072")
def test_who_joins_has_the_proofs_of_what_has_landed(two: tuple[Path, Path]) -> None:
    one, other = two
    wf(one, "init", "--remote")
    plan = one.parent / "plan.json"
    plan.write_text(json.dumps(
        {"goal": "g", "tasks": [{"id": "a", "command": "echo a > a", "write": ["a"]}]}
    ))  # fmt: skip
    assert wf(one, "run", str(plan), "--yes").status == 0
    assert wf(one, "sync").status == 0
    wf(other, "join", "--trust")
    assert wf_json(other, "doctor")["findings"] == []
    hub, run = Path(open_workspace(one).hub.url), wf_json(one, "list")["tasks"][0]["run"]  # type: ignore[union-attr]
    head = git(one, "rev-parse", f"refs/wfledger/keep/{run}.a/1")
    git(one, "push", "--quiet", str(hub), f"{head}:refs/heads/gone")
    git(hub, "update-ref", "-d", "refs/heads/gone")
    late = one.parent / "late"
    git(one.parent, "clone", "--quiet", str(hub), str(late))  # with all that the store has
    wf(late, "join", "--trust")
    git(late, "cat-file", "-e", head)
    assert wf_json(late, "doctor")["findings"] == []


@pytest.mark.long
def test_joining_is_told_on_and_on_until_it_is_done(two: tuple[Path, Path]) -> None:
    one, other = two
    said = wf(other, "join")
    assert (said.status, "origin has no ledger" in said.err) == (1, True)
    wf(one, "init", "--remote", "origin")
    assert "hint: wfledger join" in wf(other, "status").err
    second = wf(other, "init", "--remote")
    assert (second.status, "hint: wfledger join origin" in second.err) == (1, True)
    assert not (other / ".wfledger").exists()
    unasked = wf(other, "init")
    assert unasked.status == 1
    assert "hint: wfledger join origin; or, for one of its own: wfledger init --alone" in unasked.err
    assert not (other / ".wfledger").exists()
    wf(other, "init", "--alone")
    own = wf(other, "join")
    assert (own.status, "a ledger of its own" in own.err) == (2, True)


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-041")
def test_a_lease_that_is_too_short_is_refused_with_the_command_that_mends_it(
    two: tuple[Path, Path],
) -> None:
    one, other = two
    wf(one, "init")
    refused = wf(one, "remote", "set", "origin", "--interval", "200")
    assert refused.status == 2
    hint = refused.err.splitlines()[-1].removeprefix("hint: ")
    assert hint == "wfledger remote set origin --interval 200 --lease 1200"
    assert not open_workspace(one).is_shared
    assert call(*shlex.split(hint)[1:], cwd=one).status == 0
    found = wf_json(one, "remote", "show")
    assert (found["lease_s"], found["paces"][0]["least_lease_s"]) == (1200.0, 1200.0)
    changed = wf_json(one, "remote", "set", "--pushes-per-minute", "0.1", "--lease", "4000")
    assert [pace["interval_s"] for pace in changed["paces"][:3]] == [600.0, 1200.0, 2400.0]
    wf(one, "sync")
    joined = wf(other, "join", "--trust")
    assert joined.status == 2
    assert "hint: on a machine that takes part: wfledger remote set origin --lease 7200" in joined.err
    assert not (other / ".wfledger").exists()


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        ("nosuch", 2, "nosuch is neither a remote of this repository nor an address"),
        ("./nothing", 2, "neither a remote"),
        ("https://user:pw@example.org/x", 2, "has a password in it"),
        ("ext::touch", 2, "it names a program to run instead of a server"),
        ("git://127.0.0.1:1/x", 75, "onnection refused"),
    ],
)
@pytest.mark.long
def test_nonsense_and_who_does_not_answer_are_told_apart(
    repo: Path, wanted: str, status: int, said: str
) -> None:
    wf(repo, "init")
    before = contents(repo / ".wfledger")
    done = wf(repo, "remote", "set", wanted)
    assert (done.status, said in done.err) == (status, True), done.err
    assert "pw@" not in done.out + done.err
    assert contents(repo / ".wfledger") == before


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-091")
def test_a_server_that_takes_no_branches_of_runs_or_nothing_at_all_is_refused(
    hubs: Hubs,
) -> None:
    for number, prepare in enumerate(("rejects", "hides")):
        hub = hubs.bare(f"hub{number}.git")
        (root,) = hubs.clones(hub, 1) if number == 0 else [make_repo(hubs.root / "own")]
        hub.rejects("no pushes here") if prepare == "rejects" else hub.hides("refs/heads/wf")
        wf(root, "init")
        done = wf(root, "remote", "set", hub.url)
        assert done.status == 1, done.err
        assert ("no pushes here" in done.err) or ("takes no branches like wf/RUN" in done.err)
        assert not open_workspace(root).is_shared
        assert all("wfledger" not in ref for ref in hub.refs())


@pytest.mark.long
def test_a_folder_may_be_called_anything_and_is_named_so_that_it_can_be_pasted(hubs: Hubs) -> None:
    hub = hubs.bare("it's my #1 50% hüb.git")
    one, other = hubs.clones(hub, 2)
    (one / "deep").mkdir()
    told = wf(one / "deep", "init")
    assert told.status == 0, told.err
    told = wf(one / "deep", "remote", "set", os.path.relpath(hub.url, one / "deep"))
    assert told.status == 0, told.err
    line = next(line for line in told.out.splitlines() if "git clone" in line)
    assert shlex.split(line.partition(": ")[2].partition(", and")[0])[2] == hub.url
    wf(one, "add", "look")
    assert wf(one, "sync", "--wait").status == 0
    refused = wf(other, "join", hub.url)
    hint = refused.err.splitlines()[-1].removeprefix("hint: ")
    assert call(*shlex.split(hint)[1:], cwd=other).status == 0
    assert len(wf_json(other, "list")["tasks"]) == 1


@pytest.mark.long
def test_a_server_that_takes_nothing_but_branches_has_the_ledger_as_a_branch(hubs: Hubs) -> None:
    hub = hubs.bare()
    hub.hides("refs/wfledger")
    one, other = hubs.clones(hub, 2)
    done = wf_json(one, "init", "--remote")
    assert done["shared"]["means"]["space"] == "branches"
    assert "refs/heads/wfledger" in hub.refs()
    git(other, "fetch", "--quiet")
    assert "hint: wfledger join origin" in wf(other, "status").err
    assert wf_json(other, "join", "--trust")["fresh"] is True
    assert wf_json(other, "remote", "show")["space"] == "branches"


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-098")
def test_leaving_asks_first_and_says_what_others_hold(two: tuple[Path, Path]) -> None:
    one, other = two
    wf(one, "init", "--remote")
    wf(one, "add", "true")
    wf(one, "sync")
    wf(other, "join", "--trust")
    asked = wf(other, "remote", "unset")
    assert (asked.status, "hint: wfledger remote unset --yes" in asked.err) == (2, True)
    assert len(wf_json(other, "remote", "unset", "--yes")["taken_back"]) == 1
    assert wf_json(other, "remote", "show") == {"remote": None}
    assert wf_json(other, "remote", "unset", "--yes")["remote"] is None
    assert wf_json(other, "doctor")["ok"] is True


@pytest.mark.long
def test_what_becomes_of_attempts_without_the_remote_is_set_while_it_is_away(
    two: tuple[Path, Path],
) -> None:
    one, other = two
    wf(one, "init", "--remote")
    wf(other, "join", "--trust")
    hub = Path(open_workspace(one).hub.url)  # type: ignore[union-attr]
    hub.rename(hub.with_name("away"))
    said = wf(one, "remote", "set", "--offline", "stop")
    assert said.status == 0, said.err
    assert "attempts are stopped on a machine that has not reached origin for half a" in said.out
    hub.with_name("away").rename(hub)
    wf(one, "sync")
    wf(other, "sync")
    assert open_workspace(other).policy().remote.offline == "stop"
    kept = wf_json(one, "remote", "set", "--interval", "2")
    assert (kept["offline"], "confirmed" in kept) == ("stop", True)
    assert wf(one, "sync", "--wait").status == 0
    hub.rename(hub.with_name("away"))
    wf(one, "remote", "set", "--offline", "finish")
    assert wf(one, "remote", "unset", "--yes").out.splitlines() == [
        "the ledger is this machine's alone; origin keeps its own",
        "1 record that it had not confirmed is kept here",
    ]


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-095")
def test_trust_shows_what_came_and_takes_it(two: tuple[Path, Path]) -> None:
    one, other = two
    wf(one, "init", "--remote")
    wf(other, "join", "--trust")
    fleet = one / ".wfledger/fleet.toml"
    fleet.write_text(fleet.read_text() + ROLE)
    wf(one, "sync")
    wf(other, "sync")
    assert wf(other, "claim").status == 8
    (said,) = [line for line in wf(other, "status").out.splitlines() if line.startswith("paused: ")]
    assert "origin brought another fleet.toml: /role/echo/argv" in said
    assert said.endswith("; to go on: wfledger trust")
    assert wf_json(other, "status")["resumes"] == "wfledger trust"
    assert "alarm" in {found["code"] for found in wf_json(other, "doctor", status=1)["findings"]}
    assert wf(other, "trust").status == 2
    shown = wf_json(other, "trust", "--yes")
    assert (shown["done"], shown["from_remote"], shown["confirmed"]) == ("trusted", True, True)
    assert wf_json(other, "trust")["done"] == "nothing"
    assert wf(other, "claim").status == 3


@pytest.mark.long
def test_every_answer_is_one_object_and_every_refusal_has_a_code(two: tuple[Path, Path]) -> None:
    one, _ = two
    for line, status in (
        ("remote show", 2), ("remote probe", 0), ("init --remote", 0), ("remote show", 0),
        ("remote probe", 0), ("remote set", 0), ("remote restore", 2), ("remote accept --yes", 2),
        ("remote rename-machine", 0), ("sync", 0), ("remote unset", 2), ("remote unset --yes", 0),
        ("remote rename-machine", 2), ("join", 2),
    ):  # fmt: skip
        done = wf(one, *line.split(), "--json")
        assert done.status == status, (line, done.out, done.err)
        found = json.loads(done.out)
        assert ("error" in found) == (status != 0), line


def test_a_shell_completes_the_names_of_git_remotes(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("origin", "other", "mine"):
        git(repo, "remote", "add", name, "/nowhere")
    monkeypatch.setenv("COMP_WORDS", f"wfledger -C {repo} join o")
    monkeypatch.setenv("COMP_CWORD", "4")
    monkeypatch.setenv("_WFLEDGER_COMPLETE", "bash_complete")
    done = call(cwd=repo)
    assert done.out.split() == ["plain,origin", "plain,other"]
