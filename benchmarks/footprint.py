"""What it takes to start it, to keep it, and to ask it from a shell."""

import asyncio
import subprocess
import sys
import time

from benchmarks.figures import Section, median
from benchmarks.load import Alternate
from benchmarks.product import STAND_IN, BenchError, Product
from infra.embedded.inspection import inspect
from infra.topology import EMBEDDED_CHAT_MODEL
from tests.support.stack import AITHER

MODEL_TOKENS = 16
MB_A_MIB = 2**20 / 1e6


async def start(product: Product) -> Section:
    """The second start of a data directory, to the real model's first answer. The stack is left running."""
    section = Section("start: `aither up`, the second time")
    await product.down()
    began = await product.up()
    up_s = time.perf_counter() - began
    answered = product.completions(EMBEDDED_CHAT_MODEL, tokens=MODEL_TOKENS)
    batch = await product.load(Alternate(targets=[answered], rounds=1, warm_up=0))
    if batch.took[0].error:
        raise BenchError(batch.took[0].error)
    section.add("until all parts are up", up_s, "s")
    section.add("until the embedded model's first answer", time.perf_counter() - began, "s", 8)
    for part in product.stack.state.parts:
        section.add(f"    {part.name}, from its own start", part.took_s or 0, "s")
    return section


async def memory(product: Product, rounds: int) -> Section:
    """What each part holds after the load that came before this; PSS where it may be read, as in `aither status`."""
    await product.reply_with()
    await product.load(Alternate(targets=[product.completions(), product.turns()], rounds=rounds))
    model = product.completions(EMBEDDED_CHAT_MODEL, tokens=MODEL_TOKENS)
    await product.load(Alternate(targets=[model], rounds=2))
    seen = await inspect(product.stack.data_dir)
    section = Section("memory: after the load above")
    for part in seen.parts:
        section.add(part.name, (part.memory_mib or 0) * MB_A_MIB, "MB", digits=0)
    section.add("all parts together", seen.memory_mib * MB_A_MIB, "MB", 1200, digits=0)
    return section


async def cli(product: Product, times: int) -> Section:
    """What a command costs before and around what it does."""
    await product.reply_with()
    section = Section(f"cli: {times} times each, p50")
    ask = ("ask", "--no-stream", "--model", STAND_IN, "What does it cost?")
    bare, help_, asked, turns = [], [], [], []
    for _ in range(times):
        bare.append(await _run(product, sys.executable, "-c", "pass"))
        help_.append(await _run(product, *AITHER, "--help"))
        asked.append(await _run(product, *AITHER, *ask))
        batch = await product.load(Alternate(targets=[product.turns()], rounds=1, warm_up=0))
        turns += [took.ms for took in batch.took]
    section.add("python -c pass", median(bare), "ms", digits=0)
    section.add("aither --help", median(help_), "ms", digits=0)
    section.add("aither ask, instant backend", median(asked), "ms", digits=0)
    section.add("    over the same turn by POST /v1/turns", median(asked) - median(turns), "ms", digits=0)
    return section


async def _run(product: Product, *command: str) -> float:
    """Milliseconds that a command takes, from the shell's side."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command,
        env=product.stack.environment,
        cwd=product.stack.data_dir,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise BenchError(f"{' '.join(command[-6:])}: {said.decode(errors='replace')[:300]}")
    return 1000 * (time.perf_counter() - began)
