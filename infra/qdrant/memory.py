"""Graph memory in Qdrant: findings as points, their edges in the payload, one collection for one embedder.

The point that the collection describes itself by has no vector and no goal, so no search and no list comes upon it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from activities.contracts.ledger import FindingRef
from activities.contracts.swarm import Edge, EdgeKind, Finding, Remembered
from activities.errors import EmbedderMismatch, StoreUnavailable
from activities.ledgers import Embedder
from infra.qdrant.bounds import (
    MOST_EDGES,
    MOST_SOURCES,
    OWNER_BYTES,
    SOURCE_BYTES,
    TEXT_BYTES,
    fit,
)
from infra.qdrant.points import BATCH, Collection, Index, Payload, Point, Qdrant, Schema, Where, point_id

SETTLED, DRAFT = "settled", "draft"
ABOUT = point_id("about this collection")
EMBED_CHARS = 4000
"""Of a text: what an embedder is given; the rest does not change much what it is about."""
MOST_NEIGHBOURS = 500

_INDEXES = {
    "tenant_id": Index.KEYWORD,
    "goal_id": Index.KEYWORD,
    "task_id": Index.KEYWORD,
    "id": Index.KEYWORD,
    "batch": Index.KEYWORD,
    "state": Index.KEYWORD,
    "linked": Index.KEYWORD,
}


class QdrantMemory:
    """Implements `activities.ledgers.FindingMemory`."""

    def __init__(self, qdrant: Qdrant, collection: str, embedder: Embedder) -> None:
        self._qdrant = qdrant
        self._name = collection
        self._embedder = embedder
        self._size: int | None = None

    async def add(self, findings: Sequence[Finding], batch: str, *, settled: bool = False) -> None:
        """See `FindingMemory`."""
        for first in range(0, len(findings), BATCH):
            some = findings[first : first + BATCH]
            vectors = await self._embed([finding.text for finding in some])
            points = [
                Point(
                    id=point_id(f"{finding.tenant_id}/{finding.id}/{batch}"),
                    payload=_row(finding, batch, SETTLED if settled else DRAFT),
                    vector=vector,
                )
                for finding, vector in zip(some, vectors, strict=True)
            ]
            # What is there has been settled, maybe: it is not made a draft again.
            await (await self._rows()).add(points, over=False)

    async def settle(self, tenant_id: str, task_id: str, batch: str | None) -> None:
        """See `FindingMemory`."""
        rows = await self._rows()
        task: dict[str, str | int] = {"tenant_id": tenant_id, "task_id": task_id, "state": DRAFT}
        if batch is not None:
            await rows.change(Where(equal={**task, "batch": batch}), {"state": SETTLED})
        await rows.remove(Where(equal=task, unequal={} if batch is None else {"batch": batch}))

    async def drop(self, tenant_id: str, task_id: str, batch: str) -> None:
        """See `FindingMemory`."""
        draft: dict[str, str | int] = {
            "tenant_id": tenant_id,
            "task_id": task_id,
            "batch": batch,
            "state": DRAFT,
        }
        await (await self._rows()).remove(Where(equal=draft))

    async def drafts(self, tenant_id: str, goal_id: str) -> set[str]:
        """See `FindingMemory`."""
        points = await self._all(Where(equal={"tenant_id": tenant_id, "goal_id": goal_id, "state": DRAFT}))
        return {point.payload["task_id"] for point in points}

    async def total(self, tenant_id: str, goal_id: str) -> int:
        """See `FindingMemory`."""
        return await (await self._rows()).count(_of(tenant_id, goal_id))

    async def page(
        self, tenant_id: str, goal_id: str, cursor: str, limit: int
    ) -> tuple[list[FindingRef], str]:
        """See `FindingMemory`."""
        rows = await self._rows()
        points, following = await rows.scroll(_of(tenant_id, goal_id), limit, cursor or None)
        return [_ref(point.payload) for point in points], following or ""

    async def of_goal(self, tenant_id: str, goal_id: str) -> list[Finding]:
        """See `FindingMemory`. Raises `StoreUnavailable` where the list and the count do not agree."""
        where = _of(tenant_id, goal_id)
        points = await self._all(where)
        total = await (await self._rows()).count(where)
        if len(points) != total:
            raise StoreUnavailable(f"{len(points)} of {total} findings were read; they are being written")
        points.sort(
            key=lambda point: (point.payload["task_id"], point.payload["found_at"] or "", point.payload["id"])
        )
        return [_finding(point.payload) for point in points]

    async def findings(self, tenant_id: str, ids: Sequence[str]) -> list[Finding]:
        """See `FindingMemory`."""
        found: dict[str, Finding] = {}
        for first in range(0, len(ids), BATCH):
            named = Where(
                equal={"tenant_id": tenant_id, "state": SETTLED}, among={"id": ids[first : first + BATCH]}
            )
            found |= {point.payload["id"]: _finding(point.payload) for point in await self._all(named)}
        return [found[id] for id in ids if id in found]

    async def neighbours(self, tenant_id: str, finding_id: str) -> list[Finding]:
        """See `FindingMemory`."""
        own = await self.findings(tenant_id, [finding_id])
        to = [edge.to for finding in own for edge in finding.edges]
        outgoing = await self.findings(tenant_id, to)
        linked = Where(equal={"tenant_id": tenant_id, "state": SETTLED, "linked": finding_id})
        points, _ = await (await self._rows()).scroll(linked, MOST_NEIGHBOURS)
        known = {finding.id for finding in outgoing} | {finding_id}
        incoming = [_finding(point.payload) for point in points if point.payload["id"] not in known]
        return [finding for finding in outgoing if finding.id != finding_id] + incoming

    async def search(
        self, tenant_id: str, query: str, goal_id: str, limit: int, min_score: float
    ) -> list[Remembered]:
        """See `FindingMemory`."""
        (vector,) = await self._embed([query])
        equal: dict[str, str | int] = {"tenant_id": tenant_id, "state": SETTLED}
        if goal_id:
            equal["goal_id"] = goal_id
        # Cosines go down to -1, and where no least score is given, nothing is too far.
        least = min_score if min_score > 0 else -1.0
        points = await (await self._rows()).nearest(vector, Where(equal=equal), limit, least)
        return [
            Remembered(finding=_finding(point.payload), score=min(1.0, max(0.0, point.score)))
            for point in points
        ]

    async def _all(self, where: Where) -> list[Point]:
        rows = await self._rows()
        found: list[Point] = []
        start: str | None = None
        while True:
            points, start = await rows.scroll(where, BATCH, start)
            found += points
            if start is None:
                return found

    async def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        given = [fit(text, TEXT_BYTES)[:EMBED_CHARS] or " " for text in texts]
        vectors = await self._embedder.embed(given)
        if any(len(vector) != self._size for vector in vectors):
            await self._check(len(vectors[0]))
        return vectors

    async def _rows(self) -> Collection:
        if self._size is None:
            # Its vectors' size is the embedder's to say.
            await self._embed(["size"])
        return await self._qdrant.collection(self._schema(self._size))

    async def _check(self, size: int) -> None:
        """Finds the collection to be this embedder's, and signs a new one. Raises `EmbedderMismatch`."""
        rows = await self._qdrant.collection(self._schema(size))
        about = {"embedder": self._embedder.name, "dimensions": size}
        await rows.add([Point(id=ABOUT, payload=about)], over=False)
        (signed,) = await rows.read([ABOUT])
        known: dict[str, Any] = signed.payload
        if known != about:
            raise EmbedderMismatch(
                f"the collection {self._name} was made with {known['embedder']} ({known['dimensions']} dimensions),"
                f" and this is {self._embedder.name} ({size}): configure that embedder again, or another"
                " AITHER_MEMORY_COLLECTION"
            )
        self._size = size

    def _schema(self, size: int | None) -> Schema:
        return Schema(name=self._name, dimensions=size, indexes=_INDEXES)


def _of(tenant_id: str, goal_id: str) -> Where:
    return Where(equal={"tenant_id": tenant_id, "goal_id": goal_id, "state": SETTLED})


def _row(finding: Finding, batch: str, state: str) -> Payload:
    edges = finding.edges[:MOST_EDGES]
    return {
        "id": finding.id,
        "tenant_id": finding.tenant_id,
        "goal_id": finding.goal_id,
        "task_id": finding.task_id,
        "batch": batch,
        "state": state,
        "agent": fit(finding.agent, OWNER_BYTES),
        "text": fit(finding.text, TEXT_BYTES),
        "confidence": finding.confidence,
        "sources": [fit(source, SOURCE_BYTES) for source in finding.sources[:MOST_SOURCES]],
        "edges": [{"kind": edge.kind.value, "to": edge.to} for edge in edges],
        "linked": [edge.to for edge in edges],
        "found_at": finding.found_at.isoformat() if finding.found_at else None,
    }


def _ref(payload: Payload) -> FindingRef:
    return FindingRef(
        id=payload["id"],
        task_id=payload["task_id"],
        confidence=payload["confidence"],
        chars=len(payload["text"]) + sum(len(source) for source in payload["sources"]),
    )


def _finding(payload: Payload) -> Finding:
    at = payload["found_at"]
    return Finding(
        id=payload["id"],
        tenant_id=payload["tenant_id"],
        goal_id=payload["goal_id"],
        task_id=payload["task_id"],
        agent=payload["agent"],
        text=payload["text"],
        confidence=payload["confidence"],
        sources=tuple(payload["sources"]),
        edges=tuple(Edge(kind=EdgeKind(edge["kind"]), to=edge["to"]) for edge in payload["edges"]),
        found_at=datetime.fromisoformat(at) if at else None,
    )
