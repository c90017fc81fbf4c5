"""The program itself: its help, its errors, its exit statuses."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.support.cli import wf
from tests.support.processes import run, run_cli
from wfledger import __version__
from wfledger.cli import failures, main
from wfledger.errors import BusyError, InvalidDocumentError, StaleError

FIRST_SCREEN = """\
Usage: wfledger [OPTIONS] COMMAND [ARGS]...

  A shared task ledger for fleets of coding agents, on files and git alone.

Options:
  -C DIR      Work as if started in DIR.
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Verbs:
  init    Make a ledger in this repository.
  demo    Watch a small fleet work in a repository of its own.
  check   Say everything that is wrong with a plan.
  plan    Show what a plan would do, before anything runs.
  run     Run a plan, or go on with a run.
  status  Count tasks and runs.
  why     Say what a task waits for, and what ends that.
  diff    Show what an attempt changed.
  answer  Answer a task's question.
  retry   Let a blocked task be tried again.
  land    Bring a run's results to its branch.
  doctor  Look for damage, and repair it.

More for people:
"""


def test_first_screen_shows_the_twelve_verbs_before_all_others(tmp_path: Path) -> None:
    done = wf(tmp_path, "--help")
    assert done.status == 0
    assert done.out.startswith(FIRST_SCREEN)


def test_bare_call_shows_the_help_and_is_no_success(tmp_path: Path) -> None:
    done = run_cli(cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(FIRST_SCREEN)


def test_help_lists_each_verb_once(tmp_path: Path) -> None:
    out = wf(tmp_path, "--help").out
    for name, verb in main.VERBS.items():
        assert sum(line.split()[:1] == [name] for line in out.splitlines()) == 1
        assert verb.short in out


def test_help_imports_no_verb_and_no_document(tmp_path: Path) -> None:
    code = (
        "import sys; from wfledger.cli.main import program\n"
        "try: program(['--help'], prog_name='wfledger')\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules))"
    )
    modules = run(sys.executable, "-c", code, cwd=tmp_path).out.split()
    assert not {"pydantic", "filelock", "wfledger.cli.looking", "wfledger.core.documents"} & set(modules)


@pytest.mark.parametrize("name", main.VERBS)
def test_each_verb_has_a_command_with_help(name: str) -> None:
    context = click.Context(main.program)
    command = main.program.get_command(context, name)
    assert command is not None
    assert command.help
    assert "\\b" not in command.get_help(context)


def test_reading_verbs_open_no_git(repo: Path) -> None:
    assert run_cli("init", cwd=repo).status == 0
    code = (
        "import sys; from wfledger.cli.main import program\n"
        "for verb in ('status', 'list'):\n"
        "    try: program([verb], prog_name='wfledger')\n"
        "    except SystemExit as ended: assert ended.code == 0\n"
        "print('pygit2' in sys.modules, 'rich' in sys.modules)"
    )
    done = run(sys.executable, "-c", code, cwd=repo)
    assert done.status == 0, done
    assert done.out.splitlines()[-1] == "False False", done


def test_version(tmp_path: Path) -> None:
    done = wf(tmp_path, "--version")
    assert done.status == 0
    assert __version__ in done.out


@pytest.mark.parametrize("args", [["no-such-verb"], ["run"], ["list", "--limit", "none"], ["--no-such-option"]])
def test_a_call_that_makes_no_sense_has_status_2(repo: Path, args: list[str]) -> None:
    done = wf(repo, *args)
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert "hint: wfledger" in done.err


@pytest.mark.requirement("WFL-CLI-003")
def test_usage_error_with_json_is_an_object(repo: Path) -> None:
    done = wf(repo, "list", "--limit", "none", "--json")
    assert done.status == 2
    assert json.loads(done.out)["error"] == "usage"


def test_no_ledger_says_init(repo: Path) -> None:
    done = wf(repo, "status")
    assert done.status == 2
    assert "hint: wfledger init" in done.err
    assert done.out == ""


@pytest.mark.requirement("WFL-CLI-003")
def test_no_repository_has_status_2(tmp_path: Path) -> None:
    found = json.loads(wf(tmp_path, "status", "--json").out)
    assert (found["error"], found["kind"]) == ("repository", "not_a_repository")


def test_directory_may_be_given(repo: Path, tmp_path: Path) -> None:
    assert run_cli("-C", repo, "init", cwd=tmp_path).status == 0
    assert (repo / ".wfledger").is_dir()


@pytest.mark.requirement("WFL-CLI-001")
@pytest.mark.parametrize(
    ("error", "status"),
    [(StaleError("x"), 4), (InvalidDocumentError("x"), 7), (BusyError("x"), 75),
     (KeyboardInterrupt(), 130), (failures.NoReaderError(), 141), (click.UsageError("x"), 2)],
)  # fmt: skip
def test_errors_have_their_exit_status(error: BaseException, status: int) -> None:
    assert failures.exit_status_of(error, []) == status


def test_message_hint_and_all_problems_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [{"pointer": f"/tasks/{n}", "message": f"wrong {n}"} for n in range(25)]
    failures.exit_status_of(InvalidDocumentError("much", hint="mend it", errors=problems), [])
    err = capsys.readouterr().err
    assert err.startswith("error: much\n  /tasks/0: wrong 0\n")
    assert "and 5 more" in err
    assert err.endswith("hint: mend it\n")


@pytest.mark.requirement("WFL-CLI-008")
def test_what_is_printed_of_an_error_cannot_drive_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures.exit_status_of(StaleError("a\x1b[2Jb", hint="\x1b]0;c\x07d"), [])
    assert capsys.readouterr().err == "error: ab\nhint: d\n"


def test_defect_leaves_a_report(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wf(repo, "init")

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("wfledger.run.looks.overview.overview", broken)
    monkeypatch.chdir(repo)
    done = wf(repo, "status", "--json")
    found = json.loads(done.out)
    assert done.status == 70
    assert found["error"] == "defect"
    report = Path(found["report"])
    assert report.parent == repo / ".git/wfledger/logs"
    assert "ZeroDivisionError: by nothing" in report.read_text()


def test_reader_that_goes_away_is_no_error(repo: Path) -> None:
    wf(repo, "init")
    with subprocess.Popen(
        [sys.executable, "-m", "wfledger", "list", "--json"], cwd=repo,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert err == b""
    assert process.returncode == 141


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(tmp_path: Path, shell: str) -> None:
    assert "_WFLEDGER_COMPLETE" in wf(tmp_path, "completion", shell).out


def test_completion_serves_the_short_name_too(tmp_path: Path) -> None:
    script = 'eval "$("$0" -m wfledger completion bash)"; complete -p wfledger wfl'
    done = run("bash", "-c", script, sys.executable, cwd=tmp_path)
    assert done.out.splitlines() == [
        f"complete -o nosort -F _wfledger_completion {name}" for name in ("wfledger", "wfl")
    ]


def test_completion_offers_verbs(tmp_path: Path) -> None:
    env = {"_WFLEDGER_COMPLETE": "bash_complete", "COMP_WORDS": "wfledger sta", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['wfledger']; from wfledger.cli.main import main; main()"
    done = run(sys.executable, "-c", code, cwd=tmp_path, env=env)
    assert done.out == "plain,status\n"
