"""A claimer of the torture: takes tasks by the command line alone, as somebody's script would.

Run as `python -m wfledger.run.chaos.claimer NOTES NAME` in the scratch repository. It
writes each acknowledgement that it gets to `NOTES/acknowledged`: who was told what, once told.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from wfledger.clock import SystemClock

_BEAT_S: Final = 2.0
_IDLE_S: Final = 0.7
#: Looks in vain, once faults have stopped, after which the claimer goes.
_PATIENCE: Final = 6
_CLOCK: Final = SystemClock()


class _Claimer:
    def __init__(self, notes: Path, name: str) -> None:
        self._notes = notes
        self._name = name

    def work(self) -> None:
        """Take and do tasks until there are no more for a while after the faults."""
        idle = 0
        while idle < _PATIENCE:
            status, said = self._verb("claim", "--worker", self._name, "--worktree")
            if status == 0:
                idle = 0
                self._do(said)
            else:
                idle += self._is_calm
                _CLOCK.wait(_IDLE_S)

    @property
    def _is_calm(self) -> bool:
        return (self._notes / "calm").exists()

    def _verb(self, *args: str) -> tuple[int, dict[str, Any]]:
        argv = [sys.executable, "-m", "wfledger", *args, "--json"]
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        try:
            said = json.loads(done.stdout)
        except ValueError:
            said = {}
        if done.returncode not in {0, 3} or not said:
            _say(f"{args[:2]} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.returncode if said else 70, said

    def _do(self, claimed: dict[str, Any]) -> None:
        task, attempt = claimed["task"]["id"], claimed["attempt"]
        self._note("claimed", task, attempt)
        command = claimed["task"]["spec"]["command"]
        own = {"WFLEDGER_TASK": task, "WFLEDGER_ATTEMPT": str(attempt)}
        environment = {**os.environ, **own, "WFLEDGER_TORTURE_CLAIMER": self._name}
        try:
            with subprocess.Popen(command, cwd=claimed["worktree"], env=environment) as worker:
                status = self._watch(worker, task, claimed["token"])
        except OSError as error:
            _say(f"{task} {attempt}: {error}")
            status = 127  # its worktree is gone: somebody took over
        kind = ["complete", "--queue"] if attempt % 2 else ["complete"]
        if status != 0:
            kind = ["fail", "--kind", "transport", "--reason", f"exit status {status}"]
        ended, said = self._verb(kind[0], task, "--token", claimed["token"], *kind[1:])
        if ended == 0:
            self._note(f"{kind[0]}:{said['status']}", task, attempt)

    def _watch(self, worker: "subprocess.Popen[bytes]", task: str, token: str) -> int:
        while True:
            try:
                return worker.wait(_BEAT_S)
            except subprocess.TimeoutExpired:
                status, _ = self._verb("heartbeat", task, "--token", token)
            if status == 4:  # taken over: stop working
                worker.kill()
                return worker.wait()

    def _note(self, what: str, task: str, attempt: int) -> None:
        line = f"{what} {task} {attempt} {self._name}\n".encode()
        with (self._notes / "acknowledged").open("ab", buffering=0) as file:
            file.write(line)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    _Claimer(Path(sys.argv[1]), sys.argv[2]).work()
