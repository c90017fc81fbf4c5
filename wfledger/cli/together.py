"""What several results came to: candidates and who chose among them, findings that were merged."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from wfledger.cli.render import plural, say, table

if TYPE_CHECKING:
    from wfledger.core.control import Synthesis
    from wfledger.core.documents import Result

#: Findings that are shown; the envelope has all of them.
_SHOWN: Final = 20


def say_together(result: "Result") -> None:
    """Print what a choice has chosen among, and what a reduction has put together, if it is one."""
    choice = result.outputs.get("choice")
    if isinstance(choice, dict) and isinstance(choice.get("candidates"), list):
        _say_choice(choice)
    if result.synthesis is not None:
        _say_synthesis(result.synthesis)


def _say_choice(choice: Mapping[str, Any]) -> None:
    say("candidates:")
    rows = []
    for one in choice["candidates"]:
        mark = "chosen" if one.get("task") == choice.get("winner") else str(one.get("status", ""))
        score = f"score {one['score']}" if "score" in one else ""
        rows.append((str(one.get("task")), mark, score, str(one.get("command", ""))))
    for line in table(rows, indent="  "):
        say(line)
    judges = choice.get("judges")
    silent = judges.get("abstained", {}) if isinstance(judges, dict) else {}
    for name, why in silent.items():
        say(f"  {name} abstains: {why}")


def _say_synthesis(made: "Synthesis") -> None:
    say(f"put together of {plural(len(made.contributors), 'result')}, with "
        f"{plural(len(made.findings) + made.left_out, 'finding')}")  # fmt: skip
    for name in made.missing:
        say(f"  missing: {name}")
    for number, one in enumerate(made.findings[:_SHOWN]):
        text = next((str(one[name]) for name in ("title", "text", "message", "summary")
                     if name in one), "")  # fmt: skip
        place = ":".join(str(one[name]) for name in ("path", "line") if name in one)
        against = [f"#{each['finding']}" for each in one.get("contradicts", ())]
        clash = f"  contradicts {', '.join(against)}" if against else ""
        said = " ".join(part for part in (str(one.get("severity", "")), place, text) if part)
        say(f"  #{number} {said}  [{', '.join(one.get('sources', ()))}]{clash}")
    more = len(made.findings) + made.left_out - _SHOWN
    if more > 0:
        say(f"  and {more} more")
