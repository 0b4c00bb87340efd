"""`/v1/model-files` and `aither models`: who may make files known, and what is told of them."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.postgres.keys import Role
from tests.api.conftest import Api
from tests.api.test_cli import aither

CONTENT = b"GGUF" + bytes(996)


@pytest.fixture
async def operator(house: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with house.client(await house.new_key("acme", role=Role.OPERATOR)) as client:
        yield client


async def test_files_are_made_known_and_listed(house: Api, operator: httpx2.AsyncClient) -> None:
    async with house.client() as user:
        mine = {"uri": "aither://models/acme/d/mine.gguf", "size_bytes": 5, "sha256": "a" * 64}
        assert (await user.put("/v1/model-files", json=mine)).status_code == 200
        shared = mine | {"uri": "aither://models/shared/d/s.gguf"}
        assert (await user.put("/v1/model-files", json=shared)).status_code == 403
        other = mine | {"uri": "aither://models/other/d/x.gguf"}
        assert (await user.put("/v1/model-files", json=other)).status_code == 403
        assert (await operator.put("/v1/model-files", json=shared)).status_code == 200
        assert (await operator.put("/v1/model-files", json=other)).status_code == 200
        seen = {each["uri"] for each in (await user.get("/v1/model-files")).json()["data"]}
        assert {mine["uri"], shared["uri"]} <= seen
        assert other["uri"] not in seen
        assert (await user.post("/v1/model-files/resolve", json={"uris": [mine["uri"]]})).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "uri"),
        ({"uri": "http://x"}, "uri"),
        ({"uri": "aither://models/shared/d/"}, "uri"),
        ({"uri": "aither://models/shared/../x"}, "uri"),
        ({"uri": "aither://models/shared/d/n", "size_bytes": 0}, "size_bytes"),
        ({"uri": "aither://models/shared/d/n", "size_bytes": 5}, "sha256"),
        ({"uri": "aither://models/shared/d/n", "sha256": "a" * 64}, "size_bytes"),
        ({"uri": "aither://models/shared/d/n", "size_bytes": 5, "sha256": "A" * 64}, "sha256"),
        ({"uri": "aither://models/shared/d/n", "public": {"hub": "ftp", "repo": "x"}}, "public.hub"),
        ({"uri": "aither://models/shared/d/n", "public": {"hub": "civitai", "repo": "none"}}, "public"),
    ],
)
async def test_a_bad_file_names_its_field(operator: httpx2.AsyncClient, body: Any, field: str) -> None:
    reply = await operator.put("/v1/model-files", json=body)
    assert reply.status_code == 422, reply.text
    assert reply.json()["errors"][0]["field"] == field


async def test_the_command_adds_lists_and_resolves(
    house: Api, operator: httpx2.AsyncClient, tmp_path: Path
) -> None:
    key = {"AITHER_API_KEY": operator.headers["authorization"][7:]}
    env = key | {"AITHER_MODELS_DIR": str(house.state.settings.data_dir / "models")}
    file = tmp_path / "w.gguf"
    file.write_bytes(CONTENT)
    uri = "aither://models/shared/cli/w.gguf"
    added = await aither(house, "models", "add", uri, "--file", str(file), **env)
    assert (added.code, added.err) == (0, "")
    assert hashlib.sha256(CONTENT).hexdigest() in added.out
    found = await aither(house, "models", "resolve", uri, **env)
    assert (found.code, found.err) == (0, "")
    assert "strata: 127.0.0.1" in found.out
    assert "proof=" not in found.out
    shown = json.loads((await aither(house, "models", "resolve", uri, "--urls", "--json", **env)).out)
    async with httpx2.AsyncClient() as http:
        (source_,) = shown["files"][0]["sources"]
        assert (await http.get(source_["url"])).content == CONTENT
    assert uri in (await aither(house, "models", "list", **env)).out
    lost = await aither(house, "models", "resolve", uri, uri + "x", **env)
    assert lost.code == 1
    assert "not to be had" in lost.err
    both = await aither(house, "models", "add", uri, "--hf", "a/b:c", "--civitai", "7", **env)
    assert both.code == 2
