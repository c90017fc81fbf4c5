"""The verb that draws: `graph`."""

from collections.abc import Sequence
from pathlib import Path

import click

from wfledger.cli import graphtext
from wfledger.cli.common import App, emit, json_option, pass_app
from wfledger.cli.planfiles import checked_source, plan_of, read_source
from wfledger.errors import NotFoundError, UsageError
from wfledger.plans import outline
from wfledger.plans.outline import Part


@click.command("graph")
@click.argument("what", metavar="FILE|RUN")
@click.option("--format", "form", type=click.Choice(["tree", "mermaid", "dot", "json"]),
              default="tree", show_default=True, help="What to draw it as.")  # fmt: skip
@click.option("--lenient", is_flag=True, help="Warn of unknown fields instead of refusing them.")
@json_option
@pass_app
def graph(app: App, *, what: str, form: str, lenient: bool, as_json: bool) -> None:
    """Draw a plan, or a run and where each of its tasks stands.

    What stands in a branch, a sequence, a loop, a condition or an expand is drawn inside of it; of
    a plan, what is started as often as a loop or an expand decides is drawn once. An arrow says who
    waits for whom.

    mermaid goes into Markdown, dot into graphviz: wfledger graph PLAN --format dot | dot -Tsvg
    """
    parts = _parts(app, what, lenient=lenient)
    if as_json or form == "json":
        emit(graphtext.as_json(parts))
        return
    for line in graphtext.TEXTS[form](parts):
        click.echo(line)





def _parts(app: App, what: str, *, lenient: bool) -> Sequence[Part]:
    path = Path(what)
    if what == "-" or (app.start / path).is_file():
        source = read_source(path, start=app.start)
        checked = checked_source(source, app.clock, lenient=lenient)
        return outline.of_plan(plan_of(checked, source.name))
    from wfledger.run.looks.naming import find_run
    from wfledger.run.looks.outlining import of_run

    try:
        run = find_run(app.workspace, what)
    except NotFoundError:
        raise UsageError(
            f"there is neither a file nor a run {what}", hint="wfledger status"
        ) from None
    return of_run(app.workspace, run)
