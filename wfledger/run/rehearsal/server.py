"""The scripted model server: real HTTP on the loopback, in threads of the process that asks for it.

`with Rehearsal(script) as server:` listens on a free port until the block ends; then no thread and
no connection of it is left. What was asked is kept in memory alone, with the keys it came with.
"""

import json
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType, TracebackType
from typing import Any, Final, Self

from wfledger.run.rehearsal import chat, messages, responses
from wfledger.run.rehearsal.asking import Asked
from wfledger.run.rehearsal.delivery import Delivery
from wfledger.run.rehearsal.playing import play
from wfledger.run.rehearsal.script import FAILURES, Answer, Failure, Played, Script, Turn
from wfledger.run.rehearsal.strictness import refusal

#: What a path ends with, and the dialect that is spoken there.
_DIALECTS: Final[Mapping[str, ModuleType]] = {
    "/chat/completions": chat, "/responses": responses, "/messages": messages,
}  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """A request as it came."""

    method: str
    path: str
    #: Names in lower case. Never shown: they hold the key.
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any]
    #: What it asks a model; None where it asks for something else.
    asked: Asked | None = None

    @property
    def key(self) -> str:
        """The key it came with, or nothing."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return bearer or self.headers.get("x-api-key", "")


class Rehearsal:
    """A scripted model server, listening from the start of its block to the end."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        #: Everything that came, in order.
        self.requests: list[Recorded] = []
        self._changed = threading.Condition()
        self._places: dict[object, int] = {}
        #: What hangs goes when this is set.
        self.released = threading.Event()
        self._http = _Server(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="rehearsal"
        )

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Let go of whoever hangs, end every connection and thread; raise what went wrong here."""
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()
        if kind is None and self._http.defects:
            raise self._http.defects[0]

    @property
    def url(self) -> str:
        """The server's root, which is the base URL of Anthropic's dialect."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def chat_url(self) -> str:
        """The base URL of chat completions and Responses."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The base URL of Anthropic's messages."""
        return self.url

    @property
    def asked(self) -> list[Recorded]:
        """What models were asked, without questions for lists and counts."""
        return [one for one in list(self.requests) if one.asked is not None]

    def count(self, model: str | None = None) -> int:
        """Return how often a model, or *model*, was asked."""
        return sum(model in {None, one.asked.model} for one in self.asked if one.asked)

    def await_requests(self, count: int, timeout_s: float = 30.0) -> bool:
        """Return when models have been asked *count* times; False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.asked) >= count, timeout_s)

    def take(self, request: Recorded) -> int:
        """Note what came; return its number, from 1."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            return len(self.requests)

    def turn_for(self, request: Recorded, asked: Asked) -> Turn:
        """Return what is to be said to *request*, and go one place on in its lane."""
        script = self.script.models.get(asked.model, self.script)
        if script.key is not None and request.key != script.key:
            return FAILURES["401"]
        if request.path.endswith("/chat/completions"):
            wrong = refusal(request.body, script.rules)
            if wrong is not None:
                minimax = "minimax" in script.rules
                return Failure(2013, wrong, inside="base_resp") if minimax else Failure(400, wrong)
        lane = (id(script), _lane(script, request, asked))
        with self._changed:
            place = self._places.get(lane, 0)
            self._places[lane] = place + 1
        turn = script.turns[place] if place < len(script.turns) else script.after
        found = turn(request.body) if callable(turn) else turn
        return play(asked) if isinstance(found, Played) else found


def _lane(script: Script, request: Recorded, asked: Asked) -> str:
    lanes = {
        "all": "", "key": request.key, "model": asked.model, "conversation": asked.first_prompt,
    }  # fmt: skip
    return lanes[script.lane]


class _Server(ThreadingHTTPServer):
    """Listens; knows its connections, so that all of them can be ended."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.connections: set[socket.socket] = set()
        self.defects: list[BaseException] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what went wrong for the end of the block; that a client left is nothing wrong."""
        del request, client_address
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self.defects.append(error)

    def hang_up(self) -> None:
        """End every connection, whoever waits on it."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the client was faster
                continue


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        """Remember the connection."""
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        self.server.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        """Answer what is no question to a model."""
        self.server.rehearsal.take(self._recorded({}))
        path = self.path.partition("?")[0]
        found = path.endswith("/models")
        body = _models(self.server.rehearsal.script) if found else _UNKNOWN
        self._delivery().json(200 if found else 404, body)

    def do_HEAD(self) -> None:
        """Say that somebody is here."""
        self._delivery().json(200, {})

    def do_POST(self) -> None:
        """Answer as the script says."""
        body = self._body()
        path = self.path.partition("?")[0]
        dialect = next((one for end, one in _DIALECTS.items() if path.endswith(end)), None)
        if dialect is None:
            self.server.rehearsal.take(self._recorded(body))
            status, said = (404, _UNKNOWN)
            if path.endswith("/count_tokens"):
                status, said = 200, {"input_tokens": 10}
            self._delivery().json(status, said)
            return
        asked = dialect.read(body)
        request = self._recorded(body, asked)
        number = self.server.rehearsal.take(request)
        turn = self.server.rehearsal.turn_for(request, asked)
        delivery = self._delivery()
        if isinstance(turn, Answer):
            delivery.answer(turn, asked, dialect, number)
        else:
            delivery.other(turn, dialect)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
        """Say nothing."""
        del format, args

    def _delivery(self) -> Delivery:
        return Delivery(self, self.server.rehearsal.released)

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        try:
            found = json.loads(self.rfile.read(length) or b"{}")
        except ValueError:
            found = {}
        return found if isinstance(found, dict) else {}

    def _recorded(self, body: dict[str, Any], asked: Asked | None = None) -> Recorded:
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = self.path.partition("?")[0]
        return Recorded(self.command, path, headers, body, asked)


_UNKNOWN: Final[Mapping[str, Any]] = {"error": {"message": "no such path"}}


def _models(script: Script) -> dict[str, Any]:
    """Return the list of models, for clients of OpenAI and of Anthropic."""
    listed = [
        {"id": name, "object": "model", "created": 0, "owned_by": "scripted"}
        for name in (*script.models, "scripted")
    ]
    return {"object": "list", "data": listed, "has_more": False}
