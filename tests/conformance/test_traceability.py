import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conformance import generated, pages, traceability

PAGES = pages.pages()


def test_no_number_stands_for_two_requirements() -> None:
    counted = Counter(requirement.id for requirement in pages.defined())
    assert [number for number, count in counted.items() if count > 1] == []


def test_every_number_that_is_mentioned_exists() -> None:
    known = set(pages.requirements())
    unknown = {
        number: where for number, where in traceability.cited().items() if number not in known
    }
    assert unknown == {}
    assert set(traceability.marked()) - known == set()


def test_traceability_says_what_tests_and_vectors_show() -> None:
    text = traceability.FILE.read_text("utf-8")
    assert text == generated.to_json(traceability.current()), (
        "run: python -m tests.conformance --write"
    )


def test_every_binding_requirement_is_shown_or_excluded_with_a_reason() -> None:
    assert traceability.missing() == []


def test_exclusions_give_a_reason() -> None:
    assert traceability.thin_reasons() == []


def test_marks_on_modules_classes_functions_and_parameters_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_x.py").write_text(
        'pytestmark = [pytest.mark.requirement("WFL-A-001")]\n'
        '@pytest.mark.requirement("WFL-A-002")\nclass TestOne:\n'
        '    @pytest.mark.requirement("WFL-A-003")\n    def test_in_class(self): pass\n'
        '@pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.requirement("WFL-A-004"))])\n'
        "def test_alone(a): pass\ndef helper(): pass\n",
        "utf-8",
    )
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    found = traceability.marked()
    assert found["WFL-A-001"] == {
        "tests/test_x.py::TestOne::test_in_class",
        "tests/test_x.py::test_alone",
    }
    assert found["WFL-A-002"] == found["WFL-A-003"] == {"tests/test_x.py::TestOne::test_in_class"}
    assert found["WFL-A-004"] == {"tests/test_x.py::test_alone"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"`[^`\n]+`", "", page.read_text("utf-8"))
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose)
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_requirements_of_a_page_stand_in_order_of_their_sections(page: Path) -> None:
    decades: dict[str, list[int]] = {}
    for r in pages.defined():
        if r.page == page.name and "PROC" not in r.id and "CLI" not in r.id:
            decades.setdefault(r.id[:-4], []).append(int(r.id[-3:]) // 10)
    assert all(b >= a - 1 for of_one in decades.values() for a, b in pairwise(of_one))


@pytest.mark.parametrize(
    "path", sorted((pages.SPEC / "decisions").iterdir()), ids=lambda path: path.stem
)
def test_decision_has_context_options_decision_and_cost(path: Path) -> None:
    headings = re.findall(r"^## (.+)$", path.read_text("utf-8"), re.MULTILINE)
    assert headings == ["Context", "Options", "Decision", "Cost"]
