"""`aither burst demo`: the whole life of a lease, at a market on this machine, where nothing costs anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from api.cli.client import Access, AsJson, Client, ExitCode, fail

HOST = "127.0.0.1"
KEY = "demo"
QUESTIONS = 6
"""Are asked at once; and more, until the box has answered one."""
MOST_QUESTIONS = 60
WORDS = 160
PATIENCE_S = 240.0
EVERY_S = 0.3
MODEL = "smollm2-135m-instruct"
FOLDER = "aither://models/shared/demo/"
CONFIGURATION = """
[burst]
enabled = true
installation = "demo"
market_url = "{market}"
check = "1s"
reap = "2s"
idle = "6s"

[burst.timing]
poll = "500ms"
settle = "1s"
silence = "30s"
heartbeat = "1s"

[burst.reasoning]
pool = "llm-orchestrator"
trusted = true
image = "demo:1"
command = ["{python}", "-m", "infra.embedded.chat_server", "--port", "{{port}}", "--model-name", "{model}",
    "--slots", "2", "--window", "2048", "--weights", "{{models}}/demo/weights.gguf"]
models = ["{folder}"]
dialect = "llamacpp"
slots = 2
vram_mib = 20_000
usd_per_hour = 2.0
lease_usd = 1.0
image_gb = 1
model_gb = 0.1
threshold = "1s"
boots_in = "1s"
"""

Show = Annotated[bool, typer.Option("--verbose", "-v", help="Every line of the lease's audit.")]


@dataclass
class Seen:
    """What the demo has seen so far."""

    lease: dict[str, Any] = field(default_factory=dict[str, Any])
    answered: dict[str, int] = field(default_factory=dict[str, int])
    states: list[str] = field(default_factory=list[str])
    asked: int = 0

    @property
    def by_box(self) -> int:
        """How many questions the rented box has answered."""
        return sum(count for backend, count in self.answered.items() if backend.startswith("burst/"))


def demo(*, as_json: AsJson = False, verbose: Show = False) -> None:
    """Have waiting questions rent a box at a market on this machine, answer them, and be given back.

    A small stack of its own is started for it, and stopped at its end; another that runs is left alone. Takes a
    minute or two.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="aither-demo-")))
        market = stack.enter_context(_market(folder))
        _say(f"a market is at {market}")
        access = stack.enter_context(_house(folder, market))
        _say(f"a house is at {access.url}, whose model answers one question at a time")
        client = stack.enter_context(Client(access))
        _say(f"{QUESTIONS} questions are asked at once, and more as they are answered")
        seen = _watched(client, verbose)
        ledger = _get_json(f"{market}/_standin/ledger")
    live = [entry for entry in ledger["entries"] if entry["ended"] is None]
    told = {
        "lease": seen.lease["id"],
        "states": seen.states,
        "answered": seen.answered,
        "answered_by_box": seen.by_box,
        "booked_usd": seen.lease["usd"],
        "billed_usd": ledger["usd"],
        "boxes_left": len(live),
    }
    if as_json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        _summary(told)
    if live:
        fail(ExitCode.FAILED, f"{len(live)} boxes were left at the market")


def _watched(client: Client, verbose: bool) -> Seen:
    """Asks, and follows the lease and the questions, to the end of both."""
    seen, shown, waiting = Seen(), 0, set[str]()
    deadline = time.monotonic() + PATIENCE_S
    while waiting or not seen.asked or not seen.lease or seen.lease["ended_at"] is None:
        if time.monotonic() > deadline:
            fail(ExitCode.TIMED_OUT, f"it took too long: {len(waiting)} questions wait, lease {seen.states}")
        while len(waiting) < QUESTIONS and not seen.by_box and seen.asked < MOST_QUESTIONS:
            waiting.add(client.post("/v1/turns", _question(seen.asked))["id"])
            seen.asked += 1
        for turn_id in list(waiting):
            turn = client.turn(turn_id)
            if turn["status"] in {"completed", "failed", "cancelled"}:
                waiting.discard(turn_id)
                by = turn["route"][-1]["backend"] if turn["route"] else "nobody"
                seen.answered[by] = seen.answered.get(by, 0) + 1
        leases = client.get("/v1/leases")["data"]
        if leases:
            # The oldest: what is rented after it is another story.
            seen.lease = client.get(f"/v1/leases/{leases[-1]['id']}")
            events = seen.lease["events"]
            for event in events[shown:]:
                _tell(event, verbose)
                if event["state"] and event["state"] not in seen.states:
                    seen.states.append(event["state"])
            shown = len(events)
        time.sleep(EVERY_S)
    return seen


def _tell(event: dict[str, Any], verbose: bool) -> None:
    if verbose or event["event"] not in {"box", "price", "unseen"}:
        _say(f"{event['event']:<11} {event['told']}")


def _summary(told: dict[str, Any]) -> None:
    sys.stdout.write(
        f"{sum(told['answered'].values())} questions were answered, {told['answered_by_box']} of them by the box"
        " that was rented.\n"
        f"It has cost {told['booked_usd']:.5f} $ by our books, {told['billed_usd']:.5f} $ by the market's"
        f" (where a dollar is nothing), and {told['boxes_left']} boxes are left.\n"
    )


def _question(number: int) -> dict[str, Any]:
    return {
        "input": f"Tell a long story, number {number}, of a lighthouse keeper and what the sea brings.",
        "effort": 3,
        "max_tokens": WORDS,
    }


@contextmanager
def _market(folder: Path) -> Generator[str]:
    """A market, as a process of its own; its address."""
    command = [sys.executable, "-m", "infra.market_demo", "--key", KEY]
    with (folder / "market.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=_root(), text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            fail(ExitCode.FAILED, f"the market did not start: {(folder / 'market.log').read_text()[-500:]}")
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _house(folder: Path, market: str) -> Generator[Access]:
    """A stack of its own, whose model has one slot, and which may rent at the market."""
    from infra.embedded import carried, credentials, ports
    from infra.embedded.layout import Layout

    base = ports.free_base(HOST)
    if base is None:
        fail(ExitCode.FAILED, "there is no row of free ports for the demo")
    data, file = folder / "data", folder / "aither.toml"
    file.write_text(CONFIGURATION.format(market=market, python=sys.executable, model=MODEL, folder=FOLDER))
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AITHER_")}
    env = ours | {
        "AITHER_DATA_DIR": str(data),
        "AITHER_CONFIG_FILE": str(file),
        "AITHER_VAST_API_KEY": KEY,
        "AITHER_BOX_URL": f"http://{HOST}:{base}",
        "AITHER_BOX_REACHABLE_HOSTS": json.dumps([HOST]),
        "AITHER_ORCHESTRATOR_SLOTS": "1",
        "NO_COLOR": "1",
    }
    left_out = ["--without", "embeddings"]
    try:
        _aither(env, "up", "--detach", "--port-base", str(base), *left_out)
        weights = str(carried.chat_weights())
        _aither(env, "models", "add", f"{FOLDER}weights.gguf", "--file", weights)
        known = credentials.read(Layout(data))
        assert known is not None
        yield Access(known.api_url, known.api_key)
    finally:
        _aither(env, "down")


def _aither(env: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "api.cli.main", *words]
    done = subprocess.run(command, env=env, cwd=_root(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(ExitCode.FAILED, f"`aither {words[0]}` failed: {(done.stderr or done.stdout).strip()[-1500:]}")


def _root() -> Path:
    return Path(__file__).parents[2]


def _get_json(url: str) -> Any:
    import httpx2

    return httpx2.get(url, timeout=10).json()


def _say(words: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {words.rstrip()}\n")
    sys.stderr.flush()
