"""Points and the collections that hold them: what of Qdrant is used here, the same in-process and on a server."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from activities.errors import AitherError

NAMESPACE = uuid.UUID("8a4d0c1e-6f2b-5c1a-9d3e-2b7f5a9c4e10")
BATCH = 256
"""Points in one write or one page of a scroll."""

Payload = dict[str, Any]


def point_id(id: str) -> str:
    """The point that stands for what has that id here."""
    return str(uuid.uuid5(NAMESPACE, id))


class StoreRefused(AitherError):
    """Qdrant takes the request for wrong; sending it again cannot help."""

    code = "store_refused"


class Index(StrEnum):
    """How a payload's field is indexed."""

    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A collection's name, its vectors' size (None: its points have no vector), its indexed fields."""

    name: str
    dimensions: int | None = None
    indexes: Mapping[str, Index] = field(default_factory=dict[str, Index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point. `score` is what a query gave it; `vector` is only ever written."""

    id: str
    payload: Payload
    vector: Sequence[float] | None = None
    score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """All of it must hold. A field that is a list equals each of its elements."""

    ids: Sequence[str] | None = None
    equal: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    unequal: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    among: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    at_most: Mapping[str, float] = field(default_factory=dict[str, float])


class Collection(Protocol):
    """One collection. All of it raises `StoreUnavailable`, after which a write may have been made or not.

    Writes are seen by every read that begins after them.
    """

    async def add(self, points: Sequence[Point], *, over: bool) -> None:
        """Writes points; one that is there is replaced if `over`, else left alone."""
        ...

    async def change(self, where: Where, payload: Payload) -> None:
        """Sets these fields of the points that match at the moment of writing; of none, and silently, if none do."""
        ...

    async def swap(self, where: Where, payload: Payload) -> list[Point]:
        """The same for points that `where` names by `ids`, and what these are afterwards, changed or not."""
        ...

    async def remove(self, where: Where) -> None:
        """Deletes the points that match."""
        ...

    async def read(self, ids: Sequence[str]) -> list[Point]:
        """The points that there are of these."""
        ...

    async def scroll(
        self, where: Where, limit: int, start: str | None = None
    ) -> tuple[list[Point], str | None]:
        """Points by id from `start` on, and where the next page starts."""
        ...

    async def least(self, where: Where, by: str) -> Point | None:
        """The point with the least value of an indexed number."""
        ...

    async def count(self, where: Where) -> int:
        """How many match, exactly."""
        ...

    async def facet(self, where: Where, by: str) -> dict[str, int]:
        """How many match for each value of an indexed keyword, exactly; of a hundred values at most."""
        ...

    async def nearest(
        self, vector: Sequence[float], where: Where, limit: int, min_score: float
    ) -> list[Point]:
        """The matching points with a vector like this one, the nearest (by cosine) first."""
        ...


class Qdrant(Protocol):
    """Where the collections are."""

    async def collection(self, schema: Schema) -> Collection:
        """The collection, made where it is missing; one that is there is taken as it is."""
        ...
