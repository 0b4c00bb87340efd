"""A model server with nothing in it: `python -m tests.support.tiny_server PORT [--manner M] [--flag FILE]`.

Standard library only, so that it starts at once. Manners: `well`; `loads` (503 until FILE is there); `crashes`
(with a last word); `stubborn` (SIGTERM is not for it); `helped` (has a helper in its session, whose pid it
writes to FILE); `idle` (never listens).
"""

import argparse
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def serve(port: int, ready: Path | None) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if ready is None or ready.exists() else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--manner", default="well")
    parser.add_argument("--flag", type=Path)
    asked = parser.parse_args()
    if asked.manner == "crashes":
        sys.exit("no such model: here is why")
    if asked.manner == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if asked.manner == "helped":
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        asked.flag.write_text(str(helper.pid))
        asked.flag = None
    if asked.manner == "idle":
        time.sleep(600)
    serve(asked.port, asked.flag)


if __name__ == "__main__":
    main()
