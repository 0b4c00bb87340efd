"""Processes of ours in the registry: they beat for themselves, and leave when they end."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from activities.contracts.backends import Locality
from activities.contracts.cards import CardSpec, HostKind, Resident
from activities.contracts.pools import MemberHealth, MemberSource, MemberView, PoolView
from activities.contracts.registry import Beat, Service, ServiceKind, ServiceStatus
from infra import presence
from infra.postgres.database import Database
from infra.postgres.registry import PostgresRegistry, ServiceNotFound
from infra.presence import registered
from workers.pools.identity import process_name
from workers.registering import told_by_worker


def member(name: str, *, share: int, used: int, health: MemberHealth = MemberHealth.UP) -> MemberView:
    return MemberView(
        backend=name,
        model="m",
        locality=Locality.LOCAL,
        source=MemberSource.CONFIGURED,
        slots=16,
        health=health,
        share=share,
        used=used,
    )


async def heard(registry: PostgresRegistry, name: str) -> Service:
    """The service, once it has beaten."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await registry.service(name)
            except ServiceNotFound:
                await asyncio.sleep(0.01)


async def test_a_worker_registers_itself_its_pools_and_the_cards_and_leaves(database: Database) -> None:
    registry = PostgresRegistry(database)
    pools = [
        PoolView(pool="llm-a", members=(member("x", share=4, used=1), member("y", share=4, used=1))),
        PoolView(pool="llm-b", members=(member("z", share=4, used=0, health=MemberHealth.DOWN),)),
    ]
    resident = Resident(name="swap", card="box/0", kind=HostKind.VLLM, mib=1, base_url="http://x")
    card = CardSpec(card="box/0", vram_mib=100, residents=(resident,))
    tell = told_by_worker(["turns", "pools"], lambda: pools, [card])
    us = f"worker/{process_name()}"
    async with registered(registry, tell):
        worker = await heard(registry, us)
        assert (worker.kind, worker.status) == (ServiceKind.WORKER, ServiceStatus.ONLINE)
        assert worker.capabilities == ("turns", "pools")
        assert worker.metadata == {"pools": ["llm-a", "llm-b"]}
        busy, down = await registry.service("pool/llm-a"), await registry.service("pool/llm-b")
        assert (busy.kind, busy.capabilities, busy.load) == (ServiceKind.POOL, ("m",), 0.25)
        assert (down.status, down.load) == (ServiceStatus.ONLINE, None)
        seen = await registry.service("card/box/0")
        assert (seen.kind, seen.capabilities) == (ServiceKind.CARD, ("swap",))
    assert (await registry.service(us)).status is ServiceStatus.LEFT
    # Others may serve its pools.
    assert (await registry.service("pool/llm-a")).status is ServiceStatus.ONLINE


async def test_it_beats_again_and_again_whatever_a_beat_does(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "HEARTBEAT_EVERY", timedelta(0))
    monkeypatch.setattr(presence, "RETRY_S", 0.0)
    registry = PostgresRegistry(database)
    told = 0

    def tell() -> Sequence[Beat]:
        nonlocal told
        told += 1
        if told == 1:
            raise RuntimeError("not yet")
        return [Beat(name="stubborn", kind=ServiceKind.OTHER, load=min(1.0, told / 1000))]

    async with registered(registry, tell):
        first = await heard(registry, "stubborn")
        async with asyncio.timeout(30):
            while (await registry.service("stubborn")).load == first.load:
                await asyncio.sleep(0.01)
    assert (await registry.service("stubborn")).status is ServiceStatus.LEFT
