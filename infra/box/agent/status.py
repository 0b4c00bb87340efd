"""The box's own small page: how it does, and the outbox that our side collects from where the box cannot reach us.

What is collected is signed, and good once; what is brought is believed only if we signed it. So the page needs no
key of its own, and whoever else looks at it learns how far the box is.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from infra.box.agent.talk import Carried

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 2.0
MOST_BYTES = 8 << 20


def serve(host: str, port: int, tell: Callable[[], dict[str, Any]], way: Any) -> ThreadingHTTPServer:
    """Serves the page in the background; its port is the server's, where 0 asks for any."""
    carried = way if isinstance(way, Carried) else None

    class Page(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            """`/` tells how the box does, `/outbox` what it wants to say."""
            if self.path == "/outbox" and carried:
                message = carried.outbox(WAIT_S)
                self._reply(200 if message else 204, message)
            elif self.path == "/":
                self._reply(200, tell())
            else:
                self._reply(404, None)

        def do_POST(self) -> None:
            """`/inbox` takes the reply."""
            try:
                size = int(self.headers.get("Content-Length") or 0)
                told: Any = json.loads(self.rfile.read(size)) if 0 < size <= MOST_BYTES else {}
                taken = self.path == "/inbox" and carried is not None and carried.inbox(told)
            except (ValueError, KeyError, TypeError, AttributeError):
                taken = False
            self._reply(200 if taken else 400, {"taken": taken})

        def _reply(self, status: int, told: Any) -> None:
            body = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing: who looks is no news."""

    server = ThreadingHTTPServer((host, port), Page)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True, name="page").start()
    return server
