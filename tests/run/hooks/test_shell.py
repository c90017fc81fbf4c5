"""What a shell command writes, as far as its text says."""

from pathlib import Path

import pytest

from wfledger.run.hooks.shell import written

CWD = Path("/w")


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("echo 1 > a", ["a"]),
        ("echo 1 >a 2>b", ["a", "b"]),
        ("echo 1 >> src/a && cat < b", ["src/a"]),
        ("cmd &> all.log", ["all.log"]),
        ("cmd 2>&1 | tee -a out.txt", ["out.txt"]),
        ("rm -rf build old", ["build", "old"]),
        ("mv a b", ["a", "b"]),
        ("cp a b docs/", ["docs"]),
        ("touch 'a b' c", ["a b", "c"]),
        ("sed -i 's/x/y/' f g", ["f", "g"]),
        ("sed -n 's/x/y/p' f", []),
        ("dd if=a of=b bs=1", ["b"]),
        ("cd sub && touch a; cd /tmp; touch b", ["sub/a", "/tmp/b"]),
        ("cd $HOME && touch a && touch /x/b", ["/x/b"]),
        ("FOO=1 sudo rm x", ["x"]),
        ("(touch a) || touch b &", ["a", "b"]),
        ("touch a # rm b", ["a"]),
        ("touch a\nrm b", ["a", "b"]),
        ("ln -s target name", ["name"]),
    ],
)
def test_plain_targets_are_found(command: str, paths: list[str]) -> None:
    assert [str(path) for path in written(command, CWD)] == [str(CWD / path) for path in paths]


@pytest.mark.parametrize(
    "command",
    [
        "",
        "git log --grep '>' README.md",
        'grep ">" README.md',
        "echo a \\> b",
        "cat <<'EOF'\nx > y\nrm z\nEOF",
        "cat <<EOF\n<a> b\nEOF",
        "echo 1 > $OUT",
        "rm *.pyc",
        "rm `ls`",
        'echo 1 > "$A/b"',
        "cmd 2>&1",
        "cmd >&2",
        "python -c 'open(1)'",
        "diff <(a) <(b)",
        "echo 'unclosed > a",
        "cat <<< text",
        "cp only",
        "[ 1 -gt 0 ] && true",
    ],
)
def test_what_is_not_plain_is_no_target(command: str) -> None:
    assert written(command, CWD) == ()


def test_body_of_a_heredoc_is_no_command_but_its_target_is_one() -> None:
    assert written("cat > a <<'EOF'\nrm b\n> c\nEOF\ntouch d", CWD) == (CWD / "a", CWD / "d")


def test_home_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    assert written("touch ~/a ~other/b", CWD) == (Path("/h/a"),)
