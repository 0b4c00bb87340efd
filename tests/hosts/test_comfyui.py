"""ComfyUI is told to free its models, and has done so when its process holds them no more."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest

from activities.contracts.cards import HostKind, Residency
from activities.errors import MoveFailed
from activities.hosting import HostActivities
from infra.hosts.comfyui import ComfyHost
from tests.hosts.conftest import Card, NoGauge, a_resident, an_ask
from tests.support.standin_comfyui import Comfy

AWAKE, ASLEEP = Residency.AWAKE, Residency.ASLEEP


@pytest.fixture
def host(http: aiohttp.ClientSession) -> ComfyHost:
    return ComfyHost(http, free_s=0.3)


async def test_it_frees_what_it_has_loaded(host: ComfyHost) -> None:
    async with Comfy(held_mib=900) as server:
        resident = a_resident(HostKind.COMFYUI, server.url)
        assert (await host.find(resident)).residency is AWAKE
        await host.bring(resident, ASLEEP)
        assert (await host.find(resident)).residency is ASLEEP
        assert server.wishes == [{"unload_models": True, "free_memory": True}]
        await host.bring(resident, AWAKE)
        # It has loaded nothing yet, and may at any moment.
        assert (await host.find(resident)).residency is AWAKE
        assert len(server.wishes) == 1


async def test_one_that_frees_nothing_is_a_failure_with_figures(host: ComfyHost) -> None:
    async with Comfy(held_mib=900, frees=False) as server:
        moves = HostActivities({HostKind.COMFYUI: host}, NoGauge())
        resident = a_resident(HostKind.COMFYUI, server.url)
        done = await moves.move(an_ask(resident, ASLEEP))
        assert (done.ok, done.residency) == (False, AWAKE)
        assert done.why.startswith("one still holds 900 MiB") and "100 may stay" in done.why


async def test_a_job_that_runs_is_waited_for(host: ComfyHost) -> None:
    async with Comfy(held_mib=900) as server:
        server.running = ["job"]
        resident = a_resident(HostKind.COMFYUI, server.url)
        freeing = asyncio.create_task(host.bring(resident, ASLEEP))
        done, _ = await asyncio.wait([freeing], timeout=0.6)
        assert not done and server.held_mib == 900
        server.running = []
        await freeing
        assert server.held_mib == 0


async def test_a_job_that_never_ends_is_not_waited_for_forever(host: ComfyHost) -> None:
    async with Comfy(held_mib=900) as server:
        server.running = ["job"]
        resident = a_resident(HostKind.COMFYUI, server.url, start_timeout=timedelta(seconds=0.2))
        with pytest.raises(MoveFailed, match="still holds 900 MiB"):
            await host.bring(resident, ASLEEP)


async def test_one_without_a_gpu_holds_nothing(host: ComfyHost) -> None:
    async with Comfy() as server:
        server.device = "cpu"
        resident = a_resident(HostKind.COMFYUI, server.url)
        await host.bring(resident, ASLEEP)
        assert (await host.find(resident)).residency is ASLEEP


async def test_one_that_has_loaded_nothing_need_not_free_anything(host: ComfyHost) -> None:
    async with Comfy() as server:
        resident = a_resident(HostKind.COMFYUI, server.url)
        moves = HostActivities({HostKind.COMFYUI: host}, Card(2000, lambda: 300), settle_s=0)
        assert (await moves.move(an_ask(resident, AWAKE, 1))).ok
        assert (await moves.move(an_ask(resident, ASLEEP, 2, before_mib=300))).ok


async def test_one_that_is_not_running(host: ComfyHost) -> None:
    server = Comfy()
    async with server:
        resident = a_resident(HostKind.COMFYUI, server.url)
    assert (await host.find(resident)).residency is Residency.ABSENT
    with pytest.raises(MoveFailed, match="nothing listens at"):
        await host.bring(resident, AWAKE)
