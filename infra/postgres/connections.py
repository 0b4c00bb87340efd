"""What can be told of a database by the way it is reached: poolers, encryption, whose role it is."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from infra.postgres.app_role import POOLER_PORT, role_of
from infra.postgres.migrate import Connection
from infra.postgres.schema_check import Finding

SUPABASE_POOLER = ".pooler.supabase.com"


def by_transaction(dsn: str) -> bool:
    """Whether this is a pooler that gives each transaction another session, as far as an address can tell."""
    try:
        return urlsplit(dsn).port == POOLER_PORT
    except ValueError:
        return False


def of_address(dsn: str, *, pooled: bool) -> Iterator[Finding]:
    """What is wrong with an address of the application's; `pooled` is what the settings say of it."""
    parts = urlsplit(dsn)
    if by_transaction(dsn) and not pooled:
        yield Finding(
            what=f"port {POOLER_PORT} is a pooler's that gives each transaction another session",
            todo="set AITHER_DATABASE_POOLER=transaction, or use port 5432",
        )
    named = (parts.username or "").partition(".")
    if (parts.hostname or "").endswith(SUPABASE_POOLER) and not named[2]:
        yield Finding(
            what="Supabase's pooler does not know of which project the role is",
            todo=f"let the user be {role_of(dsn) or 'aither_app'}.PROJECT in AITHER_DATABASE_URL",
        )


async def of_session(connection: Connection, dsn: str) -> list[Finding]:
    """Whether what goes over the network can be read there."""
    host = urlsplit(dsn).hostname or "localhost"
    if host in {"localhost", "127.0.0.1", "::1"} or host.startswith("/"):
        return []
    # Behind a pooler this is the way from there to the server.
    if await connection.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()"):
        return []
    return [
        Finding(
            what=f"nothing is encrypted on the way to {host}",
            todo="add ?sslmode=require to AITHER_DATABASE_URL, unless the network is your own",
            warning=True,
        )
    ]
