"""A rented box, whole: what is pushed runs as a process, joins a real API, gets files, serves, and ends in time."""

import asyncio
import hashlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest

from activities.contracts.boxes import BoxPhase, ModelNeed
from activities.contracts.registry import ServiceStatus
from infra.box import pushing
from infra.box.collecting import collect
from infra.postgres.boxes import service_name
from infra.postgres.registry import ServiceNotFound
from tests.api.conftest import Api
from tests.api.stores import HOST, free_port
from tests.box.conftest import (
    PATIENCE_S,
    QUICK,
    Boxes,
    Bucket,
    Lease,
    at_hugging_face,
    known,
    plan_of,
    waiting_lease,
)
from tests.support.standin_mirror import Fault, Mirror

WEIGHTS = b"GGUF" + random.Random(7).randbytes(399_996)
HF = "/acme/tiny/resolve/main/"


def oldest() -> str:
    """The oldest Python that a box may have, where this machine has one; else ours."""
    for name in ("python3.8", "python3.9", "python3.10"):
        with suppress(OSError):
            if subprocess.run([name, "-c", ""], capture_output=True, timeout=60).returncode == 0:
                return name
    return sys.executable


OLDEST = oldest()


async def status(house: Api, lease: Lease) -> ServiceStatus | None:
    try:
        return (await house.state.registry.service(service_name(lease.id))).status
    except ServiceNotFound:
        return None


async def becomes(house: Api, lease: Lease, wanted: ServiceStatus) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await status(house, lease) is not wanted:
            await asyncio.sleep(0.05)


@pytest.mark.durability
async def test_a_box_from_its_start_to_its_end(
    house: Api, boxes: Boxes, bucket: Bucket, publisher: Mirror
) -> None:
    """Public first, the bucket where that fails; a member of its pool while it serves; drained; dismissed."""
    bucket.put("tiny/w.gguf", WEIGHTS)
    publisher.put(f"{HF}w.gguf", b"<html>log in</html>" + bytes(399_981), Fault(content_type="text/html"))
    publisher.put(f"{HF}config.json", b"{}", Fault(content_type="application/json"))
    weights = await known(
        house, "w.gguf", WEIGHTS, object_key="tiny/w.gguf", public=at_hugging_face("w.gguf")
    )
    config = await known(house, "config.json", b"{}", public=at_hugging_face("config.json"))
    lease = await waiting_lease(house, plan_of(weights, config))
    box = await boxes(lease)
    seen = await lease.reaches(BoxPhase.SERVING)
    assert seen.phase is BoxPhase.SERVING, seen
    assert (box.folder / "models/tiny/w.gguf").read_bytes() == WEIGHTS
    assert (seen.report.pulled_bytes, seen.report.total_bytes) == (400_002, 400_002)
    await becomes(house, lease, ServiceStatus.ONLINE)
    (member,) = [
        each for each in await house.state.registry.joined() if each.backend.name == service_name(lease.id)
    ]
    assert member.backend.base_url == lease.plan.backend.base_url
    assert (member.backend.queue, member.draining) == (lease.plan.backend.pool, False)

    await box.post("/set", {"running": 2, "waiting": 1, "tokens": 1200})
    busy = await lease.until(lambda view: view.report.calls == 3)
    assert busy.report.load == 0.75
    assert busy.report.tokens == 1200
    await box.post("/set", {"running": 0, "waiting": 0, "tokens": 1200})
    idle = await lease.until(lambda view: view.report.calls == 0 and view.report.idle_s > 0.5)
    assert await lease.sql("select array[calls, tokens] from aither.leases where id = $1", lease.id) == [
        0,
        1200,
    ]
    assert idle.report.load == 0

    await lease.move("draining")
    await becomes(house, lease, ServiceStatus.DRAINING)
    await lease.move("destroying")
    assert await box.ended() == 0
    assert await status(house, lease) is ServiceStatus.LEFT
    assert await lease.refusals() == {}


async def test_no_secret_is_left_to_the_server_or_in_the_log(
    house: Api, boxes: Boxes, bucket: Bucket
) -> None:
    bucket.put("tiny/w.gguf", WEIGHTS)
    weights = await known(house, "w.gguf", WEIGHTS, object_key="tiny/w.gguf")
    lease = await waiting_lease(house, plan_of(weights))
    box = await boxes(lease)
    await lease.reaches(BoxPhase.SERVING)
    log = box.log + (box.folder / "server.log").read_text()
    key = json.loads(pushing.environment(b"x" * 32, lease.id, 1, box.call)["AITHER_BOX"])["key"]
    assert "aither: []" in log
    for secret in (key, "X-Amz-Signature", "proof="):
        assert secret not in log
    row = await lease.sql("select to_jsonb(b)::text from aither.boxes b where lease_id = $1", lease.id)
    assert "X-Amz" not in row


@pytest.mark.durability
async def test_killed_in_mid_download_it_goes_on_where_it_was(
    house: Api, boxes: Boxes, publisher: Mirror
) -> None:
    go = threading.Event()
    publisher.put(f"{HF}w.gguf", WEIGHTS, Fault(wait=go, hold_after=50_000, hold_from=200_000))
    publisher.sent.clear()
    weights = await known(house, "w.gguf", WEIGHTS, public=at_hugging_face("w.gguf"))
    slow = replace(plan_of(weights), pace=replace(QUICK, connections=2, part_bytes=100_000))
    lease = await waiting_lease(house, slow)
    box = await boxes(lease)
    # Both lines are in their second part, so each has noted its first.
    await asyncio.to_thread(publisher.wait_sent, f"{HF}w.gguf", 300_001)
    journal = box.folder / "models/tiny/w.gguf.journal"
    await box.kill()
    parts = len(journal.read_text().splitlines()) - 1
    assert parts == 2
    publisher.faults.clear()
    go.set()
    await asyncio.to_thread(publisher.wait_quiet)
    publisher.sent.clear()
    await box.start()
    seen = await lease.reaches(BoxPhase.SERVING)
    assert seen.phase is BoxPhase.SERVING, seen
    assert (box.folder / "models/tiny/w.gguf").read_bytes() == WEIGHTS
    assert publisher.sent[f"{HF}w.gguf"] <= len(WEIGHTS) - parts * 100_000 + 1
    # It came back by its session's key: the first one was used up.
    assert seen.joins == 2
    assert await lease.refusals() == {}


async def test_a_required_model_that_is_missing_fails_loudly(
    house: Api, boxes: Boxes, bucket: Bucket
) -> None:
    lost = await known(house, "lost.gguf", WEIGHTS, object_key="not/there", folder="lost")
    lease = await waiting_lease(house, plan_of(lost))
    await boxes(lease)
    seen = await lease.until(lambda view: view.phase is BoxPhase.FAILED)
    assert lost in seen.report.detail
    assert "the bucket answers 404" in seen.report.missing[lost]
    assert await status(house, lease) in {None, ServiceStatus.LEFT}


async def test_an_optional_one_is_told_of_and_left_out(house: Api, boxes: Boxes, bucket: Bucket) -> None:
    bucket.put("tiny/w.gguf", WEIGHTS)
    bucket.put("tiny/broken.gguf", b"GGUX" + WEIGHTS[4:])
    weights = await known(house, "w.gguf", WEIGHTS, object_key="tiny/w.gguf")
    broken = await known(house, "broken.gguf", WEIGHTS, object_key="tiny/broken.gguf")
    plan = plan_of(weights)
    nowhere = "aither://models/shared/tiny/nowhere.gguf"
    plan = replace(
        plan,
        models=(*plan.models, ModelNeed(uri=broken, required=False), ModelNeed(uri=nowhere, required=False)),
    )
    lease = await waiting_lease(house, plan)
    await boxes(lease)
    seen = await lease.reaches(BoxPhase.SERVING)
    assert seen.phase is BoxPhase.SERVING, seen
    assert set(seen.report.missing) == {broken, nowhere}
    assert "another file" in seen.report.missing[broken]


async def test_a_server_that_dies_is_started_again_and_given_up_in_the_end(
    house: Api, boxes: Boxes, bucket: Bucket
) -> None:
    bucket.put("tiny/w.gguf", WEIGHTS)
    lease = await waiting_lease(
        house, plan_of(await known(house, "w.gguf", WEIGHTS, object_key="tiny/w.gguf"))
    )
    box = await boxes(lease)
    await lease.reaches(BoxPhase.SERVING)
    await box.post("/set", {"running": 0, "waiting": 0, "tokens": 70})
    await lease.until(lambda view: view.report.tokens == 70)
    for life in range(1, 4):
        with pytest.raises(httpx2.TransportError):
            await box.post("/crash")
        seen = await lease.until(
            lambda view, life=life: view.report.restarts == life and view.phase is BoxPhase.SERVING
        )
        # What it served before counts on.
        assert seen.report.tokens == 70
    with pytest.raises(httpx2.TransportError):
        await box.post("/crash")
    seen = await lease.until(lambda view: view.phase is BoxPhase.FAILED)
    assert "out of memory" in seen.report.detail
    await becomes(house, lease, ServiceStatus.LEFT)


async def test_a_box_that_hears_nothing_ends_itself(house: Api, boxes: Boxes, lease: Lease) -> None:
    """By the market's own call for that, with the key that the market gave it."""
    with market() as asked:
        halt = {"url": f"{asked['url']}/instances/{{CONTAINER_ID}}/", "bearer_env": "CONTAINER_API_KEY"}
        box = await boxes(
            lease,
            url=f"http://{HOST}:{free_port()}",
            silence_s=1.0,
            halt=halt,
            env={"CONTAINER_API_KEY": "its-own"},
        )
        assert await box.ended() == 3
        assert asked["seen"] == [("DELETE", f"/instances/{lease.instance}/", "Bearer its-own")]
    assert "nothing heard" in box.log
    assert (await lease.view()).phase is BoxPhase.EXPECTED


async def test_a_joined_box_whose_house_goes_silent_ends_with_its_server(
    house: Api, boxes: Boxes, bucket: Bucket
) -> None:
    bucket.put("tiny/w.gguf", WEIGHTS)
    weights = await known(house, "w.gguf", WEIGHTS, object_key="tiny/w.gguf")
    plan = replace(plan_of(weights), pace=replace(QUICK, silence=timedelta(seconds=1.5)))
    lease = await waiting_lease(house, plan)
    box = await boxes(lease)
    await lease.reaches(BoxPhase.SERVING)
    # Whatever it says is refused from now on: its joins are none that we know of.
    await lease.sql("update aither.boxes set salts = salts || salts where lease_id = $1", lease.id)
    assert await box.ended() == 3
    with pytest.raises(OSError):
        await asyncio.open_connection(HOST, plan.port)


async def test_where_the_box_cannot_reach_us_we_come_to_it(house: Api, boxes: Boxes, bucket: Bucket) -> None:
    """All by its page: the join, the models, the heartbeats, and the word to leave."""
    bucket.put("tiny/w.gguf", WEIGHTS)
    weights = await known(house, "w.gguf", WEIGHTS, object_key="tiny/w.gguf")
    lease = await waiting_lease(house, plan_of(weights))
    port = free_port()
    box = await boxes(lease, url=None, page_port=8159, env={"AITHER_PORT_8159": str(port)}, python=OLDEST)
    page, reception = f"http://{HOST}:{port}", house.state.reception

    async with aiohttp.ClientSession() as session:
        coming = asyncio.create_task(keep_coming(session, page, lease))
        try:
            seen = await lease.reaches(BoxPhase.SERVING)
            assert seen.phase is BoxPhase.SERVING, seen
            async with session.get(page) as shown:
                told: dict[str, Any] = await shown.json()
            assert told["phase"] == "serving"
            # Somebody else's answer is not believed, and the box waits for ours.
            async with session.post(
                f"{page}/inbox", json={"id": 1, "status": 200, "headers": {}, "body": "{}"}
            ):
                pass
            async with session.post(f"{page}/inbox", data=b"nonsense") as odd:
                assert odd.status == 400
            await lease.move("destroying")
            assert await box.ended() == 0
        finally:
            coming.cancel()
            await asyncio.wait([coming])
        assert await collect(session, page, lease.id, reception) == 0


async def keep_coming(session: aiohttp.ClientSession, page: str, lease: Lease) -> None:
    while True:
        await collect(session, page, lease.id, lease.api.state.reception)
        await asyncio.sleep(0.05)


@pytest.mark.durability
async def test_a_killed_agent_leaves_no_server_behind(house: Api, boxes: Boxes, bucket: Bucket) -> None:
    bucket.put("tiny/w.gguf", WEIGHTS)
    weights = await known(house, "w.gguf", WEIGHTS, object_key="tiny/w.gguf")
    lease = await waiting_lease(house, plan_of(weights))
    box = await boxes(lease)
    await lease.reaches(BoxPhase.SERVING)
    await box.kill()
    async with asyncio.timeout(PATIENCE_S):
        while await listens(lease.plan.port):
            await asyncio.sleep(0.02)


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


@contextmanager
def market() -> Generator[dict[str, Any]]:
    """A market's API that takes one call."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    told: dict[str, Any] = {"seen": []}

    class Handler(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            told["seen"].append(("DELETE", self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer((HOST, 0), Handler)
    told["url"] = f"http://{HOST}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- what is pushed


def test_what_is_pushed_is_the_same_each_time_and_small() -> None:
    pushing.agent.cache_clear()
    first = pushing.agent()
    pushing.agent.cache_clear()
    assert hashlib.sha256(pushing.agent()).digest() == hashlib.sha256(first).digest()
    # One variable of a process may hold 128 KiB.
    assert (
        len(pushing.environment(b"x" * 32, "lease_1", 1, pushing.BoxCall(url=None))["AITHER_AGENT"]) < 100_000
    )
    assert len(pushing.ONSTART) < 2000


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """Run apart from everything, by the oldest Python that is here: it fails for want of its variable only."""
    file = tmp_path / "agent.pyz"
    file.write_bytes(pushing.agent())
    done = subprocess.run(
        [OLDEST, "-I", "-S", str(file)], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert "KeyError: 'AITHER_BOX'" in done.stderr


def test_its_words_are_those_of_python_3_8() -> None:
    import ast

    folder = Path(pushing.__file__).parent
    for path in (folder / "proof.py", *(folder / "agent").glob("*.py")):
        ast.parse(path.read_text(), feature_version=(3, 8))


def test_the_key_of_a_box_is_its_own() -> None:
    def key(master: bytes, lease: str, attempt: int) -> str:
        told = pushing.environment(master, lease, attempt, pushing.BoxCall(url="u"))
        return json.loads(told["AITHER_BOX"])["key"]

    keys = {
        key(b"m", "lease_1", 1),
        key(b"m", "lease_1", 2),
        key(b"m", "lease_2", 1),
        key(b"n", "lease_1", 1),
    }
    assert len(keys) == 4
