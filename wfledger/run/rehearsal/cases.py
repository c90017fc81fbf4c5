"""The cases of the failure matrix: what a server does, and what an agent's end must be read as."""

from dataclasses import dataclass, field
from typing import Final

from wfledger.run.rehearsal.script import FAILURES, Played, Script, Turn

#: The line that is asked for.
LINE: Final = "written in a rehearsal"


@dataclass(frozen=True)
class Case:
    """One way in which a server behaves, and what an agent's end must then be read as."""

    name: str
    #: What the server does.
    title: str
    #: What the first question is answered with; the prompt is played from then on.
    first: Turn | None = None
    #: What every question is answered with.
    always: Turn = field(default_factory=Played)
    #: Whether a file is asked for.
    writes: bool = True
    #: Whether the agent is asked to end when it waits for the server.
    stops: bool = False
    #: `done`, the class of a failure, or the code of a block.
    expected: str = "done"

    @property
    def script(self) -> Script:
        """What its server says, to whom brings the right key."""
        return Script(() if self.first is None else (self.first,), after=self.always)

    @property
    def path(self) -> str:
        """The file that the prompt asks for."""
        return f"{self.name}/rehearsal.txt"

    @property
    def prompt(self) -> str:
        """What the agent is asked."""
        asked = f"SCRIPTED_WRITE<<{self.path}: {LINE}>>" if self.writes else "Nothing is asked."
        return f"Do what is asked here and nothing else.\n\n{asked}"


CASES: Final = (
    Case("edit", "asks for a file"),
    Case("empty", "asks for nothing", writes=False, expected="no_change"),
    Case("401", "refuses the key", always=FAILURES["401"], expected="auth"),
    Case("402", "says that the balance is used up", always=FAILURES["402"], expected="quota"),
    Case("429", "gets too many requests", always=FAILURES["429-retry-after"],
         expected="transport"),
    Case("500", "fails", always=FAILURES["500"], expected="transport"),
    Case("cut", "cuts every answer off", always=FAILURES["cut"], expected="transport"),
    Case("resume", "cuts one answer off", first=FAILURES["cut"]),
    Case("hang", "hangs; SIGTERM", always=FAILURES["hang"], stops=True, expected="stopped"),
)  # fmt: skip
