"""A fresh PostgreSQL cluster with the roles that Supabase gives a project, and databases that such roles own."""

import asyncio
import signal
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from infra.embedded.layout import Layout
from infra.embedded.postgres import ADMIN, APP, postgres_part
from infra.embedded.spawn import spawn
from infra.postgres.migrate import Connection
from tests.api.stores import HOST, PASSWORDS, PATIENCE_S, free_port

APP_PASSWORD = "app's own"
SUPABASE_OWNER = "postgres"
"""As a project's `postgres` is: no superuser, but it may make roles, and no row-level security binds it."""
BOUND_OWNER = "landlord"
"""As elsewhere: it may make roles, and is bound by forced row-level security."""
OUTSIDERS = ("anon", "authenticated", "service_role")

_PROJECT = """
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit password 'authenticator';
grant anon, authenticated, service_role to authenticator;
create role postgres login createdb createrole replication bypassrls password 'owner';
grant anon, authenticated, service_role to postgres with admin option;
create role landlord login createdb createrole password 'owner';
"""
_DATABASE = """
create schema auth;
create function auth.jwt() returns jsonb language sql stable
    return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
create function auth.uid() returns uuid language sql stable return (auth.jwt() ->> 'sub')::uuid;
grant usage on schema auth, public to anon, authenticated, service_role;
grant create on schema public to postgres;
alter default privileges for role postgres in schema public
    grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on sequences to anon, authenticated, service_role;
-- What a project may have said of all its schemas, by mistake.
alter default privileges for role postgres grant select on tables to anon;
alter default privileges for role postgres grant usage on schemas to anon;
"""


@dataclass(frozen=True)
class Cluster:
    """A running server. `app` is the DSN of the application's role, without a database."""

    port: int

    def dsn(self, role: str, database: str) -> str:
        password = {ADMIN: "admin", APP: APP_PASSWORD.replace("'", "%27").replace(" ", "%20")}.get(
            role, "owner"
        )
        return f"postgresql://{role}:{password}@{HOST}:{self.port}/{database}"

    async def make_database(self, name: str, owner: str) -> None:
        admin = await asyncpg.connect(self.dsn(ADMIN, "postgres"))
        try:
            await admin.execute(f"create database {name} owner {owner}")
        finally:
            await admin.close()
        admin = await asyncpg.connect(self.dsn(ADMIN, name))
        try:
            await admin.execute(_DATABASE)
        finally:
            await admin.close()

    @asynccontextmanager
    async def open(self, role: str, database: str) -> AsyncGenerator[Connection]:
        connection = await asyncpg.connect(self.dsn(role, database))
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def cluster() -> AsyncGenerator[Cluster]:
    """A cluster in which nothing of ours has been made, not even our role; gone with the block."""
    with tempfile.TemporaryDirectory(prefix="aither-owners-") as folder:
        layout = Layout(Path(folder))
        layout.make()
        port = free_port()
        part = postgres_part(layout, HOST, port, PASSWORDS)
        assert part.before is not None
        await part.before()
        server = await spawn(part, layout.log_file("postgres"))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await part.ready():
                    await asyncio.sleep(0.02)
            made = Cluster(port)
            async with made.open(ADMIN, "postgres") as admin:
                await admin.execute(_PROJECT)
            yield made
        finally:
            server.send_signal(signal.SIGQUIT)
            await server.wait()
