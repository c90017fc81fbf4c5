"""Git servers of one's own, for torture and tests: real ones, on ports that the system chose.

Each connection is accepted here and handed to a program (`git daemon --inetd`, `sshd -i`,
`git http-backend`), so no port is guessed, a server can go away and come back on the same port,
and what it started ends with it.
"""

import base64
import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final, Self

HERE: Final = "127.0.0.1"
#: When, and how often, who is silent is asked whether he is there.
_WATCH: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}


class Listener:
    """Accepts connections on a port of this machine and serves each in a thread of its own.

    *at* is the address; those that have come and are not heard of any more are given up.
    """

    def __init__(self, serve: Callable[[socket.socket], None], *, at: str = HERE) -> None:
        self._serve = serve
        self._at = at
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._socket: socket.socket | None = None
        self.port = 0
        #: How many connections there have been.
        self.connections = 0
        self.up()

    def up(self) -> None:
        """Listen, on the same port as before; nothing happens when it does already."""
        if self._socket is not None:
            return
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((self._at, self.port))
        listening.listen(128)
        self.port = listening.getsockname()[1]
        self._socket = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections and cut those that there are."""
        if self._socket is None:
            return
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._socket = None
        self.sever()

    def sever(self) -> None:
        """Cut all connections that there are."""
        with self._lock:
            cut = list(self._open)
        for connection in cut:
            reset(connection)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # it was closed
                return
            _watch(connection)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):
                self._serve(connection)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


def _watch(connection: socket.socket) -> None:
    """Have *connection* end when nothing is heard from its other side, though it is asked."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _WATCH.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def reset(connection: socket.socket) -> None:
    """End *connection* for both sides at once, whoever else holds it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Server:
    """A server of the repositories below a folder; use as a context."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self.listener = Listener(self.serve)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self.listener.port

    def url(self, path: Path, *, port: int | None = None, host: str = HERE) -> str:
        """Return the address of the repository at *path*; *port*, *host*: of a proxy before it."""
        raise NotImplementedError

    def forbid(self, *, everybody: bool) -> None:
        """Let nobody in, as if he were not allowed to, or all again who were before."""
        raise NotImplementedError

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection until it ends."""
        raise NotImplementedError

    def down(self) -> None:
        """Go away as a machine does that loses its power: connections cut, processes killed."""
        self.listener.down()
        with self._guard:
            running = list(self._running)
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def up(self) -> None:
        """Come back on the same port."""
        self.listener.up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def run(
        self, argv: Sequence[str], env: Mapping[str, str], stdin: int, stdout: int
    ) -> subprocess.Popen[bytes]:
        """Start a program that ends when the server goes; `ended` is to follow."""
        process = subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, env=dict(env), cwd="/",
            start_new_session=True,
        )  # fmt: skip
        with self._guard:
            self._running.add(process)
        return process

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until *process* has ended, and forget it."""
        process.wait()
        with self._guard:
            self._running.discard(process)


class GitDaemon(Server):
    """`git daemon`: git://, without any question who it is. *writable*: pushes are taken."""

    def __init__(self, root: Path, *, writable: bool = True) -> None:
        self._writable = writable
        self._is_closed = False
        super().__init__(root)

    def url(self, path: Path, *, port: int | None = None, host: str = HERE) -> str:
        """Return the address of the repository at *path*."""
        return f"git://{host}:{port or self.port}/{path.relative_to(self.root)}"

    def forbid(self, *, everybody: bool) -> None:
        """Export nothing, or everything again."""
        self._is_closed = everybody

    def serve(self, connection: socket.socket) -> None:
        """Let `git daemon` talk to the one who is connected."""
        enable = ["--enable=receive-pack"] if self._writable else []
        export = [] if self._is_closed else ["--export-all"]
        argv = ["git", "daemon", "--inetd", *export, "--informative-errors", *enable,
                f"--base-path={self.root}", str(self.root)]  # fmt: skip
        self.ended(self.run(argv, server_environment(), connection.fileno(), connection.fileno()))


class HttpBackend(Server):
    """`git http-backend` behind a small web server. *account*: who may come, as (name, password).

    `answer`: a status that every request is answered with instead, e.g. 503; `answer_posts` only
    those that fetch or push.
    """

    def __init__(self, root: Path, *, account: tuple[str, str] | None = None) -> None:
        self.account = account
        self._is_closed = False
        self.answer: int | None = None
        self.answer_posts: int | None = None
        super().__init__(root)

    def url(self, path: Path, *, port: int | None = None, host: str = HERE) -> str:
        """Return the address of the repository at *path*, without a name or password."""
        return f"http://{host}:{port or self.port}/{path.relative_to(self.root)}"

    def forbid(self, *, everybody: bool) -> None:
        """Take no password for the right one, or the right one again."""
        self._is_closed = everybody

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection."""
        _Handler(connection, (HERE, 0), self)

    def allows(self, header: str | None) -> bool:
        """Whether a request with this `Authorization` may come in."""
        if self._is_closed:
            return False
        if self.account is None:
            return True
        wanted = base64.b64encode(":".join(self.account).encode()).decode()
        return header == f"Basic {wanted}"


class _Handler(BaseHTTPRequestHandler):
    """One connection of `HttpBackend`."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def __init__(
        self, connection: socket.socket, address: tuple[str, int], to: HttpBackend
    ) -> None:
        self._to = to
        super().__init__(connection, address, to)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer a request for the list of refs."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Answer a request to fetch or push."""
        self._answer(self._body())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, body: bytes) -> None:
        to = self._to
        status = to.answer or (to.answer_posts if self.command == "POST" else None)
        if status is not None:
            self._plain(status)
        elif not to.allows(self.headers.get("Authorization")):
            self._plain(401, ("WWW-Authenticate", 'Basic realm="git"'))
        else:
            self._backend(body)

    def _plain(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = server_environment() | {
            "GIT_PROJECT_ROOT": str(self._to.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": HERE,
            "REMOTE_USER": "git" if self._to.account is None else self._to.account[0],
        }
        process = self._to.run(["git", "http-backend"], env, subprocess.PIPE, subprocess.PIPE)
        out, _ = process.communicate(body)
        self._to.ended(process)
        head, _, content = out.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if line]
        found = dict(lines)
        self.send_response(int(found.pop("Status", "200").split()[0]))
        if self.command == "POST":  # so that whoever stands between sees where the answer ends
            found["Connection"] = "close"
            self.close_connection = True
        for name, value in (found | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class Sshd(Server):
    """`sshd`, for one key that is made for it; *keys* is an empty folder.

    `command` is what `GIT_SSH_COMMAND` is to be for those who may come.
    """

    def __init__(self, root: Path, keys: Path) -> None:
        program = sshd()
        if program is None:
            raise FileNotFoundError("sshd is not installed")
        self._program, self._keys = program, keys
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)],
                           check=True, stdin=subprocess.DEVNULL)  # fmt: skip
        if os.getuid() == 0:  # where it locks itself up
            Path("/run/sshd").mkdir(exist_ok=True)
        super().__init__(root)
        (keys / "known").write_text(f"{HERE} {(keys / 'host.pub').read_text()}")
        self._configure("user.pub")

    @property
    def command(self) -> str:
        """How ssh is called by whoever has the key and knows the server."""
        return (
            f"ssh -F none -i {self._keys / 'user'} -oUserKnownHostsFile={self._keys / 'known'}"
            f" -oHostKeyAlias={HERE} -oIdentityAgent=none"
        )

    def url(self, path: Path, *, port: int | None = None, host: str = HERE) -> str:
        """Return the address of the repository at *path*."""
        return f"ssh://{getpass.getuser()}@{host}:{port or self.port}{path}"

    def forbid(self, *, everybody: bool) -> None:
        """Know no key any more, or the user's again."""
        self._configure("nobody" if everybody else "user.pub")

    def serve(self, connection: socket.socket) -> None:
        """Let sshd talk to the one who is connected."""
        argv = [self._program, "-i", "-f", str(self._keys / "config")]
        self.ended(self.run(argv, server_environment(), connection.fileno(), connection.fileno()))

    def _configure(self, known: str) -> None:
        (self._keys / "config").write_text(
            f"HostKey {self._keys / 'host'}\nAuthorizedKeysFile {self._keys / known}\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nLogLevel QUIET\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
            "AcceptEnv GIT_PROTOCOL\nPermitUserRC no\n"
            # The user's shell reads what lies there: it may do anything, and be killed at it.
            f'SetEnv "HOME={self._keys}"\n'
        )


def sshd() -> str | None:
    """Return the program, None where it is not installed."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def server_environment() -> dict[str, str]:
    """Return what a server's processes know: nothing of the user's git."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return kept | {
        "HOME": "/", "LC_ALL": "C", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
    }  # fmt: skip
