"""A stand-in for Vast.ai's marketplace: its REST API over HTTP, with boxes that are real local processes.

What is under `/_standin/` is its own, for whoever plays with one that runs by itself: its ledger, its faults, and
the fate of its boxes.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from infra.market_demo.boxes import Box, Boxes, Launch, as_ordered
from infra.market_demo.faults import Boot, Fault, Faults, Op
from infra.market_demo.ledger import Clock, Ledger
from infra.market_demo.place import Place

ANYWHERE = "0.0.0.0"  # noqa: S104 (a word of the API; nothing listens there)
CONTROLS = frozenset({"type", "order", "limit", "allocated_storage"})


class StandInVast(Place):
    """One account at one market. Its prices are the offers'; `faults`, `boxes` and `ledger` are the test's.

    An offer is on the book until it is rented, and again once its box is destroyed.
    """

    def __init__(
        self,
        folder: Path,
        offers: Iterable[Mapping[str, Any]] = (),
        *,
        key: str = "vast-key",
        launch: Launch = as_ordered,
        clock: Clock = time.time,
        port: int = 0,
        credit: float = 100.0,
    ) -> None:
        super().__init__(port)
        self.key = key
        self.offers: dict[int, dict[str, Any]] = {int(each["id"]): dict(each) for each in offers}
        self.faults = Faults()
        self.ledger = Ledger(clock)
        self.boxes = Boxes(folder, self.ledger, clock, launch)
        self.credit = credit
        self.page = 25
        self.orders: list[dict[str, Any]] = []
        """Every order that was taken, as it was sent."""
        self.ordered = asyncio.Event()

    async def __aexit__(self, *details: object) -> None:
        self.faults.released.set()
        await self.refuse()
        await self.boxes.close()

    def labelled(self, prefix: str) -> list[Box]:
        """The boxes there whose labels begin so."""
        return [box for box in self.boxes.there.values() if box.label.startswith(prefix)]

    def routes(self) -> list[web.RouteDef]:
        """The API, and what is the stand-in's own."""
        return [
            web.post("/api/v0/bundles/", self._faulty(Op.SEARCH, self._search)),
            web.put("/api/v0/asks/{id}/", self._faulty(Op.CREATE, self._create)),
            web.get("/api/v1/instances/", self._faulty(Op.LIST, self._list)),
            web.get("/api/v0/instances/", _retired),
            web.get("/api/v0/instances/{id}/", self._faulty(Op.GET, self._get)),
            web.delete("/api/v0/instances/{id}/", self._faulty(Op.DESTROY, self._destroy)),
            web.get("/api/v0/users/current/", self._faulty(Op.CREDIT, self._credit)),
            web.get("/_standin/ledger", self._show_ledger),
            web.post("/_standin/fault", self._set_fault),
            web.post("/_standin/box/{id}/{fate}", self._fate),
        ]

    def _faulty(self, op: Op, answer: Any) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            if not self._known(request):
                return _refusal(404, "auth_error", "Invalid user key")

            async def answered(fault: Fault | None) -> web.StreamResponse:
                return await answer(request, fault)

            return await self.faults.around(op, request, answered)

        return handle

    def _known(self, request: web.Request) -> bool:
        """By the account's key, or by the key of the box that is asked about."""
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        own = self.boxes.there.get(int(request.match_info.get("id", "0")))
        return sent == self.key or (own is not None and sent == own.key)

    async def _search(self, request: web.Request, _: Fault | None) -> web.Response:
        query = await request.json()
        storage = float(query.get("allocated_storage", 5.0))
        rows = [self._offered(offer, storage) for offer in self.offers.values() if not offer["rented"]]
        found = [row for row in rows if _fits(row, query)]
        for name, direction in reversed(query.get("order", [["dph_total", "asc"]])):
            found.sort(key=lambda row: row[name], reverse=direction == "desc")
        return web.json_response({"offers": found[: int(query.get("limit", 64))]})

    @staticmethod
    def _offered(offer: Mapping[str, Any], storage: float) -> dict[str, Any]:
        kept = float(offer["storage_cost"]) * storage / 730
        return {**offer, "storage_total_cost": kept, "dph_total": float(offer["dph_base"]) + kept}

    async def _create(self, request: web.Request, _: Fault | None) -> web.Response:
        identifier, order = int(request.match_info["id"]), await request.json()
        if order.get("client_id") != "me" or not order.get("image") or not order.get("disk"):
            return _refusal(400, "invalid_args", "client_id, image and disk are wanted")
        if self.credit <= 0:
            return _refusal(400, "insufficient_credit", "add credit")
        offer = self.offers.get(identifier)
        if offer is None or offer["rented"]:
            return _refusal(400, "no_such_ask", f"error 404/3603: no_such_ask {identifier} is not available")
        boot = self.faults.boots.popleft() if self.faults.boots else Boot.WELL
        if boot is Boot.UNAVAILABLE:
            if order.get("cancel_unavail"):
                return _refusal(200, "no_such_ask", "the machine has no room: cancelled")
            boot = Boot.STUCK
        self.orders.append({**order, "offer": identifier})
        offer["rented"] = True
        box = self.boxes.rent(offer, order, boot)
        self.ordered.set()
        return web.json_response({"success": True, "new_contract": box.id})

    async def _list(self, request: web.Request, fault: Fault | None) -> web.Response:
        if fault is Fault.WITHOUT_LIST:
            return web.json_response({"success": True})
        limit = int(request.query.get("limit", "25"))
        if not 1 <= limit <= 25:
            return _refusal(400, "invalid_args", "limit is 1 to 25")
        total = len(self.boxes.there)
        if fault is Fault.FALSELY_EMPTY:
            answer: dict[str, Any] = {"success": True, "instances": [], "next_token": None}
            return web.json_response({**answer, "total_instances": max(1, total)})
        after = int(request.query.get("after_token", "0").removeprefix("t"))
        ids = [each for each in sorted(self.boxes.there) if each > after]
        shown = ids[: min(limit, self.page)]
        rows = [self._row(self.boxes.there[each]) for each in shown]
        if fault is Fault.ODD_ROW:
            rows.append({"id": None, "label": 7, "actual_status": []})
        more = len(ids) > len(shown)
        token = f"t{shown[-1]}" if more else ("t0" if fault is Fault.CIRCLE else None)
        answer = {"success": True, "instances": rows, "next_token": token, "total_instances": total}
        return web.json_response(answer)

    async def _get(self, request: web.Request, fault: Fault | None) -> web.Response:
        box = self.boxes.there.get(int(request.match_info["id"]))
        if fault is Fault.WITHOUT_LIST:
            return web.json_response({})
        if fault is Fault.ODD_ROW:
            return web.json_response({"instances": []})
        return web.json_response({"instances": None if box is None else self._row(box)})

    async def _destroy(self, request: web.Request, _: Fault | None) -> web.Response:
        box = self.boxes.there.get(int(request.match_info["id"]))
        if box is None:
            return _refusal(404, "no_such_instance", "there is no such instance")
        await self.boxes.destroy(box)
        box.offer["rented"] = False
        return web.json_response({"success": True})

    async def _credit(self, _: web.Request, fault: Fault | None) -> web.Response:
        left = self.credit - self.ledger.usd()
        return web.json_response({"id": 1, "email": "someone"} | ({} if fault else {"credit": left}))

    def _row(self, box: Box) -> dict[str, Any]:
        running = box.state == "running"
        ports = {f"{own}/tcp": [{"HostIp": ANYWHERE, "HostPort": str(at)}] for own, at in box.ports.items()}
        return {
            "id": box.id,
            "actual_status": box.state,
            "intended_status": "running",
            "cur_state": "running",
            "label": box.label or None,
            "image_uuid": box.image,
            "status_msg": box.message or None,
            "machine_id": box.offer["machine_id"],
            "host_id": box.offer["host_id"],
            "gpu_name": box.offer["gpu_name"],
            "num_gpus": box.offer["num_gpus"],
            "dph_base": box.base_usd,
            "storage_total_cost": box.storage_usd,
            "dph_total": box.base_usd + box.storage_usd,
            "public_ipaddr": "127.0.0.1" if running else None,
            "ports": ports if running else [],
            "start_date": box.created,
            "extra_env": [[key, value] for key, value in box.env.items()],
            "onstart": box.onstart,
        }

    async def _show_ledger(self, _: web.Request) -> web.Response:
        return web.json_response({"entries": self.ledger.as_json(), "usd": self.ledger.usd()})

    async def _set_fault(self, request: web.Request) -> web.Response:
        """`{"op": …, "fault": … | null, "always": bool}`, or `{"boot": …}` for the next box."""
        asked = await request.json()
        if "boot" in asked:
            self.faults.boot(Boot(asked["boot"]))
        elif asked.get("fault") is None:
            self.faults.well(Op(asked["op"]) if "op" in asked else None)
        else:
            (self.faults.always if asked.get("always") else self.faults.once)(
                Op(asked["op"]), Fault(asked["fault"])
            )
        return web.Response(status=204)

    async def _fate(self, request: web.Request) -> web.Response:
        """`die`, or the price an hour that its GPU costs from now on."""
        box, fate = self.boxes.there[int(request.match_info["id"])], request.match_info["fate"]
        if fate == "die":
            await self.boxes.die(box)
        else:
            self.boxes.raise_price(box, float(fate))
        return web.Response(status=204)


def _fits(row: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    return all(
        _holds(row.get(name), operator, wanted)
        for name, tests in query.items()
        if name not in CONTROLS
        for operator, wanted in tests.items()
    )


def _holds(value: Any, operator: str, wanted: Any) -> bool:
    if operator in {"in", "notin"}:
        return (value in wanted) is (operator == "in")
    if value is None:
        return False
    return {
        "eq": lambda: value == wanted,
        "neq": lambda: value != wanted,
        "gt": lambda: value > wanted,
        "gte": lambda: value >= wanted,
        "lt": lambda: value < wanted,
        "lte": lambda: value <= wanted,
    }[operator]()


def _refusal(status: int, error: str, message: str) -> web.Response:
    return web.json_response({"success": False, "error": error, "msg": message}, status=status)


async def _retired(_: web.Request) -> web.Response:
    return _refusal(410, "gone", "use /api/v1/instances/")
