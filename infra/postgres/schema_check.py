"""Whether a database holds what the product relies on, seen by the application's own role from the catalogue.

Each finding says what is wrong and what to do. Nothing is changed, and no row is read.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import asyncpg

from infra.postgres.house import (
    APP_ROLE,
    APPENDS,
    DEFINERS,
    DELETES,
    HOUSE,
    SCHEMAS,
    HouseTable,
    tenant_column,
)
from infra.postgres.migrate import Connection

LEAST_VERSION = 15
LEAST_TIMEOUT_S = 30
"""A statement may take this long before the application itself gives it up."""
PINNED = "search_path=pg_catalog, pg_temp"
AGAIN = "run `aither db migrate`; if it stays so, somebody has changed the schema by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be: what, and what to do. A `warning` is no fault by itself."""

    what: str
    todo: str
    warning: bool = False


async def findings(connection: Connection) -> list[Finding]:
    """What is wrong, as the connection's role sees it; it should be the application's."""
    checks = (_server, _role, _tables, _policies, _grants, _outsiders, _functions, _views)
    if not await connection.fetchval("select to_regclass('aither.tenants') is not null"):
        return [
            *[found async for found in _server(connection)],
            Finding(what="the schema aither is not there", todo="run `aither db migrate`"),
        ]
    return [found for check in checks async for found in check(connection)]


async def _server(connection: Connection) -> AsyncGenerator[Finding]:
    version = connection.get_server_version()
    if version.major < LEAST_VERSION:
        yield Finding(
            what=f"PostgreSQL is {version.major}.{version.minor}", todo=f"{LEAST_VERSION} or later is needed"
        )
    if await connection.fetchval("select pg_is_in_recovery()"):
        yield Finding(
            what="this server is a replica, to which nothing can be written",
            todo="let AITHER_DATABASE_URL name the primary",
        )
    if await connection.fetchval("show row_security") != "on":
        yield Finding(
            what="row_security is off, so every query of a tenant's rows fails",
            todo=f"alter role {APP_ROLE} reset row_security, and look at the database's and the server's settings",
        )
    timeout_ms = await connection.fetchval(
        "select setting::int from pg_settings where name = 'statement_timeout'"
    )
    if 0 < timeout_ms < LEAST_TIMEOUT_S * 1000:
        yield Finding(
            what=f"statement_timeout is {timeout_ms} ms: long statements are cut",
            todo=f"alter role {APP_ROLE} set statement_timeout = '60s'",
            warning=True,
        )


async def _role(connection: Connection) -> AsyncGenerator[Finding]:
    role = await connection.fetchrow(
        "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles"
        " where rolname = current_user"
    )
    assert role is not None
    name = role["rolname"]
    use = f"let AITHER_DATABASE_URL name {APP_ROLE}, or a role that is a member of it and of nothing else"
    if role["rolsuper"] or role["rolbypassrls"]:
        how = "is a superuser" if role["rolsuper"] else "bypasses row-level security"
        yield Finding(what=f"the role {name} {how}: it sees all tenants", todo=use)
    elif await connection.fetchval(
        "select bool_or(pg_has_role(current_user, c.relowner, 'member')) from pg_class c"
        " where c.relnamespace = 'aither'::regnamespace"
    ):
        yield Finding(what=f"the role {name} owns the schema, or may become its owner", todo=use)
    if role["rolcreaterole"] or role["rolcreatedb"]:
        yield Finding(
            what=f"the role {name} may create roles or databases",
            todo=f"alter role {name} nocreaterole nocreatedb",
        )
    if not await connection.fetchval(
        "select coalesce(pg_has_role(current_user, oid, 'usage'), false) from pg_roles where rolname = $1",
        APP_ROLE,
    ):
        yield Finding(what=f"the role {name} is neither {APP_ROLE} nor a member of it", todo=use)


_TABLES = (
    "select c.oid, c.relname as name, c.relrowsecurity as on, c.relforcerowsecurity as forced,"
    " exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = any ($1) and a.attnotnull"
    " and not a.attisdropped) as owned"
    " from pg_class c where c.relnamespace = 'aither'::regnamespace and c.relkind in ('r', 'p', 'f')"
    " order by c.relname"
)


async def _tables(connection: Connection) -> AsyncGenerator[Finding]:
    columns = sorted({"tenant_id"} | {tenant_column(name) for name in ("tenants", "model_files")})
    for table in await connection.fetch(_TABLES, columns):
        name = table["name"]
        if name in HOUSE:
            continue
        if not table["owned"]:
            yield Finding(
                what=f"aither.{name} names no tenant, and is not known as the house's",
                todo="move what is not Aither's into a schema of its own",
            )
        elif not (table["on"] and table["forced"]):
            how = "not forced" if table["on"] else "off"
            yield Finding(what=f"row-level security of aither.{name} is {how}", todo=AGAIN)


OPERATIONS = {"r": "select", "a": "insert", "w": "update", "d": "delete"}
_POLICIES = (
    "select c.relname as table, p.polname as name, p.polcmd::text as command, p.polpermissive as permissive,"
    " coalesce(pg_get_expr(p.polqual, p.polrelid), '') as seen,"
    " coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') as written,"
    " exists (select from unnest(p.polroles) r where r = 0 or pg_has_role($1::name, r, 'member')) as binds"
    " from pg_class c left join pg_policy p on p.polrelid = c.oid"
    " where c.relnamespace = 'aither'::regnamespace and c.relrowsecurity order by 1, 2"
)
SHARED = ("model_files", "(scope = 'shared'::text)")
"""The one policy that opens rows which are no tenant's."""


async def _policies(connection: Connection) -> AsyncGenerator[Finding]:
    of_table: dict[str, list[asyncpg.Record]] = {}
    for row in await connection.fetch(_POLICIES, APP_ROLE):
        of_table.setdefault(row["table"], []).append(row)
    for table, policies in of_table.items():
        own = f"({tenant_column(table)} = ( SELECT aither.current_tenant() AS current_tenant))"
        covered: set[str] = set()
        for policy in policies:
            if not policy["binds"] or not policy["permissive"]:
                continue
            shared = (table, policy["seen"]) == SHARED and policy["command"] == "r"
            # What says nothing of rows that are written takes the words about rows that are seen.
            if not shared and {policy["seen"] or own, policy["written"] or own} != {own}:
                yield Finding(
                    what=f"the policy {policy['name']} of aither.{table} opens it further", todo=AGAIN
                )
            if not shared:
                covered |= set(OPERATIONS) if policy["command"] == "*" else {policy["command"]}
        for command in OPERATIONS.keys() - covered:
            yield Finding(what=f"aither.{table} has no policy for {OPERATIONS[command]}", todo=AGAIN)


_GRANTS = (
    "select c.relname as name, array_agg(distinct g.privilege_type) as granted"
    " from pg_class c, aclexplode(c.relacl) g"
    " where c.relnamespace = 'aither'::regnamespace and g.grantee <> c.relowner"
    " and (g.grantee = 0 or pg_has_role($1::name, g.grantee, 'member')) group by 1 order by 1"
)


def allowed(table: str) -> frozenset[str]:
    """What the application may do with a table."""
    own = {"SELECT", "INSERT"} | ({"UPDATE"} - {"UPDATE" if table in APPENDS else ""})
    own |= {"DELETE"} if table in DELETES else set()
    return HOUSE.get(table, HouseTable(why="", may=frozenset(own))).may


async def _grants(connection: Connection) -> AsyncGenerator[Finding]:
    for row in await connection.fetch(_GRANTS, APP_ROLE):
        wide = sorted(set(row["granted"]) - allowed(row["name"]))
        if wide:
            yield Finding(
                what=f"{APP_ROLE} may {', '.join(wide).lower()} aither.{row['name']}, which it never needs to",
                todo=f"revoke {', '.join(wide).lower()} on aither.{row['name']} from {APP_ROLE}",
            )
    for schema in SCHEMAS:
        held = await connection.fetchval(
            "select has_schema_privilege($2::name, n.oid, 'create')"
            " or ($1 <> 'aither' and has_schema_privilege($2::name, n.oid, 'usage'))"
            " from pg_namespace n where n.nspname = $1",
            schema,
            APP_ROLE,
        )
        if held:
            yield Finding(
                what=f"{APP_ROLE} may do more in the schema {schema} than it needs to",
                todo=f"revoke create on schema {schema} from {APP_ROLE}; it uses aither alone",
            )


_OUTSIDERS = (
    "select distinct o.what, coalesce(r.rolname, 'public') as who from ("
    " select 'the schema ' || n.nspname as what, n.nspowner as owner, g.grantee from pg_namespace n,"
    "  aclexplode(n.nspacl) g where n.nspname = any ($2)"
    " union all select 'the table ' || c.oid::regclass, c.relowner, g.grantee from pg_class c"
    "  join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) g where n.nspname = any ($2)"
    " union all select 'the function ' || p.oid::regproc, p.proowner, g.grantee from pg_proc p"
    "  join pg_namespace n on n.oid = p.pronamespace,"
    "  aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g where n.nspname = any ($2)"
    ") o left join pg_roles r on r.oid = o.grantee"
    " where o.grantee <> o.owner and r.rolname is distinct from $1"
    " and not coalesce(r.rolsuper, false) order by 1, 2"
)
MOST_TOLD = 5


async def _outsiders(connection: Connection) -> AsyncGenerator[Finding]:
    rows = await connection.fetch(_OUTSIDERS, APP_ROLE, list(SCHEMAS))
    by_role: dict[str, list[str]] = {}
    for row in rows:
        by_role.setdefault(row["who"], []).append(row["what"])
    for who, held in by_role.items():
        more = f" and {len(held) - MOST_TOLD} others" if len(held) > MOST_TOLD else ""
        yield Finding(
            what=f"{who} has been granted {', '.join(held[:MOST_TOLD])}{more}",
            todo=f"revoke all on these from {who}: nobody but {APP_ROLE} has any business there",
            warning=who not in {"public", "anon", "authenticated", "service_role"},
        )


async def _functions(connection: Connection) -> AsyncGenerator[Finding]:
    rows = await connection.fetch(
        "select proname as name, prosecdef as definer, coalesce(proconfig, '{}') as config from pg_proc"
        " where pronamespace = 'aither'::regnamespace order by proname"
    )
    names = {row["name"] for row in rows}
    for row in rows:
        if not row["definer"]:
            continue
        if row["name"] not in DEFINERS:
            yield Finding(what=f"aither.{row['name']} runs as the owner, and is not known to", todo=AGAIN)
        if PINNED not in row["config"]:
            yield Finding(what=f"the search_path of aither.{row['name']} is not pinned", todo=AGAIN)
    for name in sorted(DEFINERS.keys() - names):
        yield Finding(what=f"the function aither.{name} is not there", todo=AGAIN)


async def _views(connection: Connection) -> AsyncGenerator[Finding]:
    rows = await connection.fetch(
        "select relname as name, relkind::text as kind, coalesce(reloptions, '{}') as options from pg_class"
        " where relnamespace = 'aither'::regnamespace and relkind in ('v', 'm')"
    )
    for row in rows:
        if row["kind"] == "m" or not {"security_invoker=true", "security_invoker=on"} & set(row["options"]):
            yield Finding(
                what=f"the view aither.{row['name']} shows its owner's rows",
                todo="alter view … set (security_invoker = true), or move it out of the schema",
            )


def faults(found: Sequence[Finding]) -> list[Finding]:
    """Those that are no mere warnings."""
    return [finding for finding in found if not finding.warning]
