"""Two real models that take turns on a card which is too small for both: what collating their calls saves.

llama.cpp serves both, as processes that the card host starts and stops; the card is declared with room for one.
Some clients ask only the one model, some only the other, all at once, so that prompts for both arrive in turns. The
same turns are asked twice: with calls collated for as long as `hog` allows, and with `hog` at nothing, where
nobody more is let in once somebody waits for the other model.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx2
from temporalio.client import Client

from activities.contracts.cards import CardSpec, CardView, Residency
from benchmarks.figures import Section
from benchmarks.product import BenchError, Product
from infra.embedded import ports
from infra.settings import Settings
from infra.temporal import DATA_CONVERTER
from infra.topology import load_topology
from tests.support.stack import HOST, Stack, running_stack
from workflows.names import CARD, card_workflow_id
from workflows.starts import ensure_card

MODELS = ("swap-a", "swap-b")
CLIENTS_EACH = 3
TOKENS = 16
HOG = timedelta(seconds=15)
REST_LIMIT_S = 60.0
TURN_LIMIT_S = 150.0

CONFIG = """\
[cards."bench/0"]
vram_mib = 1000
hog = "{hog}s"

[ladders.auto]
answer = ["swap-a"]
"""
MODEL = """
[residents.{name}]
card = "bench/0"
kind = "process"
mib = 600
base_url = "http://{host}:{port}"
command = [
    "{{python}}", "-m", "infra.embedded.chat_server", "--host", "{host}", "--port", "{port}",
    "--model-name", "{name}", "--slots", "4", "--window", "512",
]
idle = "10m"
start_timeout = "1m"

[backends.{name}]
dialect = "llamacpp"
base_url = "http://{host}:{port}/v1"
model = "{name}"
slots = 4
window_tokens = 512
resident = "{name}"
"""


async def swap(_: Product, prompts: int) -> Section:
    """On a stack of its own, with as many prompts from each client."""
    calls = 2 * CLIENTS_EACH * prompts
    section = Section(f"swap: two models, room for one, {2 * CLIENTS_EACH} clients, {calls} turns each way")
    async with _stack() as (stack, client, spec):
        collated, loads_of_it = await _timed(stack, client, spec, prompts)
        apart, loads_apart = await _timed(stack, client, replace(spec, hog=timedelta(0)), prompts)
    section.add(f"collated for up to {HOG.total_seconds():.0f} s: all turns", collated, "s")
    section.add("    models loaded", loads_of_it, "", digits=0)
    section.add("not collated: all turns", apart, "s")
    section.add("    models loaded", loads_apart, "", digits=0)
    section.add("not collated, over collated", apart / collated, "×", digits=2)
    return section


@asynccontextmanager
async def _stack() -> AsyncGenerator[tuple[Stack, Client, CardSpec]]:
    """A stack whose card host starts the models, its Temporal, and its card."""
    home = Path(tempfile.mkdtemp(prefix="aither-bench-swap-"))
    home.chmod(0o711)
    try:
        config = home / "aither.toml"
        free = [port for port in range(31100, 32000) if ports.is_free(HOST, port)][: len(MODELS)]
        tables = [
            MODEL.format(name=name, host=HOST, port=port) for name, port in zip(MODELS, free, strict=True)
        ]
        config.write_text(CONFIG.format(hog=int(HOG.total_seconds())) + "".join(tables))
        env = {"AITHER_CONFIG_FILE": str(config), "AITHER_HOST_NAME": "bench"}
        (spec,) = load_topology(Settings(config_file=config)).cards
        async with running_stack(home / "data", without=("orchestrator", "embeddings"), env=env) as stack:
            client = await Client.connect(stack.temporal_target, data_converter=DATA_CONVERTER)
            yield stack, client, spec
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _timed(stack: Stack, client: Client, spec: CardSpec, prompts: int) -> tuple[float, int]:
    """Seconds that all turns took together, from an empty card on, and how often a model was loaded meanwhile."""
    await _emptied(client, spec)
    before, began = _loads(stack), time.perf_counter()
    async with (
        httpx2.AsyncClient(base_url=stack.api_url, headers=stack.headers, timeout=TURN_LIMIT_S) as http,
        asyncio.TaskGroup() as crowd,
    ):
        for number in range(CLIENTS_EACH * len(MODELS)):
            crowd.create_task(_client(http, MODELS[number % len(MODELS)], number, prompts))
    return time.perf_counter() - began, _loads(stack) - before


async def _client(http: httpx2.AsyncClient, model: str, number: int, prompts: int) -> None:
    """One prompt after another, all for one model."""
    for prompt in range(prompts):
        text = f"Client {number}, question {prompt}: name a colour."
        body = {
            "model": model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": TOKENS,
            "temperature": 0,
        }
        answer = await http.post("/v1/chat/completions", json=body)
        if answer.status_code != 200:
            raise BenchError(f"{model}: {answer.status_code} {answer.text[:200]}")


async def _emptied(client: Client, spec: CardSpec) -> None:
    """Waits until nothing is on the card: the idle rest at once for a moment, and then as they are configured."""
    hasty = tuple(replace(each, idle=timedelta(0)) for each in spec.residents)
    await ensure_card(client, replace(spec, residents=hasty))
    handle = client.get_workflow_handle(card_workflow_id(spec.card))
    async with asyncio.timeout(REST_LIMIT_S):
        while True:
            view = await handle.query(CARD, result_type=CardView)
            if all(each.residency is Residency.ABSENT and not each.moving_to for each in view.residents):
                break
            await asyncio.sleep(0.1)
    await ensure_card(client, spec)


def _loads(stack: Stack) -> int:
    """How often a model has said that it serves, in all."""
    logs = (stack.layout.log_file(f"resident-{name}") for name in MODELS)
    return sum(
        log.read_text(errors="replace").count(f"serving {MODELS[0][:-1]}") for log in logs if log.exists()
    )
