"""The boxes of leases as whoever watches leases has them: ordered with their own key, found, drained, dismissed."""

import asyncio
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import aiohttp
import pytest

from activities.contracts.boxes import BoxPhase
from activities.contracts.lease_views import LeasePlan, LeaseView
from activities.contracts.leases import Instance, InstanceState, LeaseState, Need, Purpose
from activities.contracts.registry import ServiceStatus
from activities.errors import MarketRefused, MarketUnknown
from infra.box.desk import LeasedBoxes
from infra.box.opening import opening
from infra.box.pushing import PAGE_PORT, BoxCall
from infra.box.tailscale import TailscaleClient, TailscaleKeys
from infra.embedded.layout import Layout
from infra.embedded.passwords import load_or_make
from infra.postgres.boxes import service_name
from tests.api.conftest import Api
from tests.api.stores import HOST, free_port
from tests.box.conftest import MASTER, POOL, Boxes, Bucket, Lease, known, plan_of, waiting_lease
from workflows.policy import model_sources

WEIGHTS = b"GGUF" + bytes(1000)


def view_of(lease: Lease) -> LeaseView:
    now = datetime.now(UTC)
    plan = LeasePlan(
        purpose=Purpose.REASONING,
        pool=POOL,
        installation="test",
        need=Need(purpose=Purpose.REASONING, vram_mib=1, usd_per_hour=1.0, image_gb=1.0, model_gb=1.0),
        image="vllm/vllm-openai:latest",
        box=lease.plan,
        lease_usd=1.0,
    )
    return LeaseView(
        id=lease.id,
        purpose=Purpose.REASONING,
        pool=POOL,
        state=LeaseState.BOOTING,
        why="",
        asked_by="test",
        plan=plan,
        asked_at=now,
        state_at=now,
        attempt=lease.attempt,
        now=now,
    )


async def test_a_box_is_ordered_met_at_its_page_drained_and_dismissed(
    house: Api, boxes: Boxes, bucket: Bucket
) -> None:
    bucket.put("desk/w.gguf", WEIGHTS)
    uri = await known(house, "w.gguf", WEIGHTS, folder="desk", object_key="desk/w.gguf")
    lease = await waiting_lease(house, plan_of(uri))
    await lease.sql("delete from aither.boxes where lease_id = $1", lease.id)
    seen = view_of(lease)
    settings = house.state.settings.model_copy(update={"public_url": None})
    async with opening(settings, house.state.database, model_sources) as parts:
        desk = parts.desk(halt={"url": "https://market/{CONTAINER_ID}"})
        assert await desk.box(lease.id, 1) is None
        order = await desk.order(seen)
        assert order.ports == (lease.plan.port, PAGE_PORT)
        told = json.loads(dict(order.env)["AITHER_BOX"])
        assert told["url"] is None
        assert MASTER not in repr(order.env) + order.onstart
        assert told["key"] not in repr(order)
        assert await desk.box(lease.id, 1) is None

        page = free_port()
        await boxes(lease, url=None, page_port=PAGE_PORT, env={f"AITHER_PORT_{PAGE_PORT}": str(page)})
        # Elsewhere than the plan says: what the market says of its ports counts.
        ports = ((lease.plan.port, 4242), (PAGE_PORT, page))
        instance = Instance(
            id=lease.instance, label="l", state=InstanceState.RUNNING, address=HOST, ports=ports
        )
        async with asyncio.timeout(60):
            while (box := await desk.box(lease.id, 1)) is None or box.phase is not BoxPhase.SERVING:
                await desk.attend(seen, instance)
        assert box.base_url == f"http://{HOST}:4242/v1"
        service = await house.state.registry.service(service_name(lease.id))
        assert service.backend is not None
        assert (service.status, service.backend.base_url) == (ServiceStatus.ONLINE, box.base_url)

        await desk.drain(seen)
        assert (await house.state.registry.service(service_name(lease.id))).status is ServiceStatus.DRAINING
        await desk.dismiss(seen)
        assert (await house.state.registry.service(service_name(lease.id))).status is ServiceStatus.LEFT
        await desk.dismiss(seen)


async def test_without_a_master_key_nothing_is_ordered(house: Api, lease: Lease) -> None:
    settings = house.state.settings.model_copy(update={"burst_master_key": None})
    async with opening(settings, house.state.database, model_sources) as parts:
        with pytest.raises(MarketRefused, match="AITHER_BURST_MASTER_KEY"):
            await parts.desk().order(view_of(lease))


async def test_a_box_of_the_overlay_gets_a_key_of_its_own(house: Api, lease: Lease) -> None:
    """Asked for with the client's secret, which is in nothing that goes to the box; its page is for the overlay."""
    asked: list[tuple[str, str, bytes]] = []
    answers: dict[str, Any] = {"/api/v2/oauth/token": {"access_token": "t1"}}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers.get("Authorization", ""), body))
            answer = json.dumps(answers.get(self.path, {})).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer((HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    client = TailscaleClient(id="c1", secret="hidden", url=f"http://{HOST}:{server.server_port}")
    try:
        async with aiohttp.ClientSession() as session:
            keys = TailscaleKeys(session, client)
            desk = LeasedBoxes(
                lease.boxes,
                house.state.reception._membership,
                house.state.reception,
                session,
                master=MASTER.encode(),
                call=BoxCall(url="https://aither.example"),
                overlay=keys,
            )
            with pytest.raises(MarketUnknown, match="no key"):
                await desk.order(view_of(lease))
            answers["/api/v2/tailnet/-/keys"] = {"key": "tskey-1"}
            order = await desk.order(view_of(lease))
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
    told = json.loads(dict(order.env)["AITHER_BOX"])
    assert told["tailscale"] == {"auth_key": "tskey-1", "hostname": f"aither-test-{lease.id}-1"}
    assert told["page_host"] == "127.0.0.1"
    assert order.ports == (lease.plan.port,)
    assert "hidden" not in repr(order.env) + repr(client)
    path, authorization, body = asked[-1]
    assert (path, authorization) == ("/api/v2/tailnet/-/keys", "Bearer t1")
    created = json.loads(body)["capabilities"]["devices"]["create"]
    assert created == {"reusable": False, "ephemeral": True, "preauthorized": True, "tags": ["tag:gpu-box"]}


async def test_an_address_of_the_overlay_is_believed_and_no_other(lease: Lease) -> None:
    from infra.box.reception import _over_the_overlay

    plan = replace(lease.plan, port=8000)
    assert _over_the_overlay("100.101.2.3", plan) == "http://100.101.2.3:8000/v1"
    assert _over_the_overlay("fd7a:115c:a1e0::1", plan) == "http://[fd7a:115c:a1e0::1]:8000/v1"
    for bad in (
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "8.8.8.8",
        "host",
        "",
        None,
        "100.101.2.3:1@evil",
    ):
        assert _over_the_overlay(bad, plan) is None


def test_a_directory_from_before_gets_the_key_of_boxes(tmp_path: Any) -> None:
    layout = Layout(tmp_path)
    old = {"postgres_admin": "a", "postgres_app": "b", "redis": "c"}
    layout.secrets_file.write_text(json.dumps(old))
    made = load_or_make(layout)
    assert (made.postgres_admin, made.redis) == ("a", "c")
    assert len(made.burst_master) >= 32
    assert load_or_make(layout) == made
    assert layout.secrets_file.stat().st_mode & 0o777 == 0o600
