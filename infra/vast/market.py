"""Vast.ai as an `activities.market_ports.Marketplace`, over its REST API (docs.vast.ai/api-reference).

Its own client repeats a create that timed out, which may rent twice; this one repeats nothing. Whether a label
is ours is judged here, not by the market's filter: that knows equality only.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
from pydantic import SecretStr

from activities.contracts.leases import BoxOrder, BoxSpec, Instance, Offer, OfferOrder
from activities.errors import MarketRefused, MarketUnknown, OfferGone
from infra.vast import reading
from infra.vast.exchange import Exchange, NoInstance

BASE_URL = "https://console.vast.ai"
PATIENCE = timedelta(seconds=30)
PAGE = 25
"""The most that a page may have."""
MOST_PAGES = 400

_ORDERS = {
    OfferOrder.FASTEST: [["inet_down", "desc"]],
    OfferOrder.CHEAPEST: [["dph_total", "asc"]],
}


class VastMarket:
    """One account at Vast.ai."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def search(self, spec: BoxSpec) -> Sequence[Offer]:
        """Verified offers on demand that nobody has rented."""
        body: dict[str, Any] = {
            "verified": {"eq": True},
            "external": {"eq": False},
            "rentable": {"eq": True},
            "rented": {"eq": False},
            "num_gpus": {"eq": spec.gpus},
            # The market counts a GPU's VRAM by itself.
            "gpu_ram": {"gte": spec.vram_mib // max(1, spec.gpus)},
            "disk_space": {"gte": spec.disk_gb},
            "type": "on-demand",
            "order": _ORDERS[spec.order],
            "limit": spec.limit,
            "allocated_storage": spec.disk_gb,
        }
        if spec.gpu_names:
            body["gpu_name"] = {"in": list(spec.gpu_names)}
        try:
            return reading.offers(
                await self._exchange.ask("POST", "/api/v0/bundles/", what="search", body=body)
            )
        except (OfferGone, NoInstance) as error:
            raise MarketUnknown(error.message) from error

    async def create(self, offer: str, order: BoxOrder) -> str:
        """Rents the offer, or has the market drop the order where the box cannot start now."""
        try:
            path = f"/api/v0/asks/{_number(offer)}/"
            said = await self._exchange.ask("PUT", path, what="create", body=_ordered(order))
        except NoInstance as error:
            raise OfferGone(error.message) from error
        contract = said.get("new_contract")
        if not isinstance(contract, int) or isinstance(contract, bool) or contract <= 0:
            raise MarketUnknown("create: the answer names no instance")
        return str(contract)

    async def list(self, label_prefix: str) -> tuple[Instance, ...]:
        """All pages of the account's instances, those with our labels."""
        found: dict[str, Instance] = {}
        token, seen = "", set[str]()
        for _ in range(MOST_PAGES):
            query = {"limit": str(PAGE), **({"after_token": token} if token else {})}
            said = await self._listed(query)
            for row in _rows(said):
                each = reading.instance(row)
                found[each.id] = each
            token = _next(said)
            if not token:
                total = said.get("total_instances")
                if isinstance(total, int) and total > len(found):
                    raise MarketUnknown(f"list: {len(found)} instances of {total} that there are to be")
                return tuple(each for each in found.values() if each.label.startswith(label_prefix))
            if token in seen:
                raise MarketUnknown("list: the pages run in a circle")
            seen.add(token)
        raise MarketUnknown(f"list: more than {MOST_PAGES} pages")

    async def get(self, instance: str) -> Instance | None:
        """The instance. An answer of null is the market's word that it is gone; a 404 without one is not."""
        path = f"/api/v0/instances/{_number(instance)}/"
        try:
            said = await self._exchange.ask("GET", path, what="get", query={"owner": "me"})
        except NoInstance:
            return None
        except OfferGone as error:
            raise MarketUnknown(error.message) from error
        if "instances" not in said:
            raise MarketUnknown("get: the answer has no instance, and does not say that there is none")
        if said["instances"] is None:
            return None
        found = reading.instance(said["instances"])
        if found.id != instance:
            raise MarketUnknown("get: the answer is about another instance")
        return found

    async def destroy(self, instance: str) -> None:
        """Ends the instance and its disk."""
        path = f"/api/v0/instances/{_number(instance)}/"
        try:
            await self._exchange.ask("DELETE", path, what="destroy", body={})
        except NoInstance:
            return
        except OfferGone as error:
            raise MarketUnknown(error.message) from error

    async def credit(self) -> float:
        """The account's credit in US dollars, below nothing where it owes."""
        said = await self._exchange.ask("GET", "/api/v0/users/current/", what="credit")
        credit = said.get("credit")
        if isinstance(credit, bool) or not isinstance(credit, int | float):
            raise MarketUnknown("credit: the answer has no credit")
        return float(credit)

    async def _listed(self, query: dict[str, str]) -> dict[str, Any]:
        try:
            return await self._exchange.ask("GET", "/api/v1/instances/", what="list", query=query)
        except (OfferGone, NoInstance) as error:
            raise MarketUnknown(error.message) from error


@asynccontextmanager
async def open_market(
    key: SecretStr, base_url: str = BASE_URL, patience: timedelta = PATIENCE
) -> AsyncGenerator[VastMarket]:
    """The account's market, on connections that close with the block."""
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"User-Agent": "aither"}) as session:
        yield VastMarket(Exchange(session, base_url, key, patience))


def _ordered(order: BoxOrder) -> dict[str, Any]:
    """The order as it is sent. `ssh` has a shell run `onstart`; `args` leaves the image's entrypoint."""
    environment = dict(order.env)
    environment.update({f"-p {port}:{port}": "1" for port in order.ports})
    body: dict[str, Any] = {
        "client_id": "me",
        "image": order.image,
        "env": environment,
        "price": None,
        "disk": order.disk_gb,
        "label": order.label,
        "cancel_unavail": True,
    }
    if order.onstart:
        return {**body, "runtype": "ssh", "onstart": order.onstart}
    return {**body, "runtype": "args", "args": list(order.args)}


def _rows(said: dict[str, Any]) -> list[object]:
    rows = said.get("instances")
    if not isinstance(rows, list):
        raise MarketUnknown("list: the answer has no list of instances")
    return rows  # pyright: ignore[reportUnknownVariableType]


def _next(said: dict[str, Any]) -> str:
    """The next page's token; empty after the last page."""
    token = said.get("next_token")
    if token is None or token == "":
        return ""
    if isinstance(token, bool) or not isinstance(token, str | int):
        raise MarketUnknown("list: the next page's token cannot be read")
    return str(token)


def _number(identifier: str) -> int:
    """Its ids are numbers; anything else would lead elsewhere in its API."""
    if not (identifier.isascii() and identifier.isdecimal()):
        raise MarketRefused("an id at Vast.ai is a number")
    return int(identifier)
