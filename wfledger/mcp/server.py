"""The server itself: the protocol on standard input and output, by the `mcp` package (2.x).

Each call runs in a thread, for `run` blocks; what is cancelled, by the client or at the end, is
told to stop and ends its processes. While it serves, the package keeps standard output for itself
and points what anybody else prints to standard error (WFL-MCP-001).
"""

import asyncio
import json
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from wfledger import __version__
from wfledger.clock import Clock
from wfledger.errors import StaleError, UsageError, WfledgerError
from wfledger.mcp import arguments, documents
from wfledger.mcp.session import Session, Start
from wfledger.mcp.tools import TOOLS, Call, Tool

_INSTRUCTIONS: Final = (
    "A shared ledger of tasks in this repository. Begin with wf_brief. Take tasks with wf_claim, "
    "work only in the worktree that it answers with, hand in with wf_complete."
)
ResultT = TypeVar("ResultT")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve(start: Start, *, clock: Clock) -> int:
    """Serve one client until it hangs up or a signal comes; returns the exit status.

    Nothing that a call has started is left running, and no claim is released (WFL-MCP-013).
    """
    # A worktree that somebody stands in is not cleared away.
    os.chdir(start.folder.anchor)
    session = Session(start, clock=clock)
    session.begin()
    try:
        return asyncio.run(_Service(session).serve())
    finally:
        session.end()


class _Running:
    """A call under way."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.began = False
        self.done = threading.Event()


class _Service:
    """The handlers of one connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._running: set[_Running] = set()

    async def serve(self) -> int:
        """Serve until the client hangs up, or a signal ends the process."""
        server: Server[Any] = Server(
            "wfledger", version=__version__, instructions=_INSTRUCTIONS,
            on_list_tools=_list_tools, on_call_tool=self._call_tool,
            on_list_resources=self._list_resources, on_read_resource=self._read_resource,
            on_list_resource_templates=_list_templates,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._leave, number)
        try:
            async with stdio_server() as (incoming, outgoing):
                await server.run(incoming, outgoing, server.create_initialization_options())
        except* BrokenPipeError:
            self._session.log("the client is gone")
        return 0

    def _leave(self, number: int) -> None:
        """End what runs, then the process; in a thread, for answers still go out by the loop."""
        threading.Thread(target=self._exit, args=(128 + number,), daemon=True).start()

    def _exit(self, status: int) -> None:
        for call in list(self._running):
            call.stop.set()
            if call.began:
                call.done.wait()
        self._session.end()
        # The package's reader sits in a read that only the client ends, and the interpreter would
        # wait for it.
        os._exit(status)

    async def _call_tool(self, _: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        found, is_error = await self._in_thread(
            partial(_called, self._session, params.name, params.arguments)
        )
        text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)],
            structured_content=None if isinstance(found, str) else found, is_error=is_error,
        )  # fmt: skip

    async def _in_thread(self, work: Callable[[threading.Event], ResultT]) -> ResultT:
        """Do *work* in a thread; what is cancelled is told to stop, and ends by itself."""
        call = _Running()
        self._running.add(call)

        def carry_out() -> ResultT:
            call.began = True
            try:
                return work(call.stop)
            finally:
                call.done.set()
                self._running.discard(call)

        try:
            return await asyncio.to_thread(carry_out)
        except asyncio.CancelledError:
            call.stop.set()
            raise

    async def _list_resources(self, *_: Any) -> types.ListResourcesResult:
        listed = await self._in_thread(lambda _: documents.listed(self._session))
        return types.ListResourcesResult(resources=[
            types.Resource(uri=one.uri, name=one.name, mime_type=documents.MIME) for one in listed
        ])  # fmt: skip

    async def _read_resource(
        self, _: Any, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        try:
            text = await self._in_thread(lambda _: documents.read(self._session, params.uri))
        except (WfledgerError, OSError) as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from error
        return types.ReadResourceResult(contents=[
            types.TextResourceContents(uri=params.uri, text=text, mime_type=documents.MIME)
        ])  # fmt: skip


async def _list_tools(*_: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[
        types.Tool(name=name, description=tool.description, input_schema=tool.schema)
        for name, tool in TOOLS.items()
    ])  # fmt: skip


async def _list_templates(*_: Any) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult(resource_templates=[
        types.ResourceTemplate(uri_template=f"wf://{kind}/{{id}}", name=kind,
                               mime_type=documents.MIME)
        for kind in documents.KINDS
    ])  # fmt: skip


def _called(
    session: Session, name: str, given: Mapping[str, Any] | None, stop: threading.Event
) -> tuple[dict[str, Any] | str, bool]:
    """Return what a tool answers, and whether that is a failure; never raises (WFL-MCP-004)."""
    try:
        tool = _tool(name)
        args = arguments.check(name, tool.schema, given)
        found = tool.does(Call(session, session.workspace(), args, stop))
    except (WfledgerError, OSError) as error:
        return _said(name, error), True
    except Exception as error:  # noqa: BLE001 - the boundary
        session.log("".join(traceback.format_exception(error)))
        said = f"unexpected {type(error).__name__}: {error}"
        hint = "this is a defect of wfledger; its standard error has the details"
        return {"code": "defect", "message": said, "hint": hint}, True
    is_refused = isinstance(found, dict) and found.get("ok") is False
    return found, is_refused


def _tool(name: str) -> Tool:
    if name not in TOOLS:
        raise UsageError(f"there is no tool {name}", hint=f"there are {', '.join(TOOLS)}")
    return TOOLS[name]


def _said(name: str, error: WfledgerError | OSError) -> dict[str, Any]:
    if isinstance(error, OSError):
        return {"code": "environment", "message": str(error), "hint": None}
    said = error.as_json()
    said["code"] = said.pop("error")
    if isinstance(error, StaleError) and name != "wf_claim":
        said["message"] = f"your claim is over: {error.message}"
        said["hint"] = "stop working on it; wf_brief says what there is to do"
    return json.loads(json.dumps(said, default=str))  # type: ignore[no-any-return]
