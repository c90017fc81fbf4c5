"""The desk of an attempt: where the runtime and the worker exchange files, outside of its place."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Desk:
    """The files of one attempt's desk; it goes when the attempt has been cleared away."""

    folder: Path

    @property
    def inputs(self) -> Path:
        """Envelopes of the producers, and missing.json."""
        return self.folder / "inputs"

    @property
    def result(self) -> Path:
        """Where the worker may write its envelope."""
        return self.folder / "result.json"

    @property
    def prompt(self) -> Path:
        """The prompt as a file."""
        return self.folder / "prompt.txt"

    @property
    def task(self) -> Path:
        """The task's document, to read."""
        return self.folder / "task.json"

    @property
    def home(self) -> Path:
        """A home of its own for an agent's program that keeps files there."""
        return self.folder / "home"
