"""Model files that are known: shared ones, and tenants' own."""

import asyncpg
import msgspec

from activities.contracts.models import ModelAddress, ModelFile, PublicPlace
from infra.postgres.database import Database

PATIENCE_S = 5.0

_public = msgspec.json.Decoder(PublicPlace)


class PostgresModels:
    """Implements `activities.model_ports.ModelShelf`, and fills it. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def find(self, address: ModelAddress) -> tuple[ModelFile, ...]:
        """See `ModelShelf`."""
        rows = await self._db.in_tenant(
            address.scope,
            lambda c: c.fetch(
                "select * from aither.model_files where scope = $1 and dir = $2 and $3 in ('', name) order by name",
                address.scope,
                address.dir,
                address.name,
            ),
            patience=PATIENCE_S,
        )
        return tuple(_file(row) for row in rows)

    async def list(self, tenant_id: str) -> tuple[ModelFile, ...]:
        """What the tenant may have: the shared files and its own, by address."""
        rows = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetch(
                "select * from aither.model_files where scope in ('shared', $1) order by scope, dir, name",
                tenant_id,
            ),
            patience=PATIENCE_S,
        )
        return tuple(_file(row) for row in rows)

    async def put(self, file: ModelFile, *, added_by: str) -> None:
        """Makes the file known, or says anew where it is to be had."""
        public = None if file.public is None else msgspec.json.encode(file.public).decode()
        await self._db.in_tenant(
            file.address.scope,
            lambda c: c.execute(
                "insert into aither.model_files"
                " (scope, dir, name, size_bytes, sha256, object_key, public, added_by)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (scope, dir, name) do update set"
                " size_bytes = excluded.size_bytes, sha256 = excluded.sha256, object_key = excluded.object_key,"
                " public = excluded.public, added_by = excluded.added_by, added_at = clock_timestamp()",
                file.address.scope,
                file.address.dir,
                file.address.name,
                file.size_bytes,
                bytes.fromhex(file.sha256),
                file.object_key,
                public,
                added_by,
            ),
            patience=PATIENCE_S,
        )


def _file(row: asyncpg.Record) -> ModelFile:
    return ModelFile(
        address=ModelAddress(scope=row["scope"], dir=row["dir"], name=row["name"]),
        size_bytes=row["size_bytes"],
        sha256=bytes(row["sha256"]).hex(),
        object_key=row["object_key"],
        public=None if row["public"] is None else _public.decode(row["public"]),
    )
