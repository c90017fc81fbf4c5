"""Wait until the other task is here too: `meet.py ME OTHER`. A barrier, not a sleep."""

import os
import signal
import sys
import tempfile
from pathlib import Path


def main(me: str, other: str) -> None:
    run = os.environ["WFLEDGER_RUN"]
    folder = Path(tempfile.gettempdir()) / f"wfledger-meet-{run}-{'-'.join(sorted((me, other)))}"
    folder.mkdir(exist_ok=True)
    first, second = (folder / "first", folder / "second")
    for pipe in (first, second):
        if not pipe.exists():
            try:
                os.mkfifo(pipe)
            except FileExistsError:
                pass
    signal.alarm(60)  # the other never came
    # Opening a pipe returns when both ends are open: each side waits for the other, twice.
    modes = (os.O_WRONLY, os.O_RDONLY) if me < other else (os.O_RDONLY, os.O_WRONLY)
    ends = [os.open(pipe, mode) for pipe, mode in zip((first, second), modes)]
    print(f"{me} has met {other}")
    for end in ends:
        os.close(end)


if __name__ == "__main__":
    main(*sys.argv[1:])
