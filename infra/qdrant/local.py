"""Qdrant in-process (Qdrant Edge), on a directory that one process may have open at a time.

One thread makes all the calls, one after the other: the event loop never waits for the disk, and a conditional
write decides and writes in one go. What has been written is in Qdrant's log, and outlives a `kill -9`.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from qdrant_edge import (
    CountRequest,
    Direction,
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeVectorParams,
    FacetRequest,
    FieldCondition,
    Filter,
    HasIdCondition,
    MatchAny,
    MatchValue,
    OrderBy,
    PayloadSchemaType,
    Query,
    QueryRequest,
    RangeFloat,
    Record,
    ScoredPoint,
    ScrollRequest,
    UpdateMode,
    UpdateOperation,
)
from qdrant_edge import Point as EdgePoint

from activities.errors import AitherError, StoreUnavailable
from infra.qdrant.points import Collection, Index, Payload, Point, Schema, Where

T = TypeVar("T")

FLUSH_EVERY = 500
"""Writes, after which the log is let go of what the segments hold: it stays below 64 MB, and opening stays quick."""
NO_VECTOR = "none"
"""Edge wants a vector in every collection; points that have none leave this one out."""

_SCHEMAS = {
    Index.KEYWORD: PayloadSchemaType.Keyword,
    Index.INTEGER: PayloadSchemaType.Integer,
    Index.FLOAT: PayloadSchemaType.Float,
}


PointId = int | UUID | str


class InUse(StoreUnavailable):
    """Another process has the directory open."""


class LocalQdrant:
    """Implements `infra.qdrant.points.Qdrant` for one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qdrant")
        self._shards: dict[str, EdgeShard] = {}
        self._writes = 0
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def opened(cls, root: Path) -> "AsyncGenerator[LocalQdrant]":
        """The directory, for as long as the block. Raises `InUse` where another process has it."""
        lock = _lock(root)
        local = cls(root)
        try:
            yield local
        finally:
            try:
                await local.close()
            finally:
                os.close(lock)

    async def collection(self, schema: Schema) -> Collection:
        """See `infra.qdrant.points.Qdrant`."""
        await self.run(lambda: self._open(schema))
        return LocalCollection(self, schema)

    async def run(self, call: Callable[[], T]) -> T:
        """Makes the call in the one thread. Raises `StoreUnavailable`."""
        if self._closed:
            raise StoreUnavailable("the local Qdrant is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except AitherError:
            raise
        # Edge has no exceptions of its own.
        except Exception as error:
            raise StoreUnavailable(f"the local Qdrant failed: {_words(error)}") from error

    def shard(self, name: str) -> EdgeShard:
        """The open shard; for calls that `run` makes."""
        found = self._shards.get(name)
        if found is None:
            raise StoreUnavailable("the local Qdrant is closed")
        return found

    def write(self, name: str, operation: UpdateOperation) -> None:
        """Makes a write; for calls that `run` makes."""
        shard = self.shard(name)
        shard.update(operation)
        self._writes += 1
        if self._writes % FLUSH_EVERY == 0:
            shard.flush()

    async def close(self) -> None:
        """Writes everything down and lets go of it. What is called later fails."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=True)

    async def copy(self, target: Path) -> None:
        """Copies the directory as it stands between two calls; calls that come meanwhile wait. `target` must be new."""
        await self.run(lambda: self._copy(target))

    def _copy(self, target: Path) -> None:
        names = list(self._shards)
        # Closed, so that nothing of them is left to be written while they are read.
        self._close()
        try:
            shutil.copytree(self._root, target, ignore=shutil.ignore_patterns("lock", "*.draft"))
        finally:
            for name in names:
                self._shards[name] = EdgeShard.load(str(self._root / name))

    def _close(self) -> None:
        for shard in self._shards.values():
            shard.flush()
            shard.close()
        self._shards.clear()

    def _open(self, schema: Schema) -> None:
        if schema.name in self._shards:
            return
        folder = self._root / schema.name
        if not folder.exists():
            _make(folder, schema)
        self._shards[schema.name] = EdgeShard.load(str(folder))


class LocalCollection:
    """Implements `infra.qdrant.points.Collection`."""

    def __init__(self, local: LocalQdrant, schema: Schema) -> None:
        self._local = local
        self._name = schema.name

    async def add(self, points: Sequence[Point], *, over: bool) -> None:
        """See `Collection`."""
        mode = UpdateMode.Upsert if over else UpdateMode.InsertOnly
        written = [EdgePoint(p.id, {} if p.vector is None else list(p.vector), p.payload) for p in points]
        await self._write(UpdateOperation.upsert_points(written, update_mode=mode))

    async def change(self, where: Where, payload: Payload) -> None:
        """See `Collection`."""
        await self._write(UpdateOperation.set_payload_by_filter(_filter(where), payload))

    async def swap(self, where: Where, payload: Payload) -> list[Point]:
        """See `Collection`."""
        operation = UpdateOperation.set_payload_by_filter(_filter(where), payload)
        ids = list[PointId](where.ids or ())

        def swapped() -> list[Record]:
            self._local.write(self._name, operation)
            return self._local.shard(self._name).retrieve(ids, True, False)

        return [_point(record) for record in await self._local.run(swapped)]

    async def remove(self, where: Where) -> None:
        """See `Collection`."""
        await self._write(UpdateOperation.delete_points_by_filter(_filter(where)))

    async def read(self, ids: Sequence[str]) -> list[Point]:
        """See `Collection`."""
        if not ids:
            return []
        found = await self._read(lambda shard: shard.retrieve(list(ids), True, False))
        return [_point(record) for record in found]

    async def scroll(
        self, where: Where, limit: int, start: str | None = None
    ) -> tuple[list[Point], str | None]:
        """See `Collection`."""
        request = ScrollRequest(offset=start, limit=limit, filter=_filter(where), with_payload=True)
        found, following = await self._read(lambda shard: shard.scroll(request))
        return [_point(record) for record in found], None if following is None else str(following)

    async def least(self, where: Where, by: str) -> Point | None:
        """See `Collection`."""
        request = ScrollRequest(
            limit=1, filter=_filter(where), with_payload=True, order_by=OrderBy(by, Direction.Asc)
        )
        found, _ = await self._read(lambda shard: shard.scroll(request))
        return _point(found[0]) if found else None

    async def count(self, where: Where) -> int:
        """See `Collection`."""
        return await self._read(lambda shard: shard.count(CountRequest(exact=True, filter=_filter(where))))

    async def facet(self, where: Where, by: str) -> dict[str, int]:
        """See `Collection`."""
        request = FacetRequest(by, limit=100, exact=True, filter=_filter(where))
        found = await self._read(lambda shard: shard.facet(request))
        return {str(hit.value): hit.count for hit in found.hits}

    async def nearest(
        self, vector: Sequence[float], where: Where, limit: int, min_score: float
    ) -> list[Point]:
        """See `Collection`."""
        request = QueryRequest(
            limit=limit,
            query=Query.Nearest(list(vector)),
            filter=_filter(where),
            with_payload=True,
            score_threshold=min_score,
        )
        found = await self._read(lambda shard: shard.query(request))
        return [_point(record, record.score) for record in found]

    async def _write(self, operation: UpdateOperation) -> None:
        await self._local.run(lambda: self._local.write(self._name, operation))

    async def _read(self, read: Callable[[EdgeShard], T]) -> T:
        return await self._local.run(lambda: read(self._local.shard(self._name)))


def _lock(root: Path) -> int:
    """The directory's lock, which the kernel takes back from a process that dies. Raises `InUse`."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"the local Qdrant cannot be opened: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise InUse(
            f"another process has the local Qdrant in {root} open, and it takes one only: stop that worker,"
            " leave the fleet memory to it, or run a Qdrant server and set AITHER_QDRANT_URL"
        ) from error
    return lock


def _make(folder: Path, schema: Schema) -> None:
    """Makes the collection beside its place and moves it there whole, so that a kill leaves no half of one."""
    draft = folder.with_name(folder.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    if schema.dimensions is None:
        vectors: dict[str, EdgeVectorParams] | EdgeVectorParams = {
            NO_VECTOR: EdgeVectorParams(1, Distance.Dot)
        }
    else:
        vectors = EdgeVectorParams(schema.dimensions, Distance.Cosine)
    shard = EdgeShard.create(str(draft), EdgeConfig(vectors=vectors, max_search_threads=1))
    for name, index in schema.indexes.items():
        shard.update(UpdateOperation.create_field_index(name, _SCHEMAS[index]))
    shard.flush()
    shard.close()
    draft.rename(folder)


def _filter(where: Where) -> Filter:
    must: list[Any] = [FieldCondition(key, match=MatchValue(value)) for key, value in where.equal.items()]
    must += [FieldCondition(key, match=MatchAny(list(values))) for key, values in where.among.items()]
    must += [FieldCondition(key, range=RangeFloat(lte=most)) for key, most in where.at_most.items()]
    if where.ids is not None:
        must.append(HasIdCondition(set(where.ids)))
    must_not: list[Any] = [
        FieldCondition(key, match=MatchValue(value)) for key, value in where.unequal.items()
    ]
    return Filter(must=must, must_not=must_not or None)


def _point(record: Record | ScoredPoint, score: float = 0.0) -> Point:
    return Point(id=str(record.id), payload=record.payload or {}, score=score)


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
