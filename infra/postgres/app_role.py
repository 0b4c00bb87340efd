"""The application's role: made by the first migration without a login, which this gives it.

Where somebody has given it one already (the embedded stack does, and a compose file's first start), it is left alone.
"""

from urllib.parse import unquote, urlsplit

import asyncpg

from infra.embedded.passwords import scram_verifier
from infra.postgres.house import APP_ROLE
from infra.postgres.migrate import LOCK, Connection

POOLER_PORT = 6543
"""Where Supabase's pooler gives each transaction another session."""


class RoleError(Exception):
    """The role cannot be given a login; says what to do."""


def role_of(dsn: str) -> str:
    """The role that a DSN names. A pooler wants it as `role.project`."""
    return unquote(urlsplit(dsn).username or "").partition(".")[0]


async def admit(connection: Connection, app_dsn: str | None) -> str:
    """Lets the application's role log in with the password of its DSN; what was done, in words.

    The password itself is in no statement. Raises `RoleError` where this connection's role may not do it.
    """
    if app_dsn is None:
        return ""
    name, password = role_of(app_dsn), unquote(urlsplit(app_dsn).password or "")
    if name != APP_ROLE or not password:
        return ""
    await connection.execute("select pg_advisory_lock($1)", LOCK)
    try:
        if await connection.fetchval("select rolcanlogin from pg_roles where rolname = $1", APP_ROLE):
            return ""
        await connection.execute(f"alter role {APP_ROLE} login password '{scram_verifier(password)}'")
        await connection.execute(
            f"do $$ begin execute format('grant connect on database %I to {APP_ROLE}', current_database()); end $$"
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise RoleError(
            f"{APP_ROLE} cannot log in, and this role may not let it: {error};"
            f" as a superuser: alter role {APP_ROLE} login password '…'"
        ) from None
    finally:
        await connection.execute("select pg_advisory_unlock($1)", LOCK)
    return f"{APP_ROLE} may log in now, with the password of AITHER_DATABASE_URL"
