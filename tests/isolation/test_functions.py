"""Every function that the application may call: as one tenant, with another one's ids, it shows and changes nothing.

The functions come from the catalogue. Those that take a tenant's name work for that tenant: the name is the caller's,
which the API takes from the key alone. So they are called for one's own tenant, with everything else another's.
"""

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from infra.embedded.postgres import APP
from infra.postgres.house import DEFINERS
from infra.postgres.migrate import Connection
from tests.isolation.filling import SECRET
from tests.isolation.ground import MINE, THEIRS, Ground, digests

OF_THE_HOUSE = {
    "bill_lease": "leases",
    "join_lease": "leases",
    "hear_box": "leases",
    "refuse_box": "boxes",
    "join_box": "boxes",
    "hear_joined_box": "boxes",
    "telegram_pace": "how fast a chat may be written to",
    "telegram_due": "updates, of which nobody knows yet whose they are",
    "telegram_lead": "which process reads a bot's updates",
    "current_tenant": "the tenant that was named",
}
"""Functions that touch no tenant's rows and take no tenant's name: why."""
NOT_THE_APPLICATIONS = {"let_owner_in"}
REFUSED = {"accept_turn", "accept_job", "open_approval", "decide_by_webhook"}


@dataclass(frozen=True)
class Function:
    name: str
    arguments: tuple[tuple[str, str], ...]
    definer: bool
    allowed: bool

    @property
    def takes_tenant(self) -> bool:
        return any(name == "p_tenant" for name, _ in self.arguments)

    @property
    def takes_row(self) -> bool:
        return any(type_.startswith("aither.") for _, type_ in self.arguments)


@pytest.fixture(scope="module")
async def functions(ground: Ground) -> list[Function]:
    async with ground.app() as app:
        rows = await app.fetch(
            "select p.proname as name, p.prosecdef as definer, has_function_privilege(p.oid, 'execute') as allowed,"
            " coalesce((p.proargnames)[1:p.pronargs], '{}') as names,"
            " array(select format_type(t, null) from unnest(p.proargtypes::oid[]) with ordinality a (t, n)"
            "  order by n) as types"
            " from pg_proc p where p.pronamespace = 'aither'::regnamespace order by 1"
        )
    return [
        Function(
            row["name"],
            tuple(itertools.zip_longest(row["names"], row["types"], fillvalue="")),
            row["definer"],
            row["allowed"],
        )
        for row in rows
    ]


def test_every_function_is_of_a_kind_that_is_known(functions: list[Function]) -> None:
    assert len(functions) > 40
    for function in functions:
        assert function.allowed == (function.name not in NOT_THE_APPLICATIONS), function
        kinds = [
            function.name in DEFINERS,
            function.name in OF_THE_HOUSE,
            function.takes_tenant,
            function.takes_row and not function.takes_tenant,
            function.name in NOT_THE_APPLICATIONS | {"approves"},
        ]
        assert sum(kinds) == 1, function
        assert function.definer == (function.name in DEFINERS), function
    assert set(DEFINERS) | set(OF_THE_HOUSE) <= {function.name for function in functions}


PARTS = {
    "p_turn": "turns",
    "p_job": "jobs",
    "p_conversation": "conversations",
    "p_key": "api_keys",
    "p_agent": "agents",
    "p_endpoint": "webhook_endpoints",
    "p_person": "people",
}
KEYS = {"agents": "name", "people": "name"}


def _given(ground: Ground, function: Function, name: str, type_: str, spare: str) -> Any:
    if name == "p_tenant":
        return MINE
    if name in PARTS:
        table = PARTS[name]
        return ground.theirs(table)[KEYS.get(table, "id")]
    if name == "p_id":
        turns = "turn" in function.name
        jobs = function.name in {"accept_job"}
        return ground.theirs("turns" if turns else "jobs" if jobs else "approvals")["id"]
    if name in {"p_status", "p_kind"}:
        said = {
            "settle_spend": "released",
            "end_turn": "cancelled",
            "end_job": "cancelled",
            "accept_job": "swarm",
        }
        return said.get(function.name, "open")
    if name == "p_role" and function.name == "admit_user":
        return "user"
    if type_ == "json":
        return json.dumps(
            {"id": spare, "dedupe_key": spare, "deciders": {"people": [], "roles": [], "quorum": 1}}
        )
    values: dict[str, Any] = {
        "text": spare,
        "boolean": True,
        "smallint": 1,
        "integer": 1,
        "bigint": 1,
        "bytea": b"\x01",
        "text[]": [spare],
        "smallint[]": [0, 1, 2],
        "bigint[]": [1],
        "interval": timedelta(days=1),
        "interval[]": [timedelta(hours=1)],
        "timestamp with time zone": datetime.now(UTC),
        "date": date(2026, 1, 1),
    }
    return values[type_]


async def _called(admin: Connection, function: Function, given: list[Any]) -> str:
    """All that the function has to say, called as the application; what refused it begins with `refused`."""
    places = ", ".join(
        f"${n}::text::{type_}" if type_.startswith("aither.") else f"${n}::{type_}"
        for n, (_, type_) in enumerate(function.arguments, 1)
    )
    try:
        async with admin.transaction():
            await admin.execute(f"set local role {APP}")
            await admin.execute("select set_config('aither.tenant', $1, true)", MINE)
            rows = await admin.fetch(f"select x::text as x from aither.{function.name}({places}) x", *given)
            await admin.execute("reset role")
            return "\n".join(row["x"] or "" for row in rows)
    except asyncpg.PostgresError as error:
        return f"refused: {type(error).__name__}: {error}"


async def test_for_ones_own_tenant_with_anothers_ids_nothing_is_told_or_changed(
    ground: Ground, functions: list[Function]
) -> None:
    answered: set[str] = set()
    async with ground.admin() as admin:
        before = await digests(admin, ground, THEIRS)
        for function in functions:
            if not function.takes_tenant or function.takes_row:
                continue
            for spare in (
                ground.theirs("approvals")["id"],
                ground.theirs("turns")["id"],
                ground.theirs("people")["name"],
            ):
                given = [_given(ground, function, name, type_, spare) for name, type_ in function.arguments]
                said = await _called(admin, function, given)
                assert SECRET + THEIRS not in said, function
                assert THEIRS not in said, function
                if not said.startswith("refused"):
                    answered.add(function.name)
            after = await digests(admin, ground, THEIRS)
            assert after == before, f"{function.name} changed {[t for t in after if after[t] != before[t]]}"
    # These make rows of one's own that would point at another's, or read an ask that is none.
    tried = {f.name for f in functions if f.takes_tenant and not f.takes_row}
    assert tried - answered <= REFUSED, tried - answered


async def test_a_row_of_anothers_that_somebody_has_got_leads_no_further(
    ground: Ground, functions: list[Function]
) -> None:
    tried = 0
    async with ground.admin() as admin:
        before = await digests(admin, ground, THEIRS)
        for function in functions:
            if not function.takes_row:
                continue
            given: list[Any] = []
            for name, type_ in function.arguments:
                if type_.startswith("aither."):
                    table = type_.removeprefix("aither.")
                    owner = ground.filler.tables[table].owner
                    bare = await admin.fetchval(
                        f"select (jsonb_populate_record(null::{type_}, j.o))::text from (select jsonb_object_agg("
                        "  k, case when v #>> '{}' like $2 then '\"…\"' else v end) as o from aither."
                        f"{table} t, jsonb_each(to_jsonb(t)) e (k, v) where t.{owner} = $1) j",
                        THEIRS,
                        f"%{SECRET}%",
                    )
                    given.append(bare)
                else:
                    given.append(_given(ground, function, name, type_, "x"))
            said = await _called(admin, function, given)
            tried += 1
            assert SECRET + THEIRS not in said, function
        assert await digests(admin, ground, THEIRS) == before
    assert tried >= 8


async def test_what_sees_more_than_one_tenant_tells_ids_alone(ground: Ground) -> None:
    """The sweeps and the list of tenants are the house's; what is looked up needs a secret, or an id nobody guesses."""
    async with ground.admin() as admin:
        await admin.execute(
            "update aither.turns set accepted_at = now() - interval '1 hour', status = 'running'"
        )
        await admin.execute(f"set local role {APP}")
        for query in (
            "select t::text from aither.due_turns(100) t",
            "select t::text from aither.due_jobs(100) t",
            "select t::text from aither.due_approvals(100) t",
        ):
            for row in await admin.fetch(query):
                assert SECRET not in row[0]
        for query in (
            "select * from aither.authenticate('\\x00')",
            "select * from aither.webhook_endpoint('whe_guessed')",
            "select * from aither.telegram_bind('\\x00', 1, '')",
            "select * from aither.telegram_button('guessed', 1)",
            "select * from aither.telegram_reply(1, 1, 1, 1)",
            "select * from aither.telegram_bound(1)",
        ):
            assert await admin.fetch(query) == [], query


async def test_a_user_is_let_into_no_tenant_but_the_one_that_was_named(ground: Ground) -> None:
    async with ground.admin() as admin:
        before = await digests(admin, ground, THEIRS)
        await admin.execute(f"set local role {APP}")
        call = "select * from aither.admit_user($1, 'jwt:x', 'x', 'user', null)"
        assert len(await admin.fetch(call, MINE)) == 1
        assert await admin.fetch(call, "no-such-tenant") == []
        await admin.execute("reset role")
        assert await digests(admin, ground, THEIRS) == before
        digest = await admin.fetchval("select secret_sha256 from aither.api_keys where id = 'jwt:x'")
        assert len(digest) == 32
