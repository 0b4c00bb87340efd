"""What every request is counted by, and the span that it may have; outside of everything else that serves it."""

import time
from collections.abc import MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.telemetry.subject import joining
from infra.telemetry.tracing import request_trace

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
UNKNOWN = "(none)"
"""Where nothing is served: addresses that people try are no label."""
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Requests:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.total = Counter(
            "aither_http_requests",
            "Requests, by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "aither_http_response_start_seconds",
            "From a request to the first byte of its response; a waiting one has been waited for.",
            ["route"],
            buckets=BOUNDS_S,
            registry=self.registry,
        )


class Observing:
    """Middleware; a request that is not HTTP's passes by."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN
        traced = request_trace(method, scope["headers"])
        begun, status, began_after = time.perf_counter(), 500, 0.0

        async def seen(message: MutableMapping[str, Any]) -> None:
            nonlocal status, began_after
            if message["type"] == "http.response.start":
                status, began_after = message["status"], time.perf_counter() - begun
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            route = getattr(scope.get("route"), "path", UNKNOWN)
            self._requests.total.labels(method, route, str(status)).inc()
            self._requests.seconds.labels(route).observe(began_after or time.perf_counter() - begun)
            if traced is not None:
                traced.end(route, status)
                joining.set(None)
