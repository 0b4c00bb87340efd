"""A model server with nothing in it, for boxes: `python box_server.py PORT MODEL [CRASH_FLAG]`.

Standard library only, for the Python of a box. It loads (reads) MODEL, answers `/health`, `/metrics` in vLLM's words
with whatever was posted to `/set`, and dies on `/crash`.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

port, model = int(sys.argv[1]), Path(sys.argv[2])
size = len(model.read_bytes())
told = {"running": 0, "waiting": 0, "tokens": 0}
sys.stderr.write(f"serving {size} bytes; aither: {sorted(k for k in os.environ if 'AITHER' in k)}\n")
sys.stderr.flush()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = ""
        if self.path == "/metrics":
            body = (
                "# HELP vllm:num_requests_running x\n"
                f'vllm:num_requests_running{{engine="0",model_name="m"}} {told["running"]}.0\n'
                f'vllm:num_requests_waiting{{engine="0"}} {told["waiting"]}.0\n'
                f"vllm:generation_tokens_total {float(told['tokens'])}\n"
            )
        self.reply(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/crash":
            sys.stderr.write("out of memory\n")
            sys.stderr.flush()
            os._exit(7)
        told.update(json.loads(body))
        self.reply("")

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
