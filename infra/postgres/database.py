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

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


class Database:
    """A pool of connections as the application's role, which row-level security binds."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def connect(cls, dsn: str, size: int, *, lazy: bool = False) -> "AsyncGenerator[Database]":
        """A pool of up to `size` connections, closed with the block.

        Raises `StoreUnavailable`; a `lazy` pool connects with its first query instead.
        """
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=0 if lazy else 1,
                max_size=size,
                command_timeout=30,
                timeout=5,
                reset=_leave_as_is,
            )
        except (*CONNECTION_LOST, asyncpg.PostgresError) as error:
            raise StoreUnavailable(f"PostgreSQL cannot be reached: {type(error).__name__}") from error
        try:
            yield cls(pool)
        finally:
            pool.terminate()

    async def run(self, query: Callable[[Connection], Awaitable[T]], *, patience: float = 0.0) -> T:
        """Runs `query` on one connection.

        A lost connection is tried again for `patience` seconds, so the query must be safe to run twice;
        after that it is a `StoreUnavailable`.
        """
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

        return await self.run(scoped, patience=patience)


async def _leave_as_is(_: object) -> None:
    """Stands for a second round trip that resets the session: settings here end with their transaction."""
