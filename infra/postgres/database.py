"""The connection pool, and the one translation of PostgreSQL's failures."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

import asyncpg

from activities.errors import StoreUnavailable

T = TypeVar("T")

CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says of a connection that was told of the server's end while it lay idle.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)

STATEMENTS_KEPT = 100
"""Statements that a connection has prepared; what one session has prepared, another one behind a pooler has not."""
_BOUND = """
do $$ begin
    if (select rolsuper or rolbypassrls from pg_roles where rolname = current_user)
        or pg_has_role(
            current_user, (select relowner from pg_class where oid = to_regclass('aither.tenants')), 'member')
    then
        raise insufficient_privilege
            using message = format('row-level security does not bind the database role %s', current_user);
    end if;
end $$
"""

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


class Database:
    """A pool of connections as the application's role, which row-level security binds."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, pooled: bool = False) -> None:
        self._pool = pool
        self._pooled = pooled

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, dsn: str, size: int, *, lazy: bool = False, pooled: bool = False
    ) -> "AsyncGenerator[Database]":
        """A pool of up to `size` connections, closed with the block.

        `pooled` says that a pooler is between, which gives each transaction another session: no statement is
        prepared by name then, and each query is a transaction. Raises `StoreUnavailable`; a `lazy` pool connects
        with its first query instead.
        """
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=0 if lazy else 1,
                max_size=size,
                command_timeout=30,
                timeout=5,
                reset=_leave_as_is,
                init=_refuse_the_unbound,
                statement_cache_size=0 if pooled else STATEMENTS_KEPT,
            )
        except (*CONNECTION_LOST, asyncpg.PostgresError) as error:
            raise StoreUnavailable(f"PostgreSQL cannot be reached: {type(error).__name__}") from error
        try:
            yield cls(pool, pooled=pooled)
        finally:
            pool.terminate()

    @property
    def connections(self) -> dict[str, int]:
        """How many there may be (`max`), are `open`, and of those `idle`."""
        pool = self._pool
        return {"max": pool.get_max_size(), "open": pool.get_size(), "idle": pool.get_idle_size()}

    async def run(self, query: Callable[[Connection], Awaitable[T]], *, patience: float = 0.0) -> T:
        """Runs `query` on one connection.

        A lost connection is tried again for `patience` seconds, so the query must be safe to run twice;
        after that it is a `StoreUnavailable`.
        """
        return await self._run(_in_transaction(query) if self._pooled else query, patience)

    async def _run(self, query: Callable[[Connection], Awaitable[T]], patience: float) -> T:
        deadline = asyncio.get_running_loop().time() + patience
        pause = 0.05
        while True:
            try:
                async with self._pool.acquire(timeout=5) as connection:
                    return await query(connection)
            except CONNECTION_LOST as error:
                if asyncio.get_running_loop().time() + pause > deadline:
                    raise StoreUnavailable(
                        f"PostgreSQL does not answer ({type(error).__name__}); the turn waits for it"
                    ) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    async def in_tenant(
        self, tenant_id: str, query: Callable[[Connection], Awaitable[T]], *, patience: float = 0.0
    ) -> T:
        """Runs `query` in one transaction that sees this tenant's rows only."""

        async def scoped(connection: Connection) -> T:
            async with connection.transaction():
                await connection.execute("select set_config('aither.tenant', $1, true)", tenant_id)
                return await query(connection)

        return await self._run(scoped, patience)


def _in_transaction(query: Callable[[Connection], Awaitable[T]]) -> Callable[[Connection], Awaitable[T]]:
    """The query as one transaction: between parsing and executing, a pooler might take the session away."""

    async def within(connection: Connection) -> T:
        async with connection.transaction():
            return await query(connection)

    return within


async def _refuse_the_unbound(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Ends a connection as a role that sees all tenants. It is a mistake, such as a Supabase project's `postgres`."""
    try:
        await connection.execute(_BOUND)
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreUnavailable(
            f"{error}, so it is not worked with; let AITHER_DATABASE_URL name aither_app, and see `aither db check`"
        ) from None


async def _leave_as_is(_: object) -> None:
    """Stands for a second round trip that resets the session: settings here end with their transaction."""
