"""A Qdrant server, over its REST API. Writes wait until they are applied and go through one replica, in order."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson

from activities.errors import StoreUnavailable
from infra.qdrant.points import Collection, Payload, Point, Schema, StoreRefused, Where

LEAST_VERSION = (1, 17)
"""The first that knows how to insert a point only where it is absent; an older one would replace finished tasks."""
CONNECTIONS = 32
WAIT_S = 10.0
POOL_WAIT_S = 30.0
QUOTE_CHARS = 300
_WRITE = {"wait": "true", "ordering": "strong"}
_READ = {"consistency": "majority"}


class ServerQdrant:
    """Implements `infra.qdrant.points.Qdrant`."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._known: set[str] = set()
        self._version_seen = False

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, api_key: str | None) -> "AsyncGenerator[ServerQdrant]":
        """A bounded pool of connections for the block; the first call makes the first of them."""
        headers = {"api-key": api_key} if api_key else {}
        async with httpx2.AsyncClient(
            base_url=url.rstrip("/"),
            headers=headers,
            timeout=httpx2.Timeout(WAIT_S, connect=3.0, pool=POOL_WAIT_S),
            limits=httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        ) as http:
            yield cls(http)

    async def collection(self, schema: Schema) -> Collection:
        """See `infra.qdrant.points.Qdrant`."""
        if schema.name not in self._known:
            await self._ensure(schema)
            self._known.add(schema.name)
        return ServerCollection(self, schema.name)

    async def ask(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """The result of one request. Raises `StoreUnavailable` and `StoreRefused`."""
        response = await self._send(method, path, body, **params)
        if response.status_code == 404:
            # Someone dropped the collection, or brought up an empty server: it is made anew with the next call.
            self._known.clear()
            raise StoreUnavailable(_told(response))
        _check(response)
        return _decoded(response)["result"]

    async def _send(self, method: str, path: str, body: Any = None, **params: str) -> httpx2.Response:
        if self._http.is_closed:
            raise StoreUnavailable("the connection to the Qdrant server is closed")
        content = None if body is None else orjson.dumps(body)
        try:
            return await self._http.request(
                method, path, content=content, params=params, headers={"content-type": "application/json"}
            )
        except httpx2.TransportError as error:
            raise StoreUnavailable(f"the Qdrant server does not answer ({type(error).__name__})") from error

    async def _ensure(self, schema: Schema) -> None:
        if not self._version_seen:
            await self._check_version()
        path = f"/collections/{schema.name}"
        found = await self._send("GET", path)
        if found.status_code == 404:
            size = schema.dimensions
            vectors: dict[str, Any] = {} if size is None else {"size": size, "distance": "Cosine"}
            made = await self._send("PUT", path, {"vectors": vectors, "on_disk_payload": True})
            # Two that make it at once: the second is told that it exists, in one of these ways.
            if made.status_code not in {400, 409}:
                _check(made)
            found = await self._send("GET", path)
        _check(found)
        indexed: dict[str, Any] = _decoded(found)["result"].get("payload_schema", {})
        for name, index in schema.indexes.items():
            if name not in indexed:
                field = {"field_name": name, "field_schema": index}
                await self.ask("PUT", f"{path}/index", field, **_WRITE)

    async def _check_version(self) -> None:
        response = await self._send("GET", "/")
        _check(response)
        version = str(_decoded(response).get("version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if len(numbers) != 2 or numbers < LEAST_VERSION:
            least = ".".join(map(str, LEAST_VERSION))
            raise StoreRefused(
                f"the Qdrant server is version {version or '?'}; {least} is the least that will do"
            )
        self._version_seen = True


class ServerCollection:
    """Implements `infra.qdrant.points.Collection`."""

    def __init__(self, server: ServerQdrant, name: str) -> None:
        self._server = server
        self._path = f"/collections/{name}/points"

    async def add(self, points: Sequence[Point], *, over: bool) -> None:
        """See `Collection`."""
        body = {
            "points": [
                {"id": p.id, "vector": {} if p.vector is None else list(p.vector), "payload": p.payload}
                for p in points
            ],
            "update_mode": "upsert" if over else "insert_only",
        }
        await self._server.ask("PUT", self._path, body, **_WRITE)

    async def change(self, where: Where, payload: Payload) -> None:
        """See `Collection`."""
        body = {"payload": payload, "filter": _filter(where)}
        await self._server.ask("POST", f"{self._path}/payload", body, **_WRITE)

    async def swap(self, where: Where, payload: Payload) -> list[Point]:
        """See `Collection`."""
        await self.change(where, payload)
        return await self.read(where.ids or ())

    async def remove(self, where: Where) -> None:
        """See `Collection`."""
        await self._server.ask("POST", f"{self._path}/delete", {"filter": _filter(where)}, **_WRITE)

    async def read(self, ids: Sequence[str]) -> list[Point]:
        """See `Collection`."""
        if not ids:
            return []
        found = await self._server.ask(
            "POST", self._path, {"ids": list(ids), "with_payload": True, "with_vector": False}, **_READ
        )
        return [_point(each) for each in found]

    async def scroll(
        self, where: Where, limit: int, start: str | None = None
    ) -> tuple[list[Point], str | None]:
        """See `Collection`."""
        found = await self._scroll({"filter": _filter(where), "limit": limit, "offset": start})
        following = found.get("next_page_offset")
        return [_point(each) for each in found["points"]], None if following is None else str(following)

    async def least(self, where: Where, by: str) -> Point | None:
        """See `Collection`."""
        order = {"key": by, "direction": "asc"}
        found = await self._scroll({"filter": _filter(where), "limit": 1, "order_by": order})
        return next((_point(each) for each in found["points"]), None)

    async def count(self, where: Where) -> int:
        """See `Collection`."""
        body = {"filter": _filter(where), "exact": True}
        return (await self._server.ask("POST", f"{self._path}/count", body, **_READ))["count"]

    async def facet(self, where: Where, by: str) -> dict[str, int]:
        """See `Collection`."""
        body = {"key": by, "filter": _filter(where), "limit": 100, "exact": True}
        path = f"{self._path.removesuffix('/points')}/facet"
        found = await self._server.ask("POST", path, body, **_READ)
        return {str(hit["value"]): hit["count"] for hit in found["hits"]}

    async def nearest(
        self, vector: Sequence[float], where: Where, limit: int, min_score: float
    ) -> list[Point]:
        """See `Collection`."""
        body = {
            "query": list(vector),
            "filter": _filter(where),
            "limit": limit,
            "score_threshold": min_score,
            "with_payload": True,
        }
        found = await self._server.ask("POST", f"{self._path}/query", body, **_READ)
        return [_point(each, each["score"]) for each in found["points"]]

    async def _scroll(self, body: dict[str, Any]) -> Any:
        whole = {**body, "with_payload": True, "with_vector": False}
        return await self._server.ask("POST", f"{self._path}/scroll", whole, **_READ)


def _filter(where: Where) -> dict[str, Any]:
    must: list[dict[str, Any]] = [
        {"key": key, "match": {"value": value}} for key, value in where.equal.items()
    ]
    must += [{"key": key, "match": {"any": list(values)}} for key, values in where.among.items()]
    must += [{"key": key, "range": {"lte": most}} for key, most in where.at_most.items()]
    if where.ids is not None:
        must.append({"has_id": list(where.ids)})
    must_not = [{"key": key, "match": {"value": value}} for key, value in where.unequal.items()]
    return {"must": must, "must_not": must_not}


def _point(given: dict[str, Any], score: float = 0.0) -> Point:
    return Point(id=str(given["id"]), payload=given.get("payload") or {}, score=score)


def _check(response: httpx2.Response) -> None:
    """Raises what the status stands for."""
    status = response.status_code
    if status < 300:
        return
    if status in {401, 403}:
        raise StoreUnavailable("the Qdrant server refuses the key of AITHER_QDRANT_API_KEY")
    if status in {408, 429} or status >= 500:
        raise StoreUnavailable(_told(response))
    raise StoreRefused(_told(response))


def _told(response: httpx2.Response) -> str:
    try:
        status: Any = orjson.loads(response.content).get("status")
        words = str(status.get("error", "") if isinstance(status, dict) else status)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    except (orjson.JSONDecodeError, AttributeError):
        words = ""
    quoted = " ".join(words.split())[:QUOTE_CHARS]
    return f"the Qdrant server answered {response.status_code}" + (f": {quoted}" if quoted else "")


def _decoded(response: httpx2.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise StoreUnavailable("what answers at AITHER_QDRANT_URL is no Qdrant server") from error
