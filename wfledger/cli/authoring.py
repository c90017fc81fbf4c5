"""The verb that begins: `init`."""

from pathlib import Path
from typing import Final

import click

from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.remote import share
from wfledger.cli.render import say
from wfledger.errors import RemoteError, UsageError, WfledgerError

EXAMPLE: Final = Path("quick.yaml")
#: Seconds for a look at the remote of a clone, which may be away.
_LOOK_S: Final = 5.0
_EXAMPLE_TEXT: Final = """\
# wfledger check quick.yaml; wfledger plan quick.yaml; wfledger run quick.yaml
goal: Try a plan out
tasks:
  - id: hello
    command: mkdir -p notes && echo hello > notes/hello.txt
    write: [notes/hello.txt]
  - id: world
    command: mkdir -p notes && echo world > notes/world.txt
    write: [notes/world.txt]
  - id: both                       # starts when both have landed, and sees their files
    command: cat notes/hello.txt notes/world.txt > notes/both.txt
    write: [notes/both.txt]
    after: [hello, world]
"""


@click.command("init")
@click.option("--example", is_flag=True, help=f"Write {EXAMPLE}, a plan to begin with.")
@click.option("--remote", is_flag=False, flag_value="", metavar="[NAME|URL]",
              help="Share it through a git remote (default: origin), as `remote set` does.")
@click.option("--alone", is_flag=True,
              help="One of its own, though the git remote has one that machines share.")
@json_option
@pass_app
def init(app: App, *, example: bool, remote: str | None, alone: bool, as_json: bool) -> None:
    """Make a ledger in this repository.

    It lives in .wfledger/, on a branch of its own that your branches know nothing of. Where there
    is a ledger already, nothing is changed. With --remote other machines can take part: git clone
    there, and wfledger join. Where the git remote has a ledger already, nothing is made but with
    --alone: take part in that one by wfledger join.
    """
    from wfledger.run.setup import initialise

    plan = app.start / EXAMPLE
    if example and plan.exists():
        raise UsageError(f"{EXAMPLE} exists; it is left as it is")
    if remote is not None:
        _refuse_second(app, remote or None)
    elif not alone:
        _refuse_second_here(app)
    made = initialise(app.start, clock=app.clock)
    if example:
        plan.write_text(_EXAMPLE_TEXT, "utf-8")
    if as_json:
        emit(
            {
                "ledger": made.ledger, "root": str(made.root), "fresh": made.fresh,
                "proposed_for": list(made.hints), "example": str(plan) if example else None,
                "shared": None if remote is None else share(app, remote or None, {}, err=True),
            }
        )  # fmt: skip
        return
    if made.fresh:
        say(f"made a ledger at {made.root}, on the branch wfledger")
        say(f"who runs prompts, and how worktrees are prepared: {made.root / 'fleet.toml'}")
    else:
        say(f"there is a ledger already at {made.root}")
    if made.hints:
        say(f"found {', '.join(made.hints)}: a worktree setup is proposed there, as a comment")
    if remote is not None:
        share(app, remote or None, {}, err=False)
    if example:
        say(f"wrote {EXAMPLE}; next: wfledger run {EXAMPLE}")


def _refuse_second(app: App, remote: str | None) -> None:
    """Raise where a new ledger would be a second one: the remote has one, or cannot be used."""
    from wfledger.run.hub import joining
    from wfledger.vcs.repo import Repository

    repo = Repository.discover(app.start)
    joining.refuse_kind(repo)
    joining.refuse_second(repo, remote, start=app.start)


def _refuse_second_here(app: App) -> None:
    """Raise where the remote of this clone is known to have a ledger that machines share.

    A remote that cannot be looked at keeps nobody from having a ledger of his own.
    """
    from wfledger.run.hub import joining, reaching
    from wfledger.vcs.repo import Repository

    repo = Repository.discover(app.start)
    if not reaching.remotes(repo):
        return
    try:
        joining.refuse_second(repo, None, timeout=_LOOK_S)
    except RemoteError as error:
        if error.facts.get("kind") == "has_ledger":
            hint = f"{error.hint}; or, for one of its own: wfledger init --alone"
            raise RemoteError(error.message, hint=hint, **error.facts) from None
    except WfledgerError:  # offline, no account, an address that is not used
        return
