"""The spend ledger in a real PostgreSQL: exact, append-only, and never over a cap."""

import asyncio
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.contracts.chat import FinishReason, Usage
from activities.contracts.policy import Bounds, Caps
from activities.contracts.records import Answer, CallCost, Reservation, SpendCall
from activities.contracts.turn import TurnEnding, TurnStatus
from infra.ids import new_id
from infra.postgres.database import Connection, Database
from infra.postgres.keys import PostgresKeys
from infra.postgres.ledger import PostgresLedger, SpendBy
from infra.postgres.turns import NewTurn, PostgresTurns
from tests.api.stores import Stores

NANO = 1_000_000_000
UNCAPPED = Caps()

_numbers = itertools.count(1)


@dataclass
class Books:
    """One tenant with a turn, and what it may do with money."""

    database: Database
    tenant_id: str
    key_id: str
    turn_id: str = ""

    @classmethod
    async def opened(cls, database: Database) -> "Books":
        tenant_id = f"ledger-{next(_numbers)}"
        key, _ = await PostgresKeys(database).create(tenant_id, "test")
        books = cls(database, tenant_id, key.id)
        books.turn_id = await books.turn()
        return books

    async def turn(self) -> str:
        turn_id = new_id("turn")
        await PostgresTurns(self.database).accept(
            NewTurn(
                tenant_id=self.tenant_id,
                turn_id=turn_id,
                conversation_id=None,
                new_conversation=False,
                model="auto",
                effort=3,
                effort_why="asked for",
                intent="question",
                intent_why="asked for",
                priority=1,
                agent=None,
                agent_version=None,
                policy=Bounds(),
                prompt_tokens=1,
                answer_tokens=1,
                input=b'[{"role":"user","content":"hello"}]',
                sampling=b"{}",
                metadata=b"{}",
                key_id=self.key_id,
            )
        )
        return turn_id

    def call(self, step: int = 1, turn_id: str = "") -> SpendCall:
        return SpendCall(
            tenant_id=self.tenant_id,
            turn_id=turn_id or self.turn_id,
            step=step,
            backend="cloud",
            model="cloud-model",
            local=False,
        )

    async def reserve(
        self, nano: int, step: int = 1, caps: Caps = UNCAPPED, turn_id: str = ""
    ) -> Reservation:
        return await PostgresLedger(self.database).reserve(self.call(step, turn_id), nano, caps)

    async def release(self, step: int = 1, turn_id: str = "") -> None:
        await PostgresLedger(self.database).release(self.call(step, turn_id))

    async def settle(self, nano: int, step: int = 1, turn_id: str = "", *, final: bool = False) -> None:
        answer = Answer(
            step=step,
            text="answer",
            finish_reason=FinishReason.STOP,
            backend="cloud",
            model="cloud-model",
            usage=Usage(prompt_tokens=3, completion_tokens=5),
        )
        await PostgresTurns(self.database).record_answer(
            self.tenant_id,
            turn_id or self.turn_id,
            answer,
            (),
            final=final,
            cost=CallCost(nano_usd=nano, reference_nano_usd=2 * nano, local=False),
        )

    async def rows(self, sql: str) -> list[asyncpg.Record]:
        async def query(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(sql, self.tenant_id)

        return await self.database.in_tenant(self.tenant_id, query)

    async def day(self) -> tuple[int, int]:
        (row,) = await self.rows(
            "select spent_nano as spent, reserved_nano as reserved from aither.spend_days where tenant_id = $1"
        )
        return row["spent"], row["reserved"]

    async def ledger(self) -> tuple[int, int]:
        """The same two sums, from the entries."""
        (row,) = await self.rows(
            "select coalesce(sum(nano_usd) filter (where kind = 'settled'), 0)::bigint as spent,"
            " coalesce(sum(nano_usd) filter (where kind = 'reserved' and not exists ("
            "   select from aither.spend e where e.tenant_id = s.tenant_id and e.turn_id = s.turn_id"
            "   and e.step = s.step and e.round = s.round and e.kind <> 'reserved')), 0)::bigint as reserved"
            " from aither.spend s where tenant_id = $1"
        )
        return row["spent"], row["reserved"]


@pytest.fixture
async def books(database: Database) -> Books:
    return await Books.opened(database)


async def test_what_is_set_aside_is_booked_or_given_back(books: Books) -> None:
    assert (await books.reserve(100)).granted
    assert await books.day() == (0, 100)
    await books.settle(60)
    assert await books.day() == (60, 0)
    assert (await books.reserve(500, step=2)).spending.turn_spent == 60
    await books.release(step=2)
    assert await books.day() == await books.ledger() == (60, 0)


async def test_everything_may_be_said_twice(books: Books) -> None:
    for _ in range(2):
        await books.reserve(100)
    assert await books.day() == (0, 100)
    for _ in range(2):
        await books.release()
    assert await books.day() == (0, 0)
    for _ in range(2):
        await books.reserve(70)
    assert await books.day() == (0, 70), "an attempt after one that gave its money back sets it aside anew"
    for _ in range(2):
        await books.settle(50)
    await books.release()
    assert await books.day() == await books.ledger() == (50, 0)


async def test_a_release_of_nothing_is_nothing(books: Books) -> None:
    await books.release()
    assert await books.rows("select from aither.spend where tenant_id = $1") == []


@pytest.mark.parametrize(
    ("caps", "cap"),
    [
        (Caps(turn_usd=100 / NANO), "turn"),
        (Caps(tenant_day_usd=100 / NANO), "day"),
        (Caps(tenant_month_usd=100 / NANO), "month"),
        (Caps(turn_usd=0.0), "turn"),
    ],
)
async def test_a_cap_holds_to_the_nano_dollar(books: Books, caps: Caps, cap: str) -> None:
    least = 1 if caps.turn_usd == 0.0 else 101
    refused = await books.reserve(least, caps=caps)
    assert (refused.granted, refused.cap) == (False, cap)
    assert await books.day() == (0, 0)
    if least > 1:
        assert (await books.reserve(100, caps=caps)).granted
        assert not (await books.reserve(1, step=2, caps=caps)).granted
        await books.settle(40)
        assert (await books.reserve(60, step=2, caps=caps)).granted


async def test_a_turns_cap_is_the_turns_and_the_days_is_the_tenants(books: Books, database: Database) -> None:
    other = await books.turn()
    assert (await books.reserve(100, caps=Caps(turn_usd=100 / NANO))).granted
    assert (await books.reserve(100, caps=Caps(turn_usd=100 / NANO), turn_id=other)).granted
    assert not (await books.reserve(1, 2, Caps(tenant_day_usd=200 / NANO), other)).granted
    stranger = await Books.opened(database)
    assert (await stranger.reserve(200, caps=Caps(tenant_day_usd=200 / NANO))).granted


async def test_many_at_once_never_pass_a_cap(books: Books) -> None:
    caps = Caps(tenant_month_usd=1000 / NANO)
    turns = [await books.turn() for _ in range(20)]
    granted = await asyncio.gather(*(books.reserve(90, 1, caps, turn) for turn in turns))
    assert sum(each.granted for each in granted) == 11
    assert await books.day() == await books.ledger() == (0, 990)


async def test_last_months_money_is_last_months(books: Books, real_stores: Stores) -> None:
    today = datetime.now(UTC).date()
    days = {today.replace(day=1) - timedelta(days=1): 700, today.replace(day=1): 0}
    connection = await asyncpg.connect(real_stores.admin)
    try:
        for day, nano in days.items():
            await connection.execute(
                "insert into aither.spend_days (tenant_id, day, spent_nano) values ($1, $2, $3)",
                books.tenant_id, day, nano,
            )  # fmt: skip
    finally:
        await connection.close()
    reserved = await books.reserve(100, caps=Caps(tenant_month_usd=100 / NANO))
    assert reserved.granted
    assert reserved.spending.month_spent == 0


async def test_nothing_is_set_aside_for_what_is_answered_or_over(books: Books) -> None:
    """An attempt that was taken for lost may come late; nobody would give its money back."""
    await books.settle(60)
    late = await books.reserve(100)
    assert (late.granted, late.cap) == (False, None)
    await books.settle(10, 2, final=True)
    late = await books.reserve(100, 3)
    assert (late.granted, late.cap) == (False, None)
    assert await books.day() == await books.ledger() == (70, 0)


async def test_ends_bookings_and_reservations_at_once_never_lock_each_other_out(database: Database) -> None:
    books = await Books.opened(database)
    turns = [await books.turn() for _ in range(12)]
    await asyncio.gather(*(books.reserve(10, 1, turn_id=turn) for turn in turns))
    ending = [
        TurnEnding(tenant_id=books.tenant_id, turn_id=turn, status=TurnStatus.CANCELLED) for turn in turns
    ]
    await asyncio.gather(
        *(books.settle(5, 1, turn, final=True) for turn in turns),
        *(PostgresTurns(database).end_turn(end) for end in ending),
        *(books.reserve(10, 2, turn_id=turn) for turn in turns),
        *(books.release(1, turn) for turn in turns),
    )
    spent, aside = await books.day()
    assert aside == 0
    assert (spent, aside) == await books.ledger()


async def test_a_release_beside_a_booking_gives_nothing_back_twice(books: Books) -> None:
    """Another reservation stands, so that a sum gone wrong would not even be negative."""
    await books.reserve(100)
    await books.reserve(100, 2)
    book = "select aither.settle_spend($1,$2,1::smallint,'settled','cloud','cloud-model',false,60,60,1,1,0,0)"

    async def booked_while_released(connection: Connection) -> "asyncio.Task[None]":
        await connection.execute(book, books.tenant_id, books.turn_id)
        releasing = asyncio.create_task(books.release())
        own = await connection.fetchval("select pg_backend_pid()")
        while not await connection.fetchval(
            "select count(*) from pg_locks where not granted and $1 = any (pg_blocking_pids(pid))", own
        ):
            pass
        return releasing

    async with asyncio.timeout(30):
        await (await books.database.in_tenant(books.tenant_id, booked_while_released))
    assert await books.day() == await books.ledger() == (60, 100)


async def test_an_end_gives_back_what_its_turn_had_set_aside(books: Books) -> None:
    for step in (1, 2):
        await books.reserve(100, step)
    await books.release(2)
    await books.reserve(50, 2)
    await books.reserve(30, 3)
    await books.settle(20, 3, final=True)
    assert await books.day() == await books.ledger() == (20, 0)


@pytest.mark.parametrize(
    "sql",
    [
        "update aither.spend set nano_usd = 0",
        "delete from aither.spend",
        "truncate aither.spend",
        "delete from aither.spend_days",
        "drop table aither.spend",
        "alter table aither.spend disable row level security",
    ],
)
async def test_the_ledger_can_only_be_added_to(books: Books, sql: str) -> None:
    await books.reserve(100)
    await books.settle(60)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await books.database.in_tenant(books.tenant_id, lambda c: c.execute(sql))
    assert await books.ledger() == (60, 0)


async def test_no_tenant_sees_or_books_anothers_money(books: Books, database: Database) -> None:
    await books.reserve(100)
    stranger = await Books.opened(database)

    async def look(connection: Connection) -> int:
        return await connection.fetchval(
            "select count(*) from aither.spend where tenant_id = $1", books.tenant_id
        )

    assert await database.in_tenant(stranger.tenant_id, look) == 0
    forged = "insert into aither.spend (tenant_id, turn_id, step, kind, key_id, backend, model, local, nano_usd)" \
        f" values ('{books.tenant_id}', '{books.turn_id}', 9, 'settled', 'k', 'b', 'm', true, 5)"  # fmt: skip
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.in_tenant(stranger.tenant_id, lambda c: c.execute(forged))


async def test_a_report_sums_to_the_nano_dollar(books: Books) -> None:
    for step, nano in enumerate((1, 333_333_333, 999_999_999_999), start=1):
        await books.settle(nano, step)
    today = datetime.now(UTC).date()
    for by in SpendBy:
        lines = await PostgresLedger(books.database).report(books.tenant_id, by, today, today)
        assert sum(round(line.usd * NANO) for line in lines) == 1_000_333_333_333
        assert sum(line.calls for line in lines) == 3


steps = st.tuples(
    st.sampled_from(["reserve", "release", "settle"]), st.integers(1, 3), st.integers(0, 10**12)
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(todo=st.lists(steps, max_size=12), cap=st.one_of(st.none(), st.integers(0, 2 * 10**12)))
async def test_sums_and_entries_agree_whatever_happens_in_whatever_order(
    database: Database, todo: list[tuple[str, int, int]], cap: int | None
) -> None:
    books = await Books.opened(database)
    caps = replace(UNCAPPED, tenant_day_usd=None if cap is None else cap / NANO)
    await books.reserve(0, 4)
    reserved: dict[int, int] = {}
    for verb, step, nano in todo:
        if verb == "reserve":
            if (await books.reserve(nano, step, caps)).granted and step not in reserved:
                reserved.setdefault(step, nano)
        elif verb == "release":
            await books.release(step)
            reserved.pop(step, None)
        else:
            # An answer costs no more than was set aside for it.
            await books.settle(min(nano, reserved.pop(step, 0)), step)
        spent, aside = await books.day()
        assert (spent, aside) == await books.ledger()
        assert cap is None or spent + aside <= cap
