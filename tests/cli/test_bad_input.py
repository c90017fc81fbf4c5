"""Whatever is put in: each its own error code and exit status, and nothing of the user's changed."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import contents, plan, wf, wf_json
from tests.support.outside import belongings
from tests.support.processes import run, run_cli
from tests.support.repos import commit, files_at, git, make_repo, write
from wfledger.core.documents import Task, TaskSpec
from wfledger.core.records import canonical

FILES = {"README.md": "# sample\n", "src/a.txt": "a\n"}


def _refused(where: Path, *args: str | Path, status: int, code: str) -> dict[str, object]:
    """Call a verb with and without --json, and expect that both refuse in the same way."""
    plain = wf(where, *args)
    assert plain.status == status, (args, plain)
    assert plain.err.startswith("error: "), plain.err
    assert plain.out == ""
    found = wf_json(where, *args, status=status)
    assert found["error"] == code, found
    assert found["message"]
    return found


# -- repositories ----------------------------------------------------------------------------------


def _bare(root: Path) -> None:
    git(root, "clone", "-q", "--bare", ".", "../bare.git")
    shutil.rmtree(root)
    (root.parent / "bare.git").rename(root)


def _unborn(root: Path) -> None:
    git(root, "update-ref", "-d", "refs/heads/main")


def _sha256(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()
    git(root, "init", "-q", "-b", "main", "--object-format=sha256")
    commit(root, FILES)


def _reftable(root: Path) -> None:
    git(root, "config", "core.repositoryFormatVersion", "1")
    # Written without git, which would refuse the repository from then on.
    with (root / ".git/config").open("a") as file:
        file.write("[extensions]\n\trefstorage = reftable\n")


def _none(root: Path) -> None:
    shutil.rmtree(root / ".git")


def _partial(root: Path) -> None:
    git(root, "config", "remote.origin.promisor", "true")
    git(root, "config", "remote.origin.url", "file:///nowhere")


UNUSABLE: dict[str, Callable[[Path], None]] = {
    "bare": _bare, "no_commits": _unborn, "sha256": _sha256, "reftable": _reftable,
    "not_a_repository": _none, "partial_clone": _partial,
}  # fmt: skip


@pytest.mark.requirement("WFL-CLI-001")
@pytest.mark.requirement("WFL-CLI-003")
@pytest.mark.parametrize("kind", UNUSABLE)
def test_repository_that_cannot_hold_a_ledger_is_refused_by_its_kind(
    tmp_path: Path, kind: str
) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    UNUSABLE[kind](root)
    before = contents(tmp_path)
    found = _refused(root, "init", status=2, code="repository")
    assert found["kind"] == kind
    assert found["hint"]
    for verb in (["status"], ["run", "--yes", plan(tmp_path, {"a": {"command": "true"}}), "--detach"]):
        assert wf(root, *verb).status == 2
    (tmp_path / "plan.json").unlink()
    assert _without_times(contents(tmp_path)) == _without_times(before)


def _without_times(found: dict[str, tuple[int, int, bytes]]) -> dict[str, tuple[int, bytes]]:
    return {name: (mode, raw) for name, (mode, _, raw) in found.items()}


VERBS = [
    "status", "list", "show r.a", "why r.a", "history", "logs r.a", "diff r.a", "claim", "tick",
    "heartbeat r.a", "complete r.a", "fail r.a --reason x", "release r.a", "retry r.a", "answer r.a yes",
    "widen r.a src", "accept r.a", "open r.a", "stop r.a", "cancel r.a", "land r", "doctor",
    "add title true",
]  # fmt: skip


@pytest.mark.requirement("WFL-CLI-001")
@pytest.mark.sampled(3)
@pytest.mark.parametrize("verb", VERBS)
def test_without_a_ledger_every_verb_says_so_and_makes_nothing(tmp_path: Path, verb: str) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    before = contents(root)
    found = _refused(root, *verb.split(), status=2, code="no_ledger")
    assert found["hint"] == "wfledger init"
    assert contents(root) == before


@pytest.mark.sampled(3)
@pytest.mark.requirement("WFL-CLI-001")
@pytest.mark.parametrize("verb", [verb for verb in VERBS if "r.a" in verb])
def test_verbs_refuse_a_task_that_is_not_there(tmp_path: Path, verb: str) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    _refused(root, *verb.split(), status=2, code="not_found")


def _folder(root: Path) -> None:
    write(root, {".wfledger/mine.txt": "mine\n"})


def _file(root: Path) -> None:
    write(root, {".wfledger": "mine\n"})


def _link(root: Path) -> None:
    (root.parent / "elsewhere").mkdir()
    (root / ".wfledger").symlink_to("../elsewhere")


def _repository(root: Path) -> None:
    make_repo(root / ".wfledger", {"mine.txt": "mine\n"})


def _branch(root: Path) -> None:
    git(root, "branch", "wfledger")


FOREIGN: dict[str, Callable[[Path], None]] = {
    "folder": _folder, "file": _file, "link": _link, "repository": _repository, "branch": _branch,
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_stands_in_the_place_of_a_ledger_is_left_alone(tmp_path: Path, kind: str) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    FOREIGN[kind](root)
    before = belongings(root), contents(root / ".wfledger"), git(root, "branch", "-av")
    _refused(root, "init", status=1, code="environment")
    assert (belongings(root), contents(root / ".wfledger"), git(root, "branch", "-av")) == before
    assert wf_json(root, "status", status=2)["error"] == "no_ledger"


def test_uncommitted_changes_stay_out_of_a_run_and_are_mentioned(tmp_path: Path) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    write(root, {"src/a.txt": "mine\n", "untracked": "mine\n"})
    git(root, "add", "src/a.txt")
    write(root, {"src/a.txt": "mine again\n"})
    before = belongings(root)
    path = plan(tmp_path, {"a": {"command": "cat src/a.txt > b.txt", "write": ["b.txt"]}})
    done = wf(root, "run", "--yes", path)
    assert done.status == 0, done
    assert "1 file is changed and not committed" in done.err
    run_id = git(root, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/wf/")
    assert files_at(root, run_id)["b.txt"] == "a"
    assert belongings(root) == before


def test_detached_head_needs_to_be_told_the_target(tmp_path: Path) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    git(root, "checkout", "-q", "--detach")
    wf_json(root, "init")
    path = plan(tmp_path, {"a": {"command": "true"}})
    before = belongings(root)
    found = _refused(root, "run", "--yes", path, status=2, code="usage")
    assert "--target" in str(found["message"])
    assert wf_json(root, "run", "--yes", path, "--target", "main")["verdict"] == "succeeded"
    assert belongings(root) == before


@pytest.mark.parametrize("target", ["absent", "refs/tags/x", "-x", "main..x", "wf/../main", ""])
def test_target_that_is_no_branch_is_refused_and_makes_no_run(tmp_path: Path, target: str) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    path = plan(tmp_path, {"a": {"command": "true"}})
    if target:
        assert wf(root, "run", "--yes", path, f"--target={target}").status == 2
    assert wf_json(root, "status")["runs"] == []
    assert git(root, "for-each-ref", "refs/heads/wf/") == ""


@pytest.mark.long
def test_work_is_done_without_an_identity(tmp_path: Path, home: Path) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    (home / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    nobody = {name: "" for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}
    command = " && ".join(
        [f"unset {' '.join(nobody)}"]
        + [
            shlex.join([sys.executable, "-m", "wfledger", *args])
            for args in (
                ["init"],
                ["run", "--yes", str(plan(tmp_path, {"a": {"command": "echo x > x", "write": ["x"]}}))],
            )
        ]
    )
    done = run("sh", "-c", command, cwd=root)
    assert done.status == 0, done
    branch = git(root, "for-each-ref", "--format=%(refname)", "refs/heads/wf/")
    assert git(root, "log", "-1", "--format=%an", branch) == "wfledger"


def test_read_only_repository_is_refused_with_a_reason(tmp_path: Path) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    mount = f"mount --bind {root} {root} && mount -o remount,ro,bind {root}"
    inside = ["unshare", "-Urm", "sh", "-c"]
    probe = subprocess.run([*inside, f"{mount} && ! touch {root}/x"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("no mount namespace here, and permissions do not hold for the superuser")
    before = contents(root)
    verb = shlex.join([sys.executable, "-m", "wfledger", "-C", str(root), "init", "--json"])
    done = run(*inside, f"{mount} && {verb}", cwd=tmp_path)
    assert done.status == 1, done
    assert json.loads(done.out)["error"] == "environment"
    assert contents(root) == before


# -- names and patterns ----------------------------------------------------------------------------

NAMES = [
    "../../etc/passwd", "/etc/passwd", "r.a/../../x", "x" * 5000, "\u202egnp.exe", "a b", "CON",
    "r.a.json", "r.a.lock", ".", "..", "*", "r.*", "r.a\nr.b", "\x1b[31mred", "'; rm -rf /", "%s%n",
    "{}", "$(touch x)",
]  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", NAMES)
def test_names_that_name_nothing_are_refused_whole(tmp_path: Path, name: str) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    before = contents(root / ".wfledger"), belongings(root)
    for verb in ("show", "claim", "retry", "logs", "land", "run"):
        done = wf(root, verb, "--", name)
        # A file that is no plan is refused as a plan.
        assert done.status == (7 if verb == "run" and name == "/etc/passwd" else 2), (verb, done)
        assert "\x1b" not in done.err
        assert "\u202e" not in done.err
    assert (contents(root / ".wfledger"), belongings(root)) == before


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", [*NAMES, "-x", ""])
def test_ids_that_are_none_name_no_new_task(tmp_path: Path, name: str) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    if name:
        assert wf(root, "add", "title", "true", f"--id={name}").status in {2, 7}
    assert wf_json(root, "status")["counts"]["waiting"] == 0
    assert not list(tmp_path.glob("**/passwd*"))


PATTERNS = [
    "../x", "/etc/passwd", "a/../../b", "a\0b", "", "x" * 600, "a/" * 40, "\\", ".git/config",
    ".wfledger/ledger.json", "src/\nx", "***", "a**b", "!src", ":(top)src", "C:\\x",
]  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_hostile_pattern_is_refused_or_harmless(tmp_path: Path, pattern: str) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    if "\0" not in pattern:
        done = wf(root, "scope", "match", "--", pattern, "src/a.txt")
        assert done.status in {0, 1, 7}, done
    path = plan(tmp_path, {"a": {"command": "true", "write": [pattern]}})
    done = wf(root, "run", "--yes", path, "--detach")
    assert done.status in {0, 7}, done
    if done.status == 7:
        assert wf_json(root, "status")["runs"] == []


# -- documents -------------------------------------------------------------------------------------

_GOOD = '{"goal": "g", "tasks": [{"id": "a", "command": "true"}]}'
DOCUMENTS: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "prose": b"Please do the work.",
    "truncated": _GOOD[:-10].encode(),
    "null": b"null",
    "number": b"7",
    "list": b"[]",
    "not text": b"\xff\xfe\x00",
    "nul": _GOOD.encode() + b"\0",
    "duplicate keys": b'{"goal": "g", "goal": "h", "tasks": [{"id": "a", "command": "true"}]}',
    "deep": b"[" * 100_000,
    "deep object": b'{"goal":' * 50_000,
    "huge": b'{"goal": "' + b"x" * (9 * 2**20) + b'"}',
    "huge number": b'{"goal": "g", "max_concurrent": ' + b"9" * 5000 + b', "tasks": []}',
    "nan": b'{"goal": "g", "max_concurrent": NaN, "tasks": []}',
    "wrong types": b'{"goal": 1, "tasks": {"a": "true"}}',
    "task is a string": b'{"goal": "g", "tasks": ["a"]}',
    "unknown field": _GOOD[:-1].encode() + b', "surprise": 1}',
    "no tasks": b'{"goal": "g", "tasks": []}',
    "same id twice": b'{"goal": "g", "tasks": [{"id": "a", "command": "x"}, {"id": "a", "command": "x"}]}',
    "cycle": b'{"goal": "g", "tasks": [{"id": "a", "command": "x", "after": ["a"]}]}',
    "dangling edge": b'{"goal": "g", "tasks": [{"id": "a", "command": "x", "after": ["b"]}]}',
    "lone surrogate": b'{"goal": "\\ud800", "tasks": [{"id": "a", "command": "true"}]}',
}
YAML: dict[str, bytes] = {
    "aliases": b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b", ".join([b"*%c" % (97 + n)] * 9)) for n in range(9)),
    "tag": b"goal: !!python/object/apply:os.system ['touch pwned']\ntasks: []\n",
    "tabs": b"goal: x\n\ttasks: []\n",
    "duplicate keys": b"goal: a\ngoal: b\ntasks: [{id: a, command: x}]\n",
    "deep": b"a: " + b"[" * 20_000,
    "two documents": b"goal: a\n---\ngoal: b\n",
}
CASES = [("plan.json", name) for name in DOCUMENTS] + [("plan.yaml", name) for name in YAML]


@pytest.mark.requirement("WFL-CLI-001")
@pytest.mark.requirement("WFL-CLI-003")
@pytest.mark.sampled(4)
@pytest.mark.parametrize(("file", "name"), CASES)
def test_plan_that_is_none_is_refused_and_leaves_nothing(
    tmp_path: Path, file: str, name: str
) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    path = tmp_path / file
    path.write_bytes(DOCUMENTS[name] if file == "plan.json" else YAML[name])
    before = contents(root / ".wfledger"), belongings(root)
    assert wf(root, "check", path).status == 7
    found = _refused(root, "run", "--yes", path, status=7, code="invalid_plan")
    assert len(str(found["message"])) < 2000
    assert (contents(root / ".wfledger"), belongings(root)) == before
    assert git(root, "for-each-ref", "refs/heads/wf/") == ""
    assert not (tmp_path / "pwned").exists()


@pytest.mark.long
def test_what_is_no_file_is_no_plan(tmp_path: Path) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    os.mkfifo(tmp_path / "fifo.json")
    for path in (tmp_path, tmp_path / "absent.json", tmp_path / "fifo.json", Path("/dev/zero")):
        done = run_cli("run", "--yes", path, cwd=root, timeout=30)
        assert done.status in {2, 7}, (path, done)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"status": 3}', b"[" * 100_000, b"x" * 2_000_000])
def test_result_that_is_none_is_not_handed_in(tmp_path: Path, raw: bytes) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    path = tmp_path / "result.json"
    path.write_bytes(raw)
    task = wf_json(root, "add", "title", "true")["task"]["id"]
    wf_json(root, "tick")
    token = wf_json(root, "claim", task)["token"]
    found = wf_json(root, "complete", task, "--token", token, "--result", path, status=7)
    assert found["error"] == "invalid_document"
    (still,) = wf_json(root, "list", "--status", "in-progress")["tasks"]
    assert still["id"] == task


@pytest.mark.parametrize("text", ["{", "{}", '{"schema": "wfledger.ledger/2"}', "[" * 50_000, "\0"])
def test_ledger_file_that_is_none_stops_who_acts_and_is_named(tmp_path: Path, text: str) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    (root / ".wfledger/ledger.json").write_text(text)
    path = plan(tmp_path, {"a": {"command": f"touch {tmp_path}/ran"}})
    done = wf(root, "run", "--yes", path)
    assert done.status in {1, 7}, done
    assert "ledger.json" in done.err
    assert not (tmp_path / "ran").exists()
    assert wf(root, "doctor").status == 1


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _symlink(path: Path) -> None:
    path.symlink_to("/etc/passwd")


STRAYS: dict[str, Callable[[Path], object]] = {
    "broken": lambda path: path.write_bytes(b"{"),
    "other kind": lambda path: path.write_bytes(b'{"schema": "wfledger.run/1"}'),
    "newer": lambda path: path.write_bytes(b'{"schema": "wfledger.task/9"}'),
    "huge": lambda path: path.write_bytes(b" " * 300_000),
    "fifo": _fifo,
    "link": _symlink,
    "folder": Path.mkdir,
}


@pytest.mark.sampled(24)
@pytest.mark.parametrize("status", ["waiting", "pending", "blocked"])
@pytest.mark.parametrize("kind", STRAYS)
def test_stray_among_the_tasks_disturbs_nobody_and_is_named(
    tmp_path: Path, kind: str, status: str
) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    stray = root / f".wfledger/{status}/r9.stray.json"
    if status == "waiting":
        stray = root / ".wfledger/waiting/r9/r9.stray.json"
        stray.parent.mkdir()
    STRAYS[kind](stray)
    for verb in ("status", "list", "why"):
        assert wf(root, verb).status in {0, 2}
    path = plan(tmp_path, {"a": {"command": "true"}})
    assert wf_json(root, "run", "--yes", path)["verdict"] == "succeeded"
    found = wf_json(root, "doctor", status=1)
    assert any("stray" in str(finding["subject"]) for finding in found["findings"]), found


@pytest.mark.sampled(3)
@pytest.mark.parametrize("pattern", ["../x", ".wfledger", "a\\b"])
def test_task_put_in_by_hand_with_a_scope_that_is_none_stops_no_other(
    tmp_path: Path, pattern: str
) -> None:
    root = make_repo(tmp_path / "repo", FILES)
    wf_json(root, "init")
    run_id = wf_json(root, "run", "--yes", plan(tmp_path, {"a": {"command": "true"}}), "--detach")["run"]
    spec = TaskSpec(command="true", write=(pattern,))
    task = Task(
        id=f"{run_id}.b", run=run_id, seq=1, attempt=0, created="2026-01-01T00:00:00Z", spec=spec,
        spec_sha256=spec.digest(),
    )  # fmt: skip
    (root / f".wfledger/waiting/{run_id}/{task.id}.json").write_bytes(canonical(task))
    found = wf_json(root, "run", run_id, status=10)
    assert found["done"] == 1
    (need,) = found["needs"]
    assert need["task"] == task.id
    assert pattern in need["reason"] or repr(pattern) in need["reason"]
