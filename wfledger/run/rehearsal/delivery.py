"""How a turn of the script goes over the wire: whole, as a stream, or broken in the midst."""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from types import ModuleType
from typing import Any, Final

from wfledger.run.rehearsal import chat
from wfledger.run.rehearsal.asking import Asked
from wfledger.run.rehearsal.script import FAILURES, Answer, Failure, Hang, Raw, Turn

_IN_STREAM: Final = Failure(500, "The server had an error.", "server_error", "server_error")
_NONE: Final[Mapping[str, str]] = {}


class Delivery:
    """The answer to one request."""

    def __init__(self, to: BaseHTTPRequestHandler, released: threading.Event) -> None:
        self._to = to
        self._released = released

    def json(self, status: int, body: Any, headers: Mapping[str, str] = _NONE) -> None:
        """Send a body of JSON."""
        self._send(status, json.dumps(body).encode(), headers)

    def other(self, turn: Turn, dialect: ModuleType) -> None:
        """Send what is no answer."""
        if isinstance(turn, Hang):
            self._hang()
        elif isinstance(turn, Raw):
            self._send(turn.status, turn.body.encode(), {"Content-Type": turn.content_type})
        elif isinstance(turn, Failure):
            headers = dict(turn.headers)
            if turn.retry_after is not None:
                headers["retry-after"] = f"{turn.retry_after:g}"
            error = dialect.error if turn.inside is None else chat.error
            self.json(turn.status if turn.inside is None else 200, error(turn), headers)

    def answer(self, answer: Answer, asked: Asked, dialect: ModuleType, number: int) -> None:
        """Send an answer, as a stream where that was asked for."""
        if asked.stream:
            self._stream(answer, asked, dialect, number)
            return
        if answer.breaks == "error":
            self.other(FAILURES["500"], dialect)
            return
        body = json.dumps(dialect.whole(answer, asked, number)).encode()
        body = b"\n" * answer.keep_alive + body
        half = body[: len(body) // 2]
        if answer.breaks is None:
            self._send(200, body, answer.headers)
        elif answer.breaks == "end":
            self._send(200, half, answer.headers)
        else:
            self._begin(200, {**answer.headers, "Content-Length": str(len(body))})
            self._write(half)
            self._break_off(hang=answer.breaks == "hang")

    def _stream(self, answer: Answer, asked: Asked, dialect: ModuleType, number: int) -> None:
        streamed = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        self._begin(200, {**streamed, **answer.headers})
        events = [b": keep-alive\n\n"] * answer.keep_alive
        events += dialect.events(answer, asked, number)
        if answer.breaks is not None:
            events = events[: max(1, len(events) // 2)]
        if answer.breaks == "error":
            events.append(dialect.error_event(_IN_STREAM))
        elif answer.breaks is None and dialect is chat:
            events.append(chat.DONE)
        for event in events:
            self._write(b"%x\r\n%s\r\n" % (len(event), event))
        if answer.breaks in {"drop", "hang"}:
            self._break_off(hang=answer.breaks == "hang")
        else:
            self._write(b"0\r\n\r\n")

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] = _NONE) -> None:
        self._begin(status, {**headers, "Content-Length": str(len(body))})
        if self._to.command != "HEAD":
            self._write(body)

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._to.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self._to.send_header(name, value)
        self._to.end_headers()

    def _write(self, data: bytes) -> None:
        self._to.wfile.write(data)
        self._to.wfile.flush()

    def _break_off(self, *, hang: bool) -> None:
        if hang:
            self._hang()
        self._to.close_connection = True

    def _hang(self) -> None:
        """Say nothing until released; then the connection goes."""
        self._released.wait()
        self._to.close_connection = True
