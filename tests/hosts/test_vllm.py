"""vLLM in sleep mode is believed only what is seen of it."""

import aiohttp
import pytest

from activities.contracts.cards import HostKind, Residency, Resident
from activities.errors import MoveFailed
from activities.hosting import HostActivities
from infra.hosts.vllm import VllmHost
from tests.hosts.conftest import Card, NoGauge, a_resident, an_ask
from tests.support.standin_vllm_sleep import Manner, SleepingVllm

AWAKE, ASLEEP = Residency.AWAKE, Residency.ASLEEP


def resident_of(server: SleepingVllm, level: int = 1) -> Resident:
    return a_resident(HostKind.VLLM, server.url, asleep_mib=50, sleep_level=level)


@pytest.fixture
def host(http: aiohttp.ClientSession) -> VllmHost:
    return VllmHost(http, probe_s=0.3, sleep_s=0.3)


async def where(host: VllmHost, resident: Resident) -> Residency:
    return (await host.find(resident)).residency


@pytest.mark.parametrize("embeds", [False, True])
async def test_it_sleeps_and_wakes(host: VllmHost, embeds: bool) -> None:
    async with SleepingVllm(embeds=embeds) as server:
        resident = resident_of(server)
        assert await where(host, resident) is AWAKE
        await host.bring(resident, ASLEEP)
        assert await where(host, resident) is ASLEEP
        await host.bring(resident, AWAKE)
        assert await where(host, resident) is AWAKE
        probes = ["token", "vector"] if embeds else ["token"]
        assert server.asked == ["sleep level=1", "wake_up", *probes]


async def test_a_deep_sleeper_gets_its_weights_back(host: VllmHost) -> None:
    async with SleepingVllm() as server:
        resident = resident_of(server, level=2)
        await host.bring(resident, ASLEEP)
        assert server.level == 2 and not server.loaded
        await host.bring(resident, AWAKE)
        assert server.loaded
        assert server.asked[1:] == [
            "wake_up tags=weights",
            "reload_weights",
            "wake_up tags=kv_cache",
            "token",
        ]


@pytest.mark.parametrize("manner", [Manner.NO_DEV_MODE, Manner.DENIES, Manner.DOES_NOT_SLEEP])
async def test_one_that_cannot_sleep_is_found_out_and_goes_on_serving(host: VllmHost, manner: Manner) -> None:
    async with SleepingVllm(manner) as server:
        resident = resident_of(server)
        with pytest.raises(MoveFailed, match="does not sleep: start it with --enable-sleep-mode"):
            await host.bring(resident, ASLEEP)
        assert await where(host, resident) is AWAKE
        await host.bring(resident, AWAKE)
        assert not server.hangs


async def test_one_that_hangs_after_sleep_is_not_awake(host: VllmHost) -> None:
    async with SleepingVllm(Manner.HANGS_AFTER_SLEEP) as server:
        moves = HostActivities({HostKind.VLLM: host}, NoGauge())
        resident = resident_of(server)
        assert (await moves.move(an_ask(resident, ASLEEP, 1))).ok
        hung = await moves.move(an_ask(resident, AWAKE, 2))
        assert (hung.ok, hung.residency) == (False, Residency.UNKNOWN)
        assert "was not answered within" in hung.why
        # It says that it is awake. What it says is not what was seen of it, until a move does better.
        again = await moves.move(an_ask(resident, AWAKE, 3))
        assert (again.ok, again.residency) == (False, Residency.UNKNOWN)
        server.hangs = False
        assert (await moves.move(an_ask(resident, AWAKE, 4))).ok


async def test_one_that_is_not_running(host: VllmHost) -> None:
    server = SleepingVllm()
    async with server:
        resident = resident_of(server)
    found = await host.find(resident)
    assert (found.residency, found.why) == (Residency.ABSENT, f"nothing listens at {server.url}")
    with pytest.raises(MoveFailed, match="nothing listens at"):
        await host.bring(resident, AWAKE)
    moves = HostActivities({HostKind.VLLM: host}, NoGauge())
    rests = await moves.move(an_ask(resident, ASLEEP))
    assert (rests.ok, rests.residency, rests.why) == (False, Residency.ABSENT, found.why)


async def test_its_generation_is_its_process(host: VllmHost) -> None:
    async with SleepingVllm() as server:
        resident = resident_of(server)
        first = (await host.find(resident)).generation
        assert first
        await host.bring(resident, ASLEEP)
        assert (await host.find(resident)).generation == first


async def test_a_sleep_that_frees_nothing_is_a_failure_with_figures(host: VllmHost) -> None:
    async with SleepingVllm(Manner.FREES_NOTHING) as server:
        resident = resident_of(server)
        card = Card(2000, lambda: server.vram_mib, lambda: 100)
        moves = HostActivities({HostKind.VLLM: host}, card, settle_s=0)
        done = await moves.move(an_ask(resident, ASLEEP, before_mib=100))
        assert (done.ok, done.residency, done.free_mib) == (False, Residency.UNKNOWN, 900)
        assert done.why == (
            "it freed 0 MiB of the 950 that it promised: 900 MiB were free before, 900 are now"
        )
        server.manner = Manner.WELL
        better = await moves.move(an_ask(resident, ASLEEP, 2, before_mib=100))
        assert (better.ok, better.residency, better.free_mib) == (True, ASLEEP, 1850)


async def test_what_does_not_fit_is_not_woken(host: VllmHost) -> None:
    async with SleepingVllm() as server:
        resident = resident_of(server)
        card = Card(2000, lambda: server.vram_mib, lambda: 1000)
        moves = HostActivities({HostKind.VLLM: host}, card, settle_s=0)
        assert (await moves.move(an_ask(resident, ASLEEP, 1))).ok
        card.taken = (lambda: server.vram_mib, lambda: 1200)
        tight = await moves.move(an_ask(resident, AWAKE, 2))
        assert (tight.ok, tight.residency) == (False, ASLEEP)
        assert tight.why == "it needs 950 MiB, and 750 of 2000 are free"
        assert server.asked == ["sleep level=1"]


async def test_what_takes_more_than_it_is_declared_with_is_told(host: VllmHost) -> None:
    async with SleepingVllm(awake_mib=1500) as server:
        resident = resident_of(server)
        moves = HostActivities({HostKind.VLLM: host}, Card(2000, lambda: server.vram_mib), settle_s=0)
        assert (await moves.move(an_ask(resident, ASLEEP, 1))).ok
        done = await moves.move(an_ask(resident, AWAKE, 2))
        assert (done.ok, done.why) == (True, "it takes 1500 MiB and is declared with 1000")
