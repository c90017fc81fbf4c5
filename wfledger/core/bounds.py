"""Every bound of the protocol in one place (spec 20, "Bounds")."""

from typing import Final

#: Bytes of a task file.
TASK_BYTES: Final = 256 * 1024
#: Bytes of a result envelope.
RESULT_BYTES: Final = 1024 * 1024
#: Bytes of a run document.
RUN_BYTES: Final = 16 * 1024 * 1024
#: Bytes of a plan file.
PLAN_BYTES: Final = 8 * 1024 * 1024
#: Tasks of one run.
RUN_TASKS: Final = 10_000
#: Judges of one choice.
JUDGES: Final = 16
#: Dependencies of one task that it names itself.
TASK_EDGES: Final = 64
#: Patterns of one task, bytes and segments of one pattern.
PATTERNS: Final = 64
PATTERN_BYTES: Final = 512
PATTERN_SEGMENTS: Final = 32
#: Attempts of one task.
MAX_ATTEMPTS: Final = 100
#: Slots of one machine.
MAX_SLOTS: Final = 1024
#: Longest duration that a document may name: a year.
MAX_SECONDS: Final = 366 * 86_400.0
#: Bytes of an envelope's summary.
SUMMARY_CHARS: Final = 1200
#: Handoffs of one envelope, and bytes of the payload of one.
HANDOFFS: Final = 16
HANDOFF_BYTES: Final = 32 * 1024
#: Bytes of one trailer value in the history.
TRAILER_BYTES: Final = 200
#: The least number of offers in `pending/`; else four for each slot.
WINDOW_MIN: Final = 64
#: Dollars and tokens that a budget may name.
MAX_USD: Final = 1_000_000.0
MAX_TOKENS: Final = 10**12
#: Answers of a model that a budget may name.
MAX_STEPS: Final = 1_000_000
#: Generations of tasks and runs that workers may start below one another.
MAX_DEPTH: Final = 16
