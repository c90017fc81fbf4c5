"""A TCP proxy that goes wrong in the ways that networks do, when told to.

One stands between each machine and the hub. Threads, one for each direction of a connection; all
of them end with `close`.
"""

import socket
import threading
from contextlib import suppress
from typing import Final, Literal, Self

from wfledger.run.chaos.servers import HERE, Listener, reset

Mode = Literal["pass", "cut", "short", "deaf", "mute", "hole", "refuse"]
_CHUNK: Final = 1 << 16
_LOOK_S: Final = 0.2
#: Silence of a server after which it has done what it was asked.
_DONE_S: Final = 1.0
#: What a push begins to send its objects with.
_PACK: Final = b"PACK"


class Proxy:
    """Passes connections to the address *at* on to *port* of this computer, as `mode` says.

    Use it as a context.

    - `pass`: as they are.
    - `cut`: both sides are cut after `after` bytes from the client; `short`: from the server.
    - `deaf`: the client's bytes arrive, and after `after` bytes of the answers the rest is dropped
      and cut off, as when the server did what it was asked and nobody hears of it.
    - `mute`: the same from the moment on when the client has begun to send objects, up to the end
      of what the server does, so that a push has surely been applied (git:// and http).
    - `hole`: nothing goes through and nobody is told.
    - `refuse`: connections are closed at once.
    """

    def __init__(self, port: int, *, at: str = HERE) -> None:
        self._goal = (HERE, port)
        self.mode: Mode = "pass"
        #: Bytes that go through in `cut`, `short` and `deaf`.
        self.after = 0
        #: Seconds that each chunk waits.
        self.delay_s = 0.0
        #: Connections that were cut, swallowed or refused.
        self.spoilt = 0
        self._closed = threading.Event()
        self.listener = Listener(self._serve, at=at)

    @property
    def port(self) -> int:
        """Where clients reach it."""
        return self.listener.port

    def down(self) -> None:
        """Refuse connections and cut those that there are, as if nobody listened."""
        self.listener.down()

    def up(self) -> None:
        """Listen again, on the same port."""
        self.listener.up()

    def sever(self) -> None:
        """Cut what is open."""
        self.listener.sever()

    def close(self) -> None:
        """Let nothing through any more, and end."""
        self._closed.set()
        self.listener.down()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self, client: socket.socket) -> None:
        if self.mode == "refuse":
            self.spoilt += 1
            return
        with socket.create_connection(self._goal, timeout=5.0) as server:
            server.settimeout(None)
            _Passing(self, client, server).run()

    def pass_hole(self) -> None:
        """Return when the network lets something through again, or is closed."""
        while self.mode == "hole" and not self._closed.wait(_LOOK_S):
            pass

    def travel(self) -> None:
        """Take as long as each chunk takes."""
        if self.delay_s:
            self._closed.wait(self.delay_s)


class _Passing:
    """One connection that is passed on."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._is_pushing = threading.Event()

    def run(self) -> None:
        there = threading.Thread(target=self._forth, daemon=True)
        there.start()
        self._back()
        there.join()

    def _forth(self) -> None:
        proxy, passed, tail = self._proxy, 0, b""
        with suppress(OSError):
            while data := self._client.recv(_CHUNK):
                proxy.travel()
                proxy.pass_hole()
                if proxy.mode == "cut" and passed + len(data) > proxy.after:
                    self._server.sendall(data[: max(proxy.after - passed, 0)])
                    self._spoil()
                    return
                tail = tail[-len(_PACK) :] + data
                if _PACK in tail:
                    self._is_pushing.set()
                self._server.sendall(data)
                passed += len(data)
        with suppress(OSError):  # also where a client was killed: the server would wait for ever
            self._server.shutdown(socket.SHUT_WR)

    def _back(self) -> None:
        proxy, passed = self._proxy, 0
        with suppress(OSError):
            while data := self._server.recv(_CHUNK):
                proxy.travel()
                proxy.pass_hole()
                if proxy.mode == "mute" and self._is_pushing.is_set():
                    self._listen(None)
                    return
                if proxy.mode in {"short", "deaf"} and passed + len(data) > proxy.after:
                    self._client.sendall(data[: max(proxy.after - passed, 0)])
                    self._listen(_DONE_S if proxy.mode == "deaf" else 0.0)
                    return
                self._client.sendall(data)
                passed += len(data)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)

    def _listen(self, silence_s: float | None) -> None:
        """Let the server finish and tell nobody, until it ends or is silent for so long."""
        if silence_s != 0.0:
            self._server.settimeout(silence_s)
            with suppress(OSError):
                while self._server.recv(_CHUNK):
                    pass
        self._spoil()

    def _spoil(self) -> None:
        self._proxy.spoilt += 1
        reset(self._client)
        reset(self._server)
