"""A process that answers one question, and is killed by somebody else while it does (`aside`)."""

import os
import signal
from pathlib import Path


def main(question: int, answer: int) -> int:
    """Answer in which life this is; the question is a folder to count in and how many end early."""
    folder, _, deaths = os.read(question, 4096).decode().rpartition(" ")
    life = len(list(Path(folder).iterdir())) + 1
    (Path(folder) / str(life)).touch()
    if life <= int(deaths):
        os.kill(os.getpid(), signal.SIGKILL)
    os.write(answer, str(life).encode())
    return 0
