"""What of a task's changes may land: one test for each row of the table, and then some."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core.changes import (
    GITLINK,
    LINK,
    Change,
    Entry,
    Rules,
    Violation,
    shown,
    to_changed,
    violations,
)
from wfledger.core.policy import Policy
from wfledger.core.scopes import covered, parse_all
from wfledger.errors import InvalidPatternError

FILE, SCRIPT = 0o100644, 0o100755
RULES = Rules.of(Policy())
LINKS = replace(RULES, allow_symlinks=True)


def entry(mode: int = FILE, content: str = "one", size: int | None = 3) -> Entry:
    return Entry(mode, content.encode().hex().ljust(40, "0"), size)


def added(path: str | bytes, mode: int = FILE, **more: Any) -> Change:
    return Change(_bytes(path), None, entry(mode), **more)


def deleted(path: str | bytes, mode: int = FILE) -> Change:
    return Change(_bytes(path), entry(mode), None)


def modified(path: str | bytes, mode: int = FILE) -> Change:
    return Change(_bytes(path), entry(mode), entry(mode, "two"))


def link(path: str, target: str | bytes) -> Change:
    return added(path, LINK, target=_bytes(target))


def _bytes(path: str | bytes) -> bytes:
    return path if isinstance(path, bytes) else path.encode()


def tree(*paths: str | bytes) -> Callable[[bytes], Iterable[bytes]]:
    """Return the listing of a tree with *paths*."""
    held = [_bytes(path) for path in paths]

    def listing(folder: bytes) -> set[bytes]:
        start = folder + b"/" if folder else b""
        return {path[len(start) :].split(b"/")[0] for path in held if path.startswith(start)}

    return listing


def check(
    *changes: Change,
    write: tuple[str, ...] = ("**",),
    rules: Rules = RULES,
    base: tuple[str | bytes, ...] = (),
) -> tuple[Violation, ...]:
    return violations(changes, parse_all(write), rules, siblings=tree(*base))


def codes(*changes: Change, **more: Any) -> list[str]:
    return [violation.code for violation in check(*changes, **more)]


@pytest.mark.requirement("WFL-SCOPE-040")
@pytest.mark.parametrize("make", [added, modified, deleted])
def test_every_kind_of_change_needs_a_pattern(make: Callable[[str], Change]) -> None:
    assert codes(make("src/a.py"), write=("src/**",)) == []
    assert codes(make("lib/a.py"), write=("src/**",)) == ["out_of_scope"]


@pytest.mark.requirement("WFL-SCOPE-040")
def test_rename_out_of_scope_is_seen_at_both_ends() -> None:
    moved = (deleted("src/a.py"), added("lib/a.py"))
    assert codes(*moved, write=("src",)) == ["out_of_scope"]
    assert codes(*moved, write=("lib",)) == ["out_of_scope"]
    assert codes(*moved, write=("lib", "src")) == []


@pytest.mark.requirement("WFL-SCOPE-014")
@pytest.mark.requirement("WFL-SCOPE-040")
def test_reader_may_change_nothing() -> None:
    (violation,) = check(modified("src/a.py"), write=())
    assert violation == Violation("out_of_scope", "src/a.py", "the task reads only", None)
    assert check(write=()) == ()


@pytest.mark.requirement("WFL-SCOPE-040")
def test_change_of_mode_alone_needs_a_pattern() -> None:
    change = Change(b"lib/run", entry(FILE), entry(SCRIPT))
    assert change.kind == "mode"
    assert codes(change, write=("src/**",)) == ["out_of_scope"]
    assert codes(change, write=("lib/run",)) == []


@pytest.mark.requirement("WFL-SCOPE-042")
@pytest.mark.parametrize("content", ["one", "two"])
def test_change_of_mode_is_refused_where_modes_are_kept(content: str) -> None:
    change = Change(b"run", entry(FILE), entry(SCRIPT, content))
    keeping = replace(RULES, keep_modes=True)
    assert codes(change) == []
    (violation,) = check(change, rules=keeping)
    assert violation.code == "mode_change"
    assert "100644 to 100755" in violation.reason


@pytest.mark.requirement("WFL-SCOPE-042")
def test_modes_of_files_that_come_or_go_are_their_own() -> None:
    keeping = replace(RULES, keep_modes=True)
    old_style = Change(b"c", entry(0o100664), entry(FILE, "two"))
    assert codes(added("a", SCRIPT), deleted("b", SCRIPT), old_style, rules=keeping) == []


@pytest.mark.requirement("WFL-SCOPE-042")
def test_mode_that_git_does_not_know_is_refused() -> None:
    assert codes(added("a", 0o100777)) == ["mode_change"]


@pytest.mark.requirement("WFL-SCOPE-043")
def test_link_is_refused_by_default_when_added_or_retargeted_not_when_deleted() -> None:
    retargeted = Change(b"b", entry(LINK), entry(LINK, "two"), b"src/a")
    assert codes(link("a", "src/a"), retargeted, deleted("c", LINK)) == ["symlink", "symlink"]


@pytest.mark.requirement("WFL-SCOPE-043")
@pytest.mark.parametrize("target", ["a", "./a", "sub/a", "../src/a", "sub//a", "../src/./a"])
def test_allowed_link_may_lead_to_what_the_task_may_write(target: str) -> None:
    assert codes(link("src/l", target), write=("src/**",), rules=LINKS) == []


@pytest.mark.requirement("WFL-SCOPE-043")
@pytest.mark.parametrize(
    "target",
    [
        "", "a" * 4096, "/etc/passwd", "../../a", "..", "../..", "sub/../a", "..\\a", b"\xff",
        "../.git/config", "../.GIT/config", "../.wfledger/ledger.json",
    ],
)  # fmt: skip
def test_allowed_link_may_not_lead_out_or_to_reserved_places(target: str | bytes) -> None:
    (violation,) = check(link("src/l", target), write=("src/**", "*"), rules=LINKS)
    assert violation.code == "symlink"


@pytest.mark.requirement("WFL-SCOPE-043")
@pytest.mark.parametrize(("target", "aim"), [("../lib", "lib"), (".", "src"), ("../a/b", "a/b")])
def test_allowed_link_may_not_lead_out_of_scope(target: str, aim: str) -> None:
    (violation,) = check(link("src/x", target), write=("src/**",), rules=LINKS)
    assert violation.code == "symlink"
    assert f"leads to {aim}," in violation.reason


@pytest.mark.requirement("WFL-SCOPE-043")
@pytest.mark.requirement("WFL-SCOPE-047")
def test_allowed_link_may_not_lead_to_what_is_protected() -> None:
    to_workflow = link("src/x", "../.github/workflows/ci.yml")
    assert codes(to_workflow, rules=LINKS) == ["symlink"]
    assert codes(to_workflow, write=("src", ".github/workflows/ci.yml"), rules=LINKS) == []


@pytest.mark.requirement("WFL-SCOPE-043")
def test_link_whose_target_is_unknown_is_refused() -> None:
    assert codes(added("src/l", LINK), rules=LINKS) == ["symlink"]


@pytest.mark.requirement("WFL-SCOPE-041")
def test_change_of_type_is_a_deletion_and_an_addition() -> None:
    to_link = Change(b"a", entry(), entry(LINK, "two"), b"b")
    to_file = Change(b"a", entry(LINK), entry(FILE, "two"))
    assert (to_link.kind, to_file.kind) == ("type", "type")
    assert codes(to_link) == ["symlink"]
    assert codes(to_link, rules=LINKS) == []
    assert codes(to_file) == []
    assert codes(Change(b"a", entry(GITLINK), entry())) == ["gitlink"]
    assert codes(Change(b"a", entry(), entry(GITLINK))) == ["gitlink"]


@pytest.mark.requirement("WFL-SCOPE-041")
def test_link_of_the_same_text_as_the_file_before_is_a_change_of_type() -> None:
    change = Change(b"a", entry(FILE), entry(LINK), b"one")
    assert change.kind == "type"
    assert codes(change) == ["symlink"]


@pytest.mark.requirement("WFL-SCOPE-044")
@pytest.mark.parametrize("make", [added, modified, deleted])
def test_gitlink_needs_its_own_path_as_a_pattern(make: Callable[..., Change]) -> None:
    change = make("vendor/lib", GITLINK)
    assert codes(change, write=("vendor/**",)) == ["gitlink"]
    assert codes(change, write=("vendor",)) == ["gitlink"]
    assert codes(change, write=("vendor/lib",)) == []


@pytest.mark.requirement("WFL-SCOPE-044")
@pytest.mark.parametrize("path", [".gitmodules", ".GitModules", ".git\u200cmodules"])
def test_declaration_of_submodules_needs_its_own_path_even_if_nothing_is_protected(
    path: str,
) -> None:
    nothing = replace(RULES, protected=())
    assert codes(added(path), rules=nothing) == ["gitlink"]
    assert codes(added(path), write=(path,), rules=nothing) == []
    assert codes(added(path), write=(path,)) == []


@pytest.mark.requirement("WFL-SCOPE-045")
def test_path_that_is_not_utf8_is_refused_with_its_bytes() -> None:
    (violation,) = check(added(b"src/\xff\xfe.py"))
    assert (violation.code, violation.path) == ("bad_path", "src/\\xff\\xfe.py")


@pytest.mark.requirement("WFL-SCOPE-045")
def test_path_that_is_not_composed_is_refused_with_the_name_it_ought_to_have() -> None:
    (violation,) = check(added("cafe\u0301"))
    assert (violation.code, violation.path) == ("bad_path", "cafe\\xcc\\x81")
    assert "rename it to caf\u00e9" in violation.reason
    assert codes(added("cafe\u0301"), write=("src",)) == ["bad_path", "out_of_scope"]


@pytest.mark.requirement("WFL-SCOPE-045")
@pytest.mark.parametrize(
    "path",
    [".git/config", "sub/.GIT/hooks/x", "git~1/x", ".git /x", "a//b", "../a", "/a", ".g\u200dit/x"],
)
def test_path_that_some_file_system_takes_for_gits_folder_is_refused(path: str) -> None:
    assert codes(added(path), rules=replace(RULES, protected=())) == ["bad_path"]


@pytest.mark.requirement("WFL-SCOPE-046")
def test_added_path_that_differs_from_another_in_case_only_is_refused() -> None:
    (violation,) = check(added("src/Case.py"), base=("src/case.py",))
    assert (violation.code, violation.path) == ("case_twin", "src/Case.py")
    assert "beside src/case.py" in violation.reason


@pytest.mark.requirement("WFL-SCOPE-046")
@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("SRC/b.py", "src/a.py"),
        ("SRC", "src/a.py"),
        ("src/A.py/x", "src/a.py"),
        ("STRASSE", "stra\u00dfe"),
        ("caf\u00e9", "cafe\u0301"),
        ("a/B/c/D", "A/b/C/d"),
    ],
)
def test_folders_count_and_folding_is_full(new: str, old: str) -> None:
    assert codes(added(new), base=(old,)) == ["case_twin"]


@pytest.mark.requirement("WFL-SCOPE-046")
def test_two_added_paths_may_be_twins_of_each_other() -> None:
    assert codes(added("a/X"), added("a/x"), added("a/y")) == ["case_twin", "case_twin"]
    assert codes(added("New/a"), added("new/b")) == ["case_twin", "case_twin"]


@pytest.mark.requirement("WFL-SCOPE-046")
def test_twin_that_is_deleted_with_the_change_is_none() -> None:
    assert codes(deleted("case.py"), added("Case.py"), base=("case.py",)) == []
    moved = (deleted("src/a"), deleted("src/b"), added("Src/a"), added("Src/b"))
    assert codes(*moved, base=("src/a", "src/b")) == []
    assert codes(*moved, base=("src/a", "src/b", "src/c")) == ["case_twin", "case_twin"]


@pytest.mark.requirement("WFL-SCOPE-046")
def test_twins_that_were_there_before_are_nobodys_fault() -> None:
    before = ("Src/a", "src/a", "src/b")
    assert codes(modified("src/a"), base=before) == []
    assert codes(added("Src/c"), base=before) == []
    assert codes(added("Src/b"), base=before) == ["case_twin"]


@pytest.mark.requirement("WFL-SCOPE-046")
def test_deep_trees_are_compared_without_recursion() -> None:
    deep = "/".join("a" * 3000)
    assert codes(added("A/x"), base=(deep,)) == ["case_twin"]


PROTECTED = [
    ".gitattributes", "src/.gitignore", ".gitlab-ci.yml", ".github/workflows/ci.yml",
    ".GITATTRIBUTES", ".github/Workflows/ci.yml", ".git\u200cattributes",
    ".claude/settings.json", "src/.mcp.json", ".opencode/plugin/x.js", "opencode.jsonc",
]  # fmt: skip


@pytest.mark.requirement("WFL-SCOPE-047")
@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("make", [added, modified, deleted])
def test_protected_path_is_granted_by_its_own_name_and_by_no_wildcard(
    path: str, make: Callable[[str], Change]
) -> None:
    folder = path.rpartition("/")[0]
    wide = ("**", f"{folder}/**", f"{folder}/*") if folder else ("**",)
    assert codes(make(path), write=wide) == ["protected"]
    assert codes(make(path), write=(path,)) == []


@pytest.mark.requirement("WFL-SCOPE-047")
@pytest.mark.parametrize(
    ("pattern", "granted"),
    [
        (".github/workflows/ci.yml", True),
        (".github/workflows", True),
        (".github/workflows/", False),
        (".github", False),
        (".github/**", False),
        (".github/workflows/*.yml", False),
    ],
)
def test_literal_folder_grants_only_inside_the_protected_area(pattern: str, granted: bool) -> None:
    change = modified(".github/workflows/ci.yml")
    assert codes(change, write=(pattern,)) == ([] if granted else ["protected"])


@pytest.mark.requirement("WFL-SCOPE-047")
def test_literal_pattern_grants_nothing_beside_it() -> None:
    write = ("**", ".github/workflows/other.yml")
    assert codes(modified(".github/workflows/ci.yml"), write=write) == ["protected"]


@pytest.mark.requirement("WFL-SCOPE-047")
def test_literal_folder_does_not_grant_control_files_below_it() -> None:
    assert codes(added("src/.gitattributes"), write=("src",)) == ["protected"]


@pytest.mark.requirement("WFL-SCOPE-047")
def test_link_in_the_place_of_a_protected_folder_is_protected() -> None:
    change = link(".github/workflows", "actions")
    assert codes(change, rules=LINKS) == ["protected"]
    assert codes(added(".github/workflows", GITLINK)) == ["protected", "gitlink"]


@pytest.mark.requirement("WFL-SCOPE-047")
@pytest.mark.parametrize(
    "path", [".wfledger/ledger.json", ".WFLedger/x", ".wfledger", ".wfledger./x"]
)
def test_ledger_is_protected_whatever_the_policy_says(path: str) -> None:
    assert codes(added(path)) == ["protected"]
    assert codes(added(path), rules=replace(RULES, protected=())) == ["protected"]


@pytest.mark.requirement("WFL-SCOPE-047")
def test_paths_beside_the_protected_ones_are_free() -> None:
    assert codes(added(".github/README.md"), added("git"), added("docs/.wfledger/a")) == []


@pytest.mark.requirement("WFL-SCOPE-048")
def test_large_blob_is_refused_with_numbers_if_it_is_new() -> None:
    small = replace(RULES, max_blob_bytes=10)
    fits, large = entry(size=10), entry(content="large", size=11)
    assert codes(Change(b"a", None, fits), rules=small) == []
    (violation,) = check(Change(b"a", fits, large), rules=small)
    assert violation.code == "too_large"
    assert "11 bytes; at most 10" in violation.reason
    only_mode = Change(b"a", large, replace(large, mode=SCRIPT))
    assert codes(only_mode, Change(b"b", large, None), rules=small) == []


@pytest.mark.requirement("WFL-SCOPE-048")
def test_too_many_changes_are_refused_with_numbers_and_the_first_are_examined() -> None:
    few = replace(RULES, max_changes=2)
    changes = [added(f"lib/{number}") for number in range(3)]
    assert codes(*changes[:2], rules=few) == []
    found = check(*changes, rules=few, write=("src",))
    assert [violation.code for violation in found] == ["too_many", "out_of_scope", "out_of_scope"]
    assert "3 changes; at most 2" in str(found[0])
    assert found[0].path == ""


@pytest.mark.requirement("WFL-SCOPE-049")
def test_all_violations_come_at_once_by_path() -> None:
    found = check(
        link("src/l", "/etc"),
        added(b"src/\xff"),
        added("src/A"),
        modified("lib/x"),
        added("vendor", GITLINK),
        modified(".gitattributes"),
        write=("src/**",),
        base=("src/a",),
    )
    assert [(violation.path, violation.code) for violation in found] == [
        (".gitattributes", "out_of_scope"),
        (".gitattributes", "protected"),
        ("lib/x", "out_of_scope"),
        ("src/A", "case_twin"),
        ("src/l", "symlink"),
        ("src/\\xff", "bad_path"),
        ("vendor", "out_of_scope"),
        ("vendor", "gitlink"),
    ]
    assert all(violation.reason for violation in found)


@pytest.mark.requirement("WFL-SCOPE-049")
@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("src/core/a.c", "src/core/*.py"),
        ("src/other/a.c", "src/main.py"),
        ("docs/a.txt", "docs/*.md"),
        ("doc", "docs/*.md"),
    ],
)
def test_nearest_pattern_is_named(path: str, nearest: str) -> None:
    (violation,) = check(added(path), write=("src/main.py", "src/core/*.py", "docs/*.md"))
    assert violation.nearest == nearest


def test_rules_of_a_policy_refuse_a_pattern_that_is_none() -> None:
    with pytest.raises(InvalidPatternError):
        Rules.of(Policy(protected=("a**b",)))


def test_changes_are_listed_by_path_with_kind_and_scope() -> None:
    changes = [modified("src/b"), added(b"\xff"), deleted("lib/a"), added("src/a")]
    listed = to_changed(changes, parse_all(["src", "lib/**"]))
    assert [(one.path, one.kind, one.in_scope) for one in listed] == [
        ("lib/a", "deleted", True),
        ("src/a", "added", True),
        ("src/b", "modified", True),
        ("\\xff", "added", False),
    ]


@pytest.mark.requirement("WFL-SCOPE-045")
@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"src/a b.py", "src/a b.py"),
        ("caf\u00e9".encode(), "caf\u00e9"),
        (b"a\nb", "a\\x0ab"),
        (b"a\\x0ab", "a\\x5cx0ab"),
        ("a\u202eb".encode(), "a\\xe2\\x80\\xaeb"),
        (b"\x1b[31m", "\\x1b[31m"),
    ],
)
def test_path_is_shown_so_that_nobody_can_mistake_it(path: bytes, text: str) -> None:
    assert shown(path) == text


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_two_paths_are_never_shown_alike(left: bytes, right: bytes) -> None:
    assert (shown(left) == shown(right)) is (left == right)
    assert shown(left).isprintable()


NAMES = st.text("aA.", min_size=1, max_size=2)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(st.sets(PATHS, max_size=6), st.sampled_from([(), ("a",), ("a/**", "*"), ("**",)]))
def test_change_without_violations_is_covered_and_has_no_twin(
    paths: set[str], write: tuple[str, ...]
) -> None:
    found = check(*(added(path) for path in paths), write=write)
    bad = {violation.path for violation in found}
    fine = paths - bad
    assert all(covered(parse_all(write), path) for path in fine)
    assert len({path.casefold() for path in fine}) == len(fine)
    assert found == check(*(added(path) for path in sorted(paths, reverse=True)), write=write)
