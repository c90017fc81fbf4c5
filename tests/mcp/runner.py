"""An agent's program for tests: works as its prompt says and hands in through its own server."""

import sys
from pathlib import Path

from tests.support.mcpclients import agent, drive
from tests.support.repos import write


async def work(prompt: str) -> None:
    """Write what the prompt says, wrong at first, and mend what is refused."""
    async with agent(Path.cwd()) as one:
        assert "WFLEDGER_RESULT_FILE" in (await one("wf_brief"))["text"]
        write(Path(), {"src/app.py": "A = 1\n\n"})
        refused = await one.refused("wf_complete", summary="too early")
        assert refused["reasons"][0]["code"] == "verification"
        write(Path(), {"src/app.py": f"{prompt}\n"})
        handed = await one("wf_complete", summary="said by wf_complete")
        assert handed["claim"] == "kept"


if __name__ == "__main__":
    drive(lambda: work(sys.argv[1]))
