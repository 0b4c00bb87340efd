"""A publisher of files over HTTP: parts of files, redirects, tokens, and everything that goes wrong with them."""

import hashlib
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Fault:
    """What happens to requests for a path. `cut_after` bytes the line breaks, `times` times.

    With `wait`, what begins at `hold_from` or later is held back after `hold_after` bytes.
    """

    status: int | None = None
    content_type: str = "application/octet-stream"
    body: bytes | None = None
    cut_after: int | None = None
    times: int = 1_000_000
    redirect: str | None = None
    token: str | None = None
    ranges: bool = True
    wait: threading.Event | None = None
    hold_after: int | None = None
    hold_from: int = 0


@dataclass
class Mirror:
    """Files by their paths, and the requests that came: path, range, authorization."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    faults: dict[str, Fault] = field(default_factory=dict[str, Fault])
    seen: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    sent: dict[str, int] = field(default_factory=dict[str, int])
    sending: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, path: str, content: bytes, fault: Fault | None = None) -> str:
        """Publishes a file; its URL."""
        self.files[path] = content
        self.faults.pop(path, None)
        if fault:
            self.faults[path] = fault
        return f"{self.url}{path}"

    def wait_sent(self, path: str, size: int) -> None:
        """Returns when so many bytes of the file have gone out."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.sent.get(path, 0) >= size, 60), self.sent

    def wait_quiet(self) -> None:
        """Returns when nothing is being sent: nor to those who have gone."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.sending == 0, 60)

    @contextmanager
    def at_it(self) -> Generator[None]:
        with self.changed:
            self.sending += 1
        try:
            yield
        finally:
            with self.changed:
                self.sending -= 1
                self.changed.notify_all()


@contextmanager
def mirror(host: str = "127.0.0.1") -> Generator[Mirror]:
    """A publisher, for as long as the block lasts."""
    kept = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            span, token = self.headers.get("Range", ""), self.headers.get("Authorization", "")
            fault = kept.faults.get(path) or Fault()
            with kept.changed:
                kept.seen.append((path, span, token))
            content = kept.files.get(path)
            broken = fault.times > 0
            if fault.redirect is not None:
                return self.reply(302, {"Location": fault.redirect}, b"")
            if fault.token is not None and token != f"Bearer {fault.token}":
                return self.reply(401, {}, b"who are you?")
            if content is None:
                return self.reply(404, {}, b"nothing here")
            if fault.status is not None and broken:
                fault.times -= 1
                return self.reply(fault.status, {"Content-Type": fault.content_type}, fault.body or b"no")
            with kept.at_it():
                self.send(path, content, span if fault.ranges else "", fault)
            return None

        def send(self, path: str, content: bytes, span: str, fault: Fault) -> None:
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            if self.headers.get("If-Match") not in {None, tag}:
                return self.reply(412, {}, b"")
            first, last, status = 0, len(content) - 1, 200
            if span:
                low, _, high = span.removeprefix("bytes=").partition("-")
                first, last, status = int(low), min(int(high), len(content) - 1), 206
            part = content[first : last + 1]
            self.send_response(status)
            self.send_header("Content-Type", fault.content_type)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(part)))
            if span:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.end_headers()
            if fault.cut_after is not None and len(part) > fault.cut_after and fault.times > 0:
                fault.times -= 1
                part = part[: fault.cut_after]
            held = fault.wait and len(part) > 1 and first >= fault.hold_from
            hold = fault.hold_after if held else None
            self.out(path, part if hold is None else part[:hold])
            if hold is not None and fault.wait:
                fault.wait.wait(60)
                self.out(path, part[hold:])
            self.close_connection = True
            return None

        def out(self, path: str, part: bytes) -> None:
            try:
                self.wfile.write(part)
                self.wfile.flush()
            except OSError:
                return
            with kept.changed:
                kept.sent[path] = kept.sent.get(path, 0) + len(part)
                kept.changed.notify_all()

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
