"""Agents that drive themselves: real clients of `wfledger mcp`, over real pipes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.sealed import ROOT

if TYPE_CHECKING:
    from mcp import Client

ResultT = TypeVar("ResultT")


class Agent:
    """One session."""

    def __init__(self, client: "Client") -> None:
        self.client = client

    async def ask(self, tool: str, **args: Any) -> tuple[dict[str, Any], bool]:
        """Call a tool; return what it answers, and whether that is a failure."""
        found = await self.client.call_tool(tool, args)
        if found.structured_content is None:
            return {"text": getattr(found.content[0], "text", "")}, bool(found.is_error)
        return dict(found.structured_content), bool(found.is_error)

    async def __call__(self, tool: str, **args: Any) -> dict[str, Any]:
        """Call a tool that has to work."""
        found, is_error = await self.ask(tool, **args)
        assert not is_error, found
        return found

    async def refused(self, tool: str, **args: Any) -> dict[str, Any]:
        """Call a tool that has to refuse."""
        found, is_error = await self.ask(tool, **args)
        assert is_error, found
        return found


@asynccontextmanager
async def agent(folder: Path, *, log: Path | None = None, **env: str) -> AsyncIterator[Agent]:
    """Start a server in *folder* and speak with it; it has ended afterwards."""
    # Here, because loading it takes a second of each process that only collects tests.
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))).rstrip(os.pathsep)
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "wfledger", "mcp"], cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **env},
    )  # fmt: skip
    with (log or Path(os.devnull)).open("w") as errors:
        async with Client(stdio_client(server, errlog=errors)) as client:
            yield Agent(client)


def drive(script: Callable[[], Awaitable[ResultT]], *, within_s: float = 60.0) -> ResultT:
    """Run what agents do to its end."""

    async def bounded() -> ResultT:
        async with asyncio.timeout(within_s):
            return await script()

    return asyncio.run(bounded())
