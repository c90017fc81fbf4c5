"""What a model worker may still use, asked before each request; pure but for the clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wfledger.clock import Clock
from wfledger.core.usage import Budget
from wfledger.run.models.metering import Meter

#: The share of a budget at which the model is told to come to an end, and the last steps.
NEAR: Final = 0.8
LAST_STEPS: Final = 2
#: Steps of one attempt where nobody says how many.
DEFAULT_STEPS: Final = 200
#: Seconds before the deadline at which nothing is begun any more.
_MARGIN_S: Final = 2.0

#: Asked for what others know: why nothing more may be spent, or None.
Caps = Callable[[], str | None]


@dataclass(frozen=True)
class Allowance:
    """The budget of one attempt, and its end by the clock."""

    budget: Budget
    clock: Clock
    began: datetime
    #: When the runtime ends the attempt.
    deadline: datetime | None = None
    #: Tokens that the model takes at once.
    context: int | None = None
    caps: Caps = lambda: None
    #: What one attempt of its role may use, and the role's name, to say what has to be raised.
    of_role: Budget | None = None
    role: str | None = None

    def over(self, meter: Meter) -> str | None:
        """Return why nothing may be asked any more; None where it may."""
        for name, used, limit in self._uses(meter):
            if used >= limit:
                return f"its budget of {limit:g} {name} is used up{self._whose(name, limit)}"
        if self.seconds_left() <= 0:
            return "its time is used up"
        return self.caps()

    def near(self, meter: Meter, prompt_tokens: int) -> str | None:
        """Return what is about to be used up, for the model; None while there is enough."""
        for name, used, limit in self._uses(meter):
            if used >= NEAR * limit or (name == "steps" and used >= limit - LAST_STEPS):
                return f"{used:g} of {limit:g} {name} are used"
        if self.context is not None and prompt_tokens >= NEAR * self.context:
            return f"the conversation fills {prompt_tokens} of {self.context} tokens"
        if self.deadline is not None:
            whole = (self.deadline - self.began).total_seconds()
            if self.seconds_left() <= (1 - NEAR) * whole:
                return f"{max(self.seconds_left(), 0.0):.0f} seconds are left"
        return None

    def seconds_left(self) -> float:
        """Return the seconds in which something may be begun; without a deadline, for ever."""
        if self.deadline is None:
            return float("inf")
        return (self.deadline - self.clock.now()).total_seconds() - _MARGIN_S

    def _whose(self, name: str, limit: float) -> str:
        """Return whose budget it is, where more has to be given by hand."""
        own = getattr(self.of_role, {"dollars": "usd"}.get(name, name), None)
        if own == limit:
            return f": what [role.{self.role}] of fleet.toml gives to an attempt"
        if name == "steps" and self.budget.steps is None:
            return ": what an attempt has where nothing says more; give it a budget of steps"
        return ""

    def _uses(self, meter: Meter) -> list[tuple[str, float, float]]:
        uses: list[tuple[str, float | None, float | None]] = [
            ("steps", meter.steps, self.budget.steps or DEFAULT_STEPS),
            ("tokens", meter.tokens, self.budget.tokens),
            # Where some answer has no price, nobody knows: the other bounds hold.
            ("dollars", meter.usd, self.budget.usd),
        ]
        return [(name, used, most) for name, used, most in uses
                if used is not None and most is not None]  # fmt: skip
