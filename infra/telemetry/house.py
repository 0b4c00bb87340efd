"""The installation's own figures from PostgreSQL, in one look: services, fleets, leases, and what boxes have cost.

It reads tables that belong to no tenant, and of them what is open: the look costs the same after years.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from activities.contracts.registry import HEARTBEAT_EVERY, MISSED
from infra.postgres.database import Database

NANO = 1_000_000_000
SILENCE = HEARTBEAT_EVERY * MISSED

LOOK = """
with now as materialized (select clock_timestamp() as at),
seen as (
    select s.kind, s.capabilities, case
        when s.left_at is not null then 'left'
        when s.last_seen < n.at - $1::interval then 'offline'
        when s.draining then 'draining' else 'online' end as status
    from aither.services s, now n
),
opened as materialized (
    select l.*, n.at as now from aither.leases l, now n where l.ended_at is null
)
select json_build_object(
    'services', (select coalesce(json_agg(x), '[]') from (
        select kind, status, count(*) as number from seen group by kind, status) x),
    'fleets', (select coalesce(json_object_agg(x.fleet, x.number), '{}') from (
        select fleet, count(*) as number from seen, json_array_elements_text(seen.capabilities) fleet
        where kind = 'worker' and status = 'online' group by fleet) x),
    'leases', (select coalesce(json_object_agg(x.state, x.number), '{}') from (
        select state, count(*) as number from opened group by state) x),
    'nano_hour', (select coalesce(sum(nano_hour), 0)::bigint from opened
        where state in ('renting', 'booting', 'joining', 'serving', 'draining', 'destroying')),
    'box_silence_s', (select max(extract(epoch from now - coalesce(heard_at, joined_at, state_at)))::float8
        from opened where state in ('serving', 'draining')),
    'market_silence_s', (select max(extract(epoch from now - coalesce(box_seen_at, intended_at, state_at)))::float8
        from opened where state in ('renting', 'booting', 'joining', 'serving', 'draining', 'destroying')),
    'day_nano', (select coalesce(sum(nano_usd), 0)::bigint from aither.lease_spend, now n
        where to_at >= date_trunc('day', n.at at time zone 'UTC') at time zone 'UTC'),
    'month_nano', (select coalesce(sum(nano_usd), 0)::bigint from aither.lease_spend, now n
        where to_at >= date_trunc('month', n.at at time zone 'UTC') at time zone 'UTC')
)::text
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseFigures:
    """What one look found. Silences are those of the lease that has been silent the longest, None without any."""

    services: tuple[Mapping[str, Any], ...] = ()
    fleets: Mapping[str, int]
    leases: Mapping[str, int]
    nano_hour: int
    box_silence_s: float | None = None
    market_silence_s: float | None = None
    day_nano: int
    month_nano: int


async def house_figures(database: Database) -> HouseFigures:
    """The figures as they are. Raises `StoreUnavailable`."""
    told = await database.run(lambda c: c.fetchval(LOOK, SILENCE))
    return msgspec.convert(orjson.loads(told), HouseFigures)
