"""Stands in for a Qdrant server: its REST API, as far as the product speaks it, over Qdrant's own core in-process.

Requests are read by the models of Qdrant's own client, which refuse a field that the API does not have; what they
mean is Qdrant Edge's doing. So what can be wrong here is the wording of replies, not how a filter or a conditional
write behaves. One request at a time.
"""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from qdrant_client.http import models as api

KEY = "the key"
SCHEMAS = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
}


class Scroll(BaseModel):
    """As the API's, whose own model takes no such body alone."""

    model_config = ConfigDict(extra="forbid")

    filter: api.Filter | None = None
    limit: int = 10
    offset: str | None = None
    order_by: api.OrderBy | None = None
    with_payload: bool = True
    with_vector: bool = False


class StandinQdrant:
    """Collections in a directory. `version` is what it says it is; while `down`, every request fails with a 503."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = "1.17.0"
        self.down = False
        self.url = ""
        self.shards: dict[str, edge.EdgeShard] = {}
        self.indexes: dict[str, dict[str, str]] = {}

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator["StandinQdrant"]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()
            for shard in self.shards.values():
                shard.close()

    async def handle(self, request: web.Request) -> web.Response:
        if self.down:
            return _refused(503, "the server is being restarted")
        if request.headers.get("api-key") != KEY:
            return _refused(401, "Must provide an API key or an Authorization bearer token")
        body = json.loads(await request.read() or b"{}")
        if request.path == "/":
            return web.json_response({"title": "qdrant - vector search engine", "version": self.version})
        match = re.fullmatch(r"/collections/([^/]+)(?:/(.+))?", request.path)
        assert match is not None, request.path
        name, rest = match.groups()
        if name not in self.shards and not (request.method == "PUT" and rest is None):
            return _refused(404, f"Not found: Collection `{name}` doesn't exist!")
        if rest in {"index", "points", "points/payload", "points/delete"} and request.method != "GET":
            written = rest != "points" or request.method == "PUT"
            assert not written or request.query == {"wait": "true", "ordering": "strong"}, request.query
        try:
            return web.json_response(
                {"result": self.answer(request.method, name, rest, body), "status": "ok"}
            )
        except ValidationError as error:
            return _refused(400, f"Format error in JSON body: {error}")
        except FileExistsError:
            return _refused(409, f"Wrong input: Collection `{name}` already exists!")
        except Exception as error:
            return _refused(400, f"Wrong input: {error}")

    def answer(self, method: str, name: str, rest: str | None, body: dict[str, Any]) -> Any:
        match method, rest:
            case "GET", None:
                return {"payload_schema": {k: {"data_type": v} for k, v in self.indexes[name].items()}}
            case "PUT", None:
                return self.create(name, api.CreateCollection.model_validate(body))
            case "PUT", "index":
                index = api.CreateFieldIndex.model_validate(body)
                kind = str(getattr(index.field_schema, "value", index.field_schema))
                self.shards[name].update(
                    edge.UpdateOperation.create_field_index(index.field_name, SCHEMAS[kind])
                )
                self.indexes[name][index.field_name] = kind
                return {"status": "completed"}
            case "PUT", "points":
                return self.upsert(name, api.PointsList.model_validate(body))
            case "POST", "points/payload":
                wanted = api.SetPayload.model_validate(body)
                assert wanted.filter is not None
                return self.write(
                    name, edge.UpdateOperation.set_payload_by_filter(_filter(wanted.filter), wanted.payload)
                )
            case "POST", "points/delete":
                gone = api.FilterSelector.model_validate(body)
                return self.write(name, edge.UpdateOperation.delete_points_by_filter(_filter(gone.filter)))
            case "POST", _:
                return self.read(name, rest, body)
            case _:
                raise AssertionError(f"{method} {rest}")

    def create(self, name: str, wanted: api.CreateCollection) -> bool:
        if name in self.shards:
            raise FileExistsError(name)
        folder = self.folder / name
        folder.mkdir()
        if isinstance(wanted.vectors, api.VectorParams):
            assert wanted.vectors.distance is api.Distance.COSINE
            vectors: Any = edge.EdgeVectorParams(wanted.vectors.size, edge.Distance.Cosine)
        else:
            assert wanted.vectors == {}
            vectors = {"none": edge.EdgeVectorParams(1, edge.Distance.Dot)}
        self.shards[name] = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=vectors))
        self.indexes[name] = {}
        return True

    def upsert(self, name: str, wanted: api.PointsList) -> Any:
        modes = {"upsert": edge.UpdateMode.Upsert, "insert_only": edge.UpdateMode.InsertOnly}
        assert wanted.update_mode is not None
        points = [edge.Point(str(p.id), p.vector, p.payload or {}) for p in wanted.points]  # type: ignore[arg-type]
        mode = modes[wanted.update_mode.value]
        return self.write(name, edge.UpdateOperation.upsert_points(points, update_mode=mode))

    def write(self, name: str, operation: edge.UpdateOperation) -> Any:
        self.shards[name].update(operation)
        return {"operation_id": 1, "status": "completed"}

    def read(self, name: str, rest: str | None, body: dict[str, Any]) -> Any:
        shard = self.shards[name]
        if rest == "points":
            named = api.PointRequest.model_validate(body)
            return [_record(each) for each in shard.retrieve([str(id) for id in named.ids], True, False)]
        if rest == "points/scroll":
            page = Scroll.model_validate(body)
            order = page.order_by and edge.OrderBy(page.order_by.key, edge.Direction.Asc)
            found, following = shard.scroll(
                edge.ScrollRequest(
                    offset=page.offset,
                    limit=page.limit,
                    filter=_filter(page.filter),
                    with_payload=True,
                    order_by=order,
                )
            )
            return {
                "points": [_record(each) for each in found],
                "next_page_offset": None if following is None else str(following),
            }
        if rest == "points/count":
            counted = api.CountRequest.model_validate(body)
            return {"count": shard.count(edge.CountRequest(exact=True, filter=_filter(counted.filter)))}
        if rest == "facet":
            facet = api.FacetRequest.model_validate(body)
            hits = shard.facet(
                edge.FacetRequest(facet.key, facet.limit or 10, True, _filter(facet.filter))
            ).hits
            return {"hits": [{"value": hit.value, "count": hit.count} for hit in hits]}
        assert rest == "points/query", rest
        query = api.QueryRequest.model_validate(body)
        nearest = shard.query(
            edge.QueryRequest(
                limit=query.limit or 10,
                query=edge.Query.Nearest(query.query),  # type: ignore[arg-type]
                filter=_filter(query.filter),
                with_payload=True,
                score_threshold=query.score_threshold,
            )
        )
        return {"points": [{**_record(each), "version": 1, "score": each.score} for each in nearest]}


def _filter(given: api.Filter | None) -> edge.Filter:
    def conditions(part: Any) -> list[Any]:
        return [
            _condition(each) for each in ([] if part is None else part if isinstance(part, list) else [part])
        ]

    assert given is not None
    return edge.Filter(must=conditions(given.must), must_not=conditions(given.must_not) or None)


def _condition(given: Any) -> Any:
    if isinstance(given, api.HasIdCondition):
        return edge.HasIdCondition({str(id) for id in given.has_id})
    assert isinstance(given, api.FieldCondition), given
    if isinstance(given.match, api.MatchValue):
        return edge.FieldCondition(given.key, match=edge.MatchValue(given.match.value))
    if isinstance(given.match, api.MatchAny):
        return edge.FieldCondition(given.key, match=edge.MatchAny(list(given.match.any)))  # type: ignore[arg-type]
    assert isinstance(given.range, api.Range), given
    return edge.FieldCondition(given.key, range=edge.RangeFloat(lte=given.range.lte))


def _record(record: Any) -> dict[str, Any]:
    return {"id": str(record.id), "payload": record.payload}


def _refused(status: int, error: str) -> web.Response:
    return web.json_response({"status": {"error": error}, "time": 0.0}, status=status)
