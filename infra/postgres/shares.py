"""The shares that worker processes hold of their pools' members: read, decided on and written under one lock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infra.postgres.database import Connection, Database

LOCK = "aither/shares"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRow:
    """One process's share of one member."""

    member: str
    worker: str
    slots: int
    used: int
    beat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """What is decided: the rows of this process, and processes whose shares are taken from them."""

    mine: Sequence[ShareRow]
    gone: Sequence[str] = ()


class PostgresShares:
    """Raises `StoreUnavailable`; then nothing has changed, or all of it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def divide(
        self, worker: str, decide: Callable[[Mapping[str, Sequence[ShareRow]]], Division]
    ) -> None:
        """Has `decide` look at every share, by member, and writes what it decides: nobody else does meanwhile."""

        async def renewed(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", LOCK)
                rows = await connection.fetch("select member, worker, slots, used, beat from aither.shares")
                found: dict[str, list[ShareRow]] = {}
                for row in rows:
                    found.setdefault(row["member"], []).append(ShareRow(**row))
                division = decide(found)
                if division.gone:
                    await connection.execute(
                        "delete from aither.shares where worker = any($1::text[])", list(division.gone)
                    )
                mine = division.mine
                await connection.execute(
                    "with kept as ("
                    " insert into aither.shares (member, worker, slots, used, beat)"
                    " select m, $1, s, u, b"
                    " from unnest($2::text[], $3::int[], $4::int[], $5::bigint[]) as x (m, s, u, b)"
                    " on conflict (member, worker) do update"
                    " set slots = excluded.slots, used = excluded.used, beat = excluded.beat)"
                    " delete from aither.shares where worker = $1 and not member = any($2::text[])",
                    worker,
                    [row.member for row in mine],
                    [row.slots for row in mine],
                    [row.used for row in mine],
                    [row.beat for row in mine],
                )

        await self._db.run(renewed)

    async def leave(self, worker: str) -> None:
        """Gives back all that the process held; for one whose calls are over."""
        await self._db.run(
            lambda connection: connection.execute("delete from aither.shares where worker = $1", worker)
        )
