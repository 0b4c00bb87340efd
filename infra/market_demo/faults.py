"""How the stand-in market misbehaves, operation by operation, and how its boxes do."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from enum import StrEnum

from aiohttp import web


class Op(StrEnum):
    """What the market is asked for."""

    SEARCH = "search"
    CREATE = "create"
    LIST = "list"
    GET = "get"
    DESTROY = "destroy"
    CREDIT = "credit"


class Fault(StrEnum):
    """Those that end in AFTER do what was asked first. LATE does it when `Faults.late` is set, long after."""

    SILENT = "silent"
    SILENT_AFTER = "silent_after"
    LATE = "late"
    RESET = "reset"
    RESET_AFTER = "reset_after"
    ERROR = "error"
    ERROR_AFTER = "error_after"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    BUSY_TEXT = "busy_text"
    BUSY_JSON = "busy_json"
    QUOTA = "quota"
    GONE = "gone"
    DECLINED = "declined"
    NO_CREDIT = "no_credit"
    NOT_JSON = "not_json"
    CUT_OFF = "cut_off"
    NOT_AN_OBJECT = "not_an_object"
    WITHOUT_LIST = "without_list"
    ODD_ROW = "odd_row"
    FALSELY_EMPTY = "falsely_empty"
    CIRCLE = "circle"
    REDIRECT = "redirect"


class Boot(StrEnum):
    """What becomes of a box. UNAVAILABLE: its machine has no room after all when it is rented."""

    WELL = "well"
    STUCK = "stuck"
    EXITS = "exits"
    OCI = "oci"
    OFFLINE = "offline"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"


DOES_IT_FIRST = frozenset({Fault.SILENT_AFTER, Fault.RESET_AFTER, Fault.ERROR_AFTER, Fault.CUT_OFF})
ROUND_THE_LIST = frozenset({Fault.WITHOUT_LIST, Fault.ODD_ROW, Fault.FALSELY_EMPTY, Fault.CIRCLE})
"""These are of what is answered, and made there."""


class Faults:
    """What is to go wrong: the next times, or until it is `well` again. `seen` counts requests by operation."""

    def __init__(self) -> None:
        self._next: dict[Op, deque[Fault | None]] = defaultdict(deque)
        self._lasting: dict[Op, Fault] = {}
        self.boots: deque[Boot] = deque()
        self.seen: dict[Op, int] = defaultdict(int)
        self.released = asyncio.Event()
        self.late = asyncio.Event()

    def once(self, op: Op, *faults: Fault | None) -> None:
        """One request each; None lets one through."""
        self._next[op].extend(faults)

    def always(self, op: Op, fault: Fault) -> None:
        """Every request from now on, until it is `well`."""
        self._lasting[op] = fault

    def well(self, op: Op | None = None) -> None:
        """Nothing goes wrong any more with this operation, or with any."""
        for each in Op if op is None else (op,):
            self._lasting.pop(each, None)
            self._next[each].clear()

    def boot(self, *boots: Boot) -> None:
        """What becomes of the next boxes; the others boot well."""
        self.boots.extend(boots)

    def drawn(self, op: Op) -> Fault | None:
        """What goes wrong with this request, which is counted."""
        self.seen[op] += 1
        waiting = self._next[op]
        return waiting.popleft() if waiting else self._lasting.get(op)

    async def around(
        self, op: Op, request: web.Request, answer: Callable[[Fault | None], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """The answer, or what is to happen instead of it."""
        fault = self.drawn(op)
        if fault is None or fault in ROUND_THE_LIST:
            return await answer(fault)
        done = await answer(None) if fault in DOES_IT_FIRST else None
        match fault:
            case Fault.SILENT | Fault.SILENT_AFTER:
                await self.released.wait()
                return web.Response(status=504)
            case Fault.LATE:
                await self.late.wait()
                return await answer(None)
            case Fault.RESET | Fault.RESET_AFTER:
                return _dropped(request)
            case Fault.CUT_OFF:
                body = done.body if isinstance(done, web.Response) else b""
                whole = bytes(body) if isinstance(body, bytes) else b""
                return web.Response(body=whole[: len(whole) // 2], content_type="application/json")
            case _:
                return _said(fault)


def _said(fault: Fault) -> web.Response:
    return _ANSWERS[fault]()


def _refusal(status: int, error: str, message: str) -> web.Response:
    return web.json_response({"success": False, "error": error, "msg": message}, status=status)


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _busy() -> web.Response:
    return web.json_response({"detail": "API requests too frequent: endpoint threshold=2.0"}, status=429)


def _page(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"<html>{text}</html>", content_type="text/html")


_ANSWERS: dict[Fault, Callable[[], web.Response]] = {
    Fault.ERROR: lambda: _page(500, "Internal Server Error"),
    Fault.ERROR_AFTER: lambda: _page(500, "Internal Server Error"),
    Fault.NOT_FOUND: lambda: _refusal(404, "auth_error", "Invalid user key"),
    Fault.FORBIDDEN: lambda: _refusal(403, "forbidden", "this key lacks a permission"),
    Fault.BUSY_TEXT: lambda: web.Response(status=429, text="API requests too frequent"),
    Fault.BUSY_JSON: _busy,
    Fault.QUOTA: lambda: _refusal(429, "search_quota_exceeded", "come back tomorrow"),
    Fault.GONE: lambda: _refusal(
        400, "no_such_ask", "error 404/3603: no_such_ask Instance type is not available"
    ),
    Fault.DECLINED: lambda: _refusal(200, "no_such_ask", "not available"),
    Fault.NO_CREDIT: lambda: _refusal(400, "insufficient_credit", "add credit"),
    Fault.NOT_JSON: lambda: _page(200, "We will be back soon"),
    Fault.NOT_AN_OBJECT: lambda: web.json_response([]),
    Fault.REDIRECT: lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/login"}),
}
