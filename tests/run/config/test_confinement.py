"""fleet.toml says how workers are kept apart, and what cannot hold together is refused."""

import pytest

from wfledger.core.documents import TaskSpec
from wfledger.errors import InvalidDocumentError
from wfledger.run.config.confinement import HIDDEN, Confinement
from wfledger.run.config.fleetfile import load
from wfledger.run.config.roles import Fleet

ROLE = '[role.a]\nargv = ["a", "{prompt}"]\n'
PROMPT = TaskSpec(prompt="do it")
COMMAND = TaskSpec(command="true")


def read(defaults: str = "", role: str = "") -> Fleet:
    return load(f"[defaults]\n{defaults}\n{ROLE}{role}")


def test_without_a_word_nothing_is_kept_apart() -> None:
    assert read().confinement_for(PROMPT) == Confinement()
    assert read().confinement_for(COMMAND) == Confinement("none", True, "worktree", (), HIDDEN)


def test_role_says_what_differs_from_the_defaults() -> None:
    fleet = read(
        'sandbox = "bwrap"\nnetwork = false\nwritable = ["~/a"]\nhidden = ["/x"]',
        'network = true\nwritable = ["/b"]',
    )
    assert fleet.confinement_for(COMMAND) == Confinement("bwrap", False, "clone", ("~/a",), ("/x",))
    expected = Confinement("bwrap", True, "clone", ("~/a", "/b"), ("/x",))
    assert fleet.confinement_for(PROMPT) == expected
    assert fleet.confinement_for(PROMPT.but(role="nobody")) == fleet.confinement


@pytest.mark.requirement("WFL-NODE-038")
def test_task_without_network_has_none_where_a_sandbox_can_keep_it_away() -> None:
    boxed = read('sandbox = "bwrap"')
    for spec in (COMMAND, PROMPT.but(role="a")):
        assert boxed.confinement_for(spec).network
        assert not boxed.confinement_for(spec.but(network=False)).network
        assert read().confinement_for(spec.but(network=False)) == Confinement()


def test_role_may_leave_the_sandbox_of_the_defaults() -> None:
    fleet = read('sandbox = "bwrap"\nnetwork = false', 'sandbox = "none"')
    assert fleet.confinement_for(PROMPT) == Confinement(isolation="clone")
    fleet = read('sandbox = "bwrap"', 'sandbox = "none"\nisolation = "worktree"')
    assert fleet.confinement_for(PROMPT) == Confinement()


def test_task_may_ask_for_a_clone_and_for_nothing_less() -> None:
    assert read().confinement_for(COMMAND.but(isolation="clone")) == Confinement(isolation="clone")
    assert read('isolation = "clone"').confinement_for(COMMAND).isolation == "clone"


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ('sandbox = "docker"', "none of none, bwrap"),
        ('isolation = "none"', "none of worktree, clone"),
        ('sandbox = "bwrap"\nisolation = "worktree"', "must be"),
        ("network = false", "no effect"),
        ('sandbox = "bwrap"\nnetwork = "off"', "true or false"),
        ('writable = ["~/a"]', "no effect"),
        ('sandbox = "bwrap"\nwritable = ["a"]', "must begin"),
        ('sandbox = "bwrap"\nhidden = ["~/../a"]', "must begin"),
    ],
)
def test_what_cannot_hold_is_refused(said: str, wrong: str) -> None:
    with pytest.raises(InvalidDocumentError, match=wrong):
        read(said)
    with pytest.raises(InvalidDocumentError, match=wrong):
        read(role=said)
