"""Fields that a document has and this version does not know: kept as they are, and without effect.

Harmless in what programs write, but in a file that people edit mostly a slip of the pen, which
could turn a check off.
"""

import difflib
from collections.abc import Iterator

from wfledger.core.records import Record


def unknown_fields(record: Record, pointer: str = "") -> Iterator[str]:
    """Yield a sentence for each unknown field of *record* and the records in it."""
    known = {field.alias or name for name, field in type(record).model_fields.items()}
    for name in record.model_extra or {}:
        near = difflib.get_close_matches(name, sorted(known), n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        yield f"{pointer}/{name} is not known here and has no effect{meant}"
    for name in type(record).model_fields:
        value = getattr(record, name)
        if isinstance(value, Record):
            yield from unknown_fields(value, f"{pointer}/{name}")
