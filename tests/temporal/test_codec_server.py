"""Temporal's UI and CLI read what was encrypted, through us, and nobody else does."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload

from infra.temporal.codec import EncryptingCodec, new_key, payload_keys
from infra.temporal.codec_server import MOST_BYTES, codec_app
from tests.temporal.builds import begin
from tests.temporal.conftest import Server, Spaced
from tests.temporal.test_access import aither

UI = "http://127.0.0.1:8233"
KEY = new_key("k1")
CODEC = EncryptingCodec(payload_keys(SecretStr(KEY)))
WORDS = '{"question":"where is the treasure?"}'


@asynccontextmanager
async def served(token: str | None = None) -> AsyncGenerator[tuple[str, aiohttp.ClientSession]]:
    async with (
        TestServer(codec_app(CODEC, origins=[UI], token=token)) as serving,
        aiohttp.ClientSession() as http,
    ):
        yield str(serving.make_url("")).rstrip("/"), http


async def body(*, sealed: bool = True) -> dict[str, Any]:
    """As the UI sends it."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=WORDS.encode())
    (kept,) = await CODEC.encode([payload]) if sealed else [payload]
    metadata = {name: base64.b64encode(value).decode() for name, value in kept.metadata.items()}
    return {"payloads": [{"metadata": metadata, "data": base64.b64encode(kept.data).decode()}]}


async def test_what_is_encoded_decodes_as_it_was() -> None:
    async with served() as (url, http):
        async with http.post(f"{url}/encode", json=await body(sealed=False)) as reply:
            encoded = await reply.json()
        assert base64.b64decode(encoded["payloads"][0]["metadata"]["encoding"]) == b"binary/encrypted"
        async with http.post(f"{url}/decode", json=encoded, headers={"X-Namespace": "default"}) as reply:
            assert await reply.json() == await body(sealed=False)


async def test_only_the_uis_pages_may_ask() -> None:
    async with served() as (url, http):
        asks = {"Origin": UI, "Access-Control-Request-Method": "POST"}
        async with http.options(f"{url}/decode", headers=asks) as reply:
            assert reply.status == 204
            assert reply.headers["Access-Control-Allow-Origin"] == UI
            assert "X-Namespace" in reply.headers["Access-Control-Allow-Headers"]
        async with http.post(f"{url}/decode", json=await body(), headers={"Origin": UI}) as reply:
            assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, UI)
        for wrong in ({"Origin": "https://evil.example"}, {"Host": "evil.example:80"}, {"Origin": "null"}):
            for method in ("OPTIONS", "POST"):
                async with http.request(method, f"{url}/decode", json=await body(), headers=wrong) as reply:
                    assert reply.status == 403
                    assert "Access-Control-Allow-Origin" not in reply.headers
                    assert "payloads" not in await reply.json()


async def test_with_a_token_only_those_are_served_who_show_it() -> None:
    async with served("sesame") as (url, http):
        for shown, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "sesame"}, 401),
        ):
            async with http.post(f"{url}/decode", json=await body(), headers=shown) as reply:
                assert reply.status == status
        shown = {"Authorization": "Bearer sesame", "Host": "codec.example"}
        async with http.post(f"{url}/decode", json=await body(), headers=shown) as reply:
            assert await reply.json() == await body(sealed=False)
        async with http.options(f"{url}/decode", headers={"Origin": UI}) as reply:
            assert reply.status == 204, "browsers ask this without the token"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"not json", 400),
        (b"[]", 400),
        (b'{"payloads": 3}', 400),
        (b'{"payload": []}', 400),
        (b" " * (MOST_BYTES + 1), 413),
    ],
    ids=["no json", "a list", "a number", "another field", "too much"],
)
async def test_what_is_no_question_is_refused(sent: bytes, status: int) -> None:
    async with served() as (url, http), http.post(f"{url}/decode", data=BytesIO(sent)) as reply:
        assert reply.status == status
        assert (await reply.json())["message"]


async def test_what_does_not_open_is_told() -> None:
    asked = await body()
    asked["payloads"][0]["metadata"]["encryption-key-id"] = base64.b64encode(b"k9").decode()
    async with served() as (url, http):
        async with http.post(f"{url}/decode", json=asked) as reply:
            assert reply.status == 400
            assert "encrypted with key 'k9'" in (await reply.json())["message"]
        async with http.get(f"{url}/decode") as reply:
            assert reply.status == 405
        async with http.post(f"{url}/elsewhere", json=asked) as reply:
            assert reply.status == 404


async def test_temporals_own_command_reads_a_history_through_it(server: Server, spaced: Spaced) -> None:
    configured = server.settings(payload_keys=SecretStr(KEY))
    client = await spaced(configured)
    handle = await begin(client, "shown")
    async with served("sesame") as (url, _):
        plain = await show(server, client.namespace, handle.id)
        read = await show(
            *(server, client.namespace, handle.id, "--codec-endpoint", url, "--codec-auth", "Bearer sesame")
        )
    await handle.terminate()
    assert "hello there" not in plain
    assert started_with(plain)["metadata"]["encoding"] == base64.b64encode(b"binary/encrypted").decode()
    assert json.loads(base64.b64decode(started_with(read)["data"]))["preview"] == "hello there"


def started_with(shown: str) -> dict[str, Any]:
    first = json.loads(shown)["events"][0]["workflowExecutionStartedEventAttributes"]
    return first["input"]["payloads"][0]


async def show(server: Server, namespace: str, workflow_id: str, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "temporal"),
        *("workflow", "show", "--address", server.target, "--namespace", namespace),
        *("--workflow-id", workflow_id, "--output", "json", "--disable-config-env", "--disable-config-file"),
        *words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return out.decode()


async def test_off_loopback_it_does_not_start_without_a_token() -> None:
    words = ("temporal", "codec-server", "--host", "0.0.0.0")
    (code, _, said), (none, _, why) = await asyncio.gather(
        aither(*words, env={"AITHER_PAYLOAD_KEYS": KEY}), aither(*words, env={})
    )
    assert (code, none) == (2, 2)
    assert "off loopback (0.0.0.0) it would decode for everybody" in said
    assert KEY.partition(":")[2] not in said
    assert "there are no keys to decode with" in why
