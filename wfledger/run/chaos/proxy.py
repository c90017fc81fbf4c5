"""A TCP proxy that goes wrong in the ways that networks do, when told to.

One stands between each machine and the hub. Threads, one for each direction of a connection; all
of them end with `close`.
"""

import socket
import threading
from contextlib import suppress
from typing import Final, Literal

Mode = Literal["pass", "cut", "deaf", "hole", "refuse"]
_CHUNK: Final = 1 << 16
_LOOK_S: Final = 0.2
#: Silence of a server after which it has done what it was asked.
_DONE_S: Final = 1.0


class Proxy:
    """Passes connections on to *port* of this computer, as `mode` says.

    `pass`: as they are. `cut`: both sides are cut after `after` bytes from the client. `deaf`: the
    client's bytes arrive, and after `after` bytes of the answers the rest is dropped and cut off,
    as when the server did what it was asked and nobody hears of it. `hole`: nothing goes through
    and nobody is told. `refuse`: connections are closed at once.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1") -> None:
        self._goal = (host, port)
        self.mode: Mode = "pass"
        #: Bytes that go through in `cut` and `deaf`.
        self.after = 0
        #: Seconds that each chunk waits.
        self.delay_s = 0.0
        #: Connections that were cut, swallowed or refused.
        self.spoilt = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._listener = socket.create_server((host, 0))
        self._listener.settimeout(_LOOK_S)
        #: Where clients reach it.
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True, name=f"proxy-{self.port}").start()

    def sever(self) -> None:
        """Cut what is open."""
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let nothing through any more, and end."""
        self._closed.set()
        self._listener.close()
        self.sever()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.mode == "refuse":
            self.spoilt += 1
            client.close()
            return
        try:
            server = socket.create_connection(self._goal, timeout=5.0)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        there = threading.Thread(target=self._pump, args=(client, server, True), daemon=True)
        there.start()
        self._pump(server, client, False)
        there.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _pump(self, source: socket.socket, goal: socket.socket, is_asking: bool) -> None:  # noqa: FBT001
        passed = 0
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if self.delay_s:
                    self._closed.wait(self.delay_s)
                while self.mode == "hole" and not self._closed.wait(_LOOK_S):
                    pass
                limited = self.mode == "cut" or (self.mode == "deaf" and not is_asking)
                if limited and passed + len(data) > self.after:
                    self._spoil(source, goal, data[: max(self.after - passed, 0)])
                    return
                goal.sendall(data)
                passed += len(data)
            goal.shutdown(socket.SHUT_WR)

    def _spoil(self, source: socket.socket, goal: socket.socket, rest: bytes) -> None:
        self.spoilt += 1
        deaf = self.mode == "deaf"
        if rest:
            goal.sendall(rest)
        if deaf:  # the server is listened to until it is done, and nobody is told what it said
            source.settimeout(_DONE_S)
            with suppress(OSError):
                while source.recv(_CHUNK):
                    pass
        for one in (source, goal):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
