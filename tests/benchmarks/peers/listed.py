"""The peers by name: how each is started, how one speaks to it, and what brings it where it is missing."""

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

from tests.benchmarks.crowd import Manners
from tests.benchmarks.served import Missing, Served

HERE = Path(__file__).parent
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    module: str
    """Of a peer in Python; otherwise the script for node, or `nginx`."""
    needs: str = ""
    """The Python module or npm package without which it cannot run."""
    manners: Manners = field(default_factory=Manners)
    payload: int = 0
    """Bytes that it adds to each message, to be taken from the text."""

    @contextmanager
    def started(self) -> Iterator[tuple[Served, int, int]]:
        """Process, port for WebSockets and port for publishing. Raises Missing."""
        if self.module == "nginx":
            with _nchan() as started:
                yield started
            return
        with self._process() as process:
            ready = process.wait_for(r"^ready (\d+) ?(\d+)?")
            yield process, int(ready[1]), int(ready[2] or ready[1])

    def _process(self) -> Served:
        if self.module.endswith(".mjs"):
            node = shutil.which("node")
            if node is None:
                raise Missing("needs node")
            if not (HERE.parent / "node_modules" / self.needs).is_dir():
                raise Missing("needs `npm ci` in tests/benchmarks")
            return Served([node, HERE / self.module])
        if self.needs and importlib.util.find_spec(self.needs) is None:
            raise Missing("needs pip install '.[bench]'")
        return Served([sys.executable, "-m", f"tests.benchmarks.peers.{self.module}"])


_SOCKET_IO = Manners(path="/socket.io/?EIO=4&transport=websocket", steps=[("0{", "40"), ("40{", "")])
_SOCKET_IO_ADDS = len('42["message",""]')

FLOOR = Peer("os.write", "floor")
PEERS = [
    Peer("Starlette, queue and task", "starlette_queue"),
    Peer("Litestar channels", "litestar_channels", "litestar"),
    Peer("python-socketio", "python_socketio", "socketio", _SOCKET_IO, _SOCKET_IO_ADDS),
    Peer("picows", "picows_server", "picows"),
    Peer("Node ws", "ws.mjs", "ws"),
    Peer("socket.io", "socketio.mjs", "socket.io", _SOCKET_IO, _SOCKET_IO_ADDS),
    Peer("Nchan", "nginx"),
]

_NGINX_CONF = """
load_module {module};
daemon off; master_process off; pid {folder}/pid; error_log stderr warn; worker_rlimit_nofile 20000;
events {{ worker_connections 15000; use epoll; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    nchan_shared_memory_size 64M;
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        keepalive_requests 1000000;
        location = /ws {{ nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }}
        location = /publish {{ nchan_publisher http; nchan_channel_id bench; nchan_message_timeout 5s; }}
    }}
}}
"""


@contextmanager
def _nchan() -> Iterator[tuple[Served, int, int]]:
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if nginx is None or not NCHAN.exists():
        raise Missing("needs Debian's libnginx-mod-nchan")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "nginx.conf"
        conf.write_text(_NGINX_CONF.format(module=NCHAN, folder=folder, port=port))
        with Served([nginx, "-c", conf, "-p", folder]) as process:
            yield process, port, port
