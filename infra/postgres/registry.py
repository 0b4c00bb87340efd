"""The registry of services. Whether one is online is told by the database's clock, so that all processes agree."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import orjson

from activities.contracts.backends import Backend
from activities.contracts.registry import (
    HEARTBEAT_EVERY,
    MISSED,
    Beat,
    JoinedBackend,
    Service,
    ServiceKind,
    ServiceStatus,
)
from activities.errors import AitherError
from infra.postgres.database import Database

PATIENCE_S = 5.0
SILENCE = HEARTBEAT_EVERY * MISSED
"""Longer, and a service is offline."""
FORGOTTEN_AFTER = timedelta(hours=24)
"""Of silence, its goodbye included."""

_SERVICES = (
    "select *, extract(epoch from now() - last_seen)::float8 as age_s, case when left_at is not null then 'left'"
    " when last_seen < now() - $1::interval then 'offline' when draining then 'draining' else 'online' end as status"
    " from aither.services"
)
_WRITE = (
    "with beats as materialized ("
    " select *, now() - age_s * interval '1 second' as at from json_to_recordset($1::json) as x ("
    "  name text, kind text, version text, capabilities json, load double precision, metadata json,"
    "  backend json, draining boolean, said text, age_s double precision)"
    "), forgotten as ("
    " delete from aither.services where last_seen < now() - $2::interval"
    "  and name not in (select name from beats)"
    ") insert into aither.services as s (name, kind, version, capabilities, load, metadata, backend, draining,"
    "  said, first_seen, last_seen)"
    # In one order, so that two who write the same services cannot wait for each other.
    " select name, kind, version, capabilities, load, metadata, backend, draining, said, at, at"
    " from beats order by name"
    " on conflict (name) do update set kind = excluded.kind, version = excluded.version,"
    "  capabilities = excluded.capabilities, load = excluded.load, metadata = excluded.metadata,"
    "  backend = excluded.backend, draining = excluded.draining, said = excluded.said,"
    "  last_seen = excluded.last_seen, left_at = null"
    # What is older than what is known, or than a goodbye, came late.
    " where s.last_seen <= excluded.last_seen and (s.left_at is null or s.left_at < excluded.last_seen)"
)
_REPEAT = (
    "with beats as materialized ("
    " select name, said, load, now() - age_s * interval '1 second' as at"
    " from unnest($1::text[], $2::text[], $3::float8[], $4::float8[]) as x (name, said, load, age_s)"
    "), mine as materialized ("
    " select s.name, b.load, b.at, (s.left_at is null or s.left_at < b.at) as back"
    " from beats b join aither.services s on s.name = b.name and s.said = b.said order by s.name for update of s"
    "), written as ("
    " update aither.services s set load = m.load, last_seen = greatest(s.last_seen, m.at), left_at = null"
    " from mine m where s.name = m.name and m.back"
    ") select name from mine"
)


class ServiceNotFound(AitherError):
    """No service of that name has been heard of, or not for a day."""

    code = "service_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A heartbeat that says what was `said` before, and the load of the moment; it came `age_s` ago."""

    name: str
    said: str
    load: float | None
    age_s: float


class PostgresRegistry:
    """All of it raises `StoreUnavailable`; then nothing has changed."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def beat(self, *beats: Beat) -> None:
        """Writes what the services say, in one statement; forgets in passing who has long been silent."""
        await self.write([(beat, said(beat), 0.0) for beat in beats])

    async def write(self, beats: Sequence[tuple[Beat, str, float]]) -> None:
        """The same for beats with their digests, which came so many seconds ago. The last of a name counts."""
        rows = {beat.name: _row(beat, digest, age_s) for beat, digest, age_s in beats}
        if rows:
            told = orjson.dumps(list(rows.values())).decode()
            await self._db.run(lambda c: c.execute(_WRITE, told, FORGOTTEN_AFTER), patience=PATIENCE_S)

    async def repeat(self, repeats: Sequence[Repeat]) -> frozenset[str]:
        """Writes heartbeats that repeat what is known; the names of which that was not so must be written whole."""
        found = await self._db.run(
            lambda c: c.fetch(
                _REPEAT,
                [each.name for each in repeats],
                [each.said for each in repeats],
                [each.load for each in repeats],
                [each.age_s for each in repeats],
            )
        )
        return frozenset(each.name for each in repeats) - {row["name"] for row in found}

    async def leave(self, name: str) -> Service:
        """Takes the service's goodbye. Raises `ServiceNotFound`."""
        await self._db.run(
            lambda c: c.execute(
                "update aither.services set left_at = coalesce(left_at, now()) where name = $1", name
            ),
            patience=PATIENCE_S,
        )
        return await self.service(name)

    async def service(self, name: str) -> Service:
        """The service. Raises `ServiceNotFound`."""
        row = await self._db.run(
            lambda c: c.fetchrow(_SERVICES + " where name = $2", SILENCE, name), patience=PATIENCE_S
        )
        if row is None:
            raise ServiceNotFound(f"no service {name} is known; `GET /v1/registry` lists those there are")
        return _service(row)

    async def services(
        self, kind: ServiceKind | None = None, status: ServiceStatus | None = None
    ) -> tuple[Service, ...]:
        """All of that kind and status, by name."""
        rows = await self._db.run(
            lambda c: c.fetch(
                f"select * from ({_SERVICES}) s where kind = coalesce($2, kind)"  # noqa: S608
                " and status = coalesce($3, status) order by name",
                SILENCE,
                kind,
                status,
            ),
            patience=PATIENCE_S,
        )
        return tuple(_service(row) for row in rows)

    async def joined(self) -> tuple[JoinedBackend, ...]:
        """The backends that joined and are online or draining, by name."""
        rows = await self._db.run(
            lambda c: c.fetch(
                "select backend, draining from aither.services where kind = 'backend' and left_at is null"
                " and last_seen >= now() - $1::interval order by name",
                SILENCE,
            ),
            patience=PATIENCE_S,
        )
        return tuple(
            JoinedBackend(backend=_backend.decode(row["backend"]), draining=row["draining"]) for row in rows
        )


_backend = msgspec.json.Decoder(Backend)


def said(beat: Beat) -> str:
    """A digest of all that the beat says but for the load."""
    whole = orjson.dumps(_row(beat, "", 0.0) | {"load": None}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(whole).hexdigest()


def _row(beat: Beat, digest: str, age_s: float) -> dict[str, Any]:
    return {
        "name": beat.name,
        "kind": beat.kind,
        "version": beat.version,
        "capabilities": beat.capabilities,
        "load": beat.load,
        "metadata": beat.metadata,
        "backend": beat.backend,
        "draining": beat.draining,
        "said": digest,
        "age_s": age_s,
    }


def _service(row: asyncpg.Record) -> Service:
    capabilities: list[str] = orjson.loads(row["capabilities"])
    return Service(
        name=row["name"],
        kind=ServiceKind(row["kind"]),
        status=ServiceStatus(row["status"]),
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        version=row["version"],
        capabilities=tuple(capabilities),
        load=row["load"],
        metadata=orjson.loads(row["metadata"]),
        age_s=max(0.0, row["age_s"]),
        backend=None if row["backend"] is None else _backend.decode(row["backend"]),
    )
