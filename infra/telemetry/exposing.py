"""Where Prometheus reads a worker's figures: its own counters, and those of Temporal's SDK, on one page."""

import logging
import socket
import threading
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PATIENCE_S = 2.0
SOCKET_S = 5.0
CORE = TelemetryFilter(core_level="WARN", other_level="ERROR")


def set_runtime(*, core_port: int | None, json_logs: bool) -> None:
    """Makes the SDK's core expose its metrics on a port of the loopback, and log by our loggers. Once a process,
    before the first connection.
    """
    metrics = None
    if core_port is not None:
        metrics = PrometheusConfig(
            f"{LOOPBACK}:{core_port}",
            counters_total_suffix=True,
            unit_suffix=True,
            durations_as_seconds=True,
        )
    logging_config = LoggingConfig(
        filter=CORE,
        forwarding=LogForwardingConfig(logging.getLogger("temporalio.core")) if json_logs else None,
    )
    Runtime.set_default(
        Runtime(telemetry=TelemetryConfig(logging=logging_config, metrics=metrics, attach_service_name=False))
    )


def free_port() -> int:
    """A port of the loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


@contextmanager
def exposed(host: str, port: int, registry: CollectorRegistry, core_port: int) -> Generator[None]:
    """Serves `/metrics` within the block. A port that is taken is said, and stops no worker."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)

    class Page(BaseHTTPRequestHandler):
        timeout = SOCKET_S

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            body = generate_latest(registry) + _of_core(core_port)
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a line every few seconds tells nobody anything."""

    try:
        server = ThreadingHTTPServer((host, port), Page)
    except OSError as error:
        log.warning("no metrics are served: port %d of %s cannot be had: %s", port, host, error.strerror)
        yield
        return
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(SOCKET_S)


def _of_core(port: int) -> bytes:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=PATIENCE_S) as reply:
            return reply.read()
    except OSError:
        return b""
