"""Many turns at once on an instant backend: how many a second, and whose processor time each of them takes."""

import asyncio
import time

from temporalio.client import Client

from benchmarks.figures import Section
from benchmarks.load import Alternate, Crowd, Target
from benchmarks.processes import cpu_of, cpu_s
from benchmarks.product import BenchError, Product

CLIENTS = 50
OPEN_TURNS = "WorkflowType = 'user-turn' AND ExecutionStatus = 'Running'"
OURS = ("temporal", "workers", "api", "postgres", "redis")
CLOSE_LIMIT_S = 30.0


async def throughput(product: Product, turns: int) -> Section:
    """Both ways in, after a warm-up that is not counted."""
    await product.reply_with()
    section = Section(f"throughput: {CLIENTS} clients, instant backend, {turns} turns each way")
    bare = await product.load(Crowd(target=product.bare(), clients=CLIENTS, calls=turns))
    section.add("bare backend", len(bare.took) / bare.seconds, "/s", digits=0)
    temporal = await Client.connect(product.stack.temporal_target)
    await product.load(Crowd(target=product.completions(), clients=CLIENTS, calls=max(60, turns // 4)))
    await closed(temporal)
    for target in (product.completions(), product.turns()):
        await _one_way(product, temporal, section, target, turns)
    stack = product.stack.state.pid
    before = cpu_s(stack)
    await asyncio.sleep(2)
    section.add("the whole stack at rest, of one processor", 100 * (cpu_s(stack) - before) / 2, "%")
    return section


async def _one_way(product: Product, temporal: Client, section: Section, target: Target, turns: int) -> None:
    before, began = cpu_of(product.pids), time.perf_counter()
    batch = await product.load(Crowd(target=target, clients=CLIENTS, calls=turns))
    await closed(temporal)
    seconds, after = time.perf_counter() - began, cpu_of(product.pids)
    done = sum(took.error is None for took in batch.took)
    each = {name: 1000 * (after[name] - before[name]) / turns for name in before}
    section.add(f"{target.name}: turns a second, replied", done / batch.seconds, "/s", 60, least=True)
    section.add("    and closed in Temporal", done / seconds, "/s")
    for name in OURS:
        section.add(f"    CPU a turn, {name}", each[name], "ms")
    section.add("    CPU a turn, all of these", sum(each[name] for name in OURS), "ms")
    section.add("    CPU a turn, stand-in and load client", each["stand-in"] + each["client"], "ms")
    if done < turns:
        section.note = f"{turns - done} of {turns} turns failed"


async def closed(temporal: Client) -> None:
    """Returns once no turn's workflow is open."""
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            while (await temporal.count_workflows(OPEN_TURNS)).count:
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise BenchError(f"turns' workflows are still open after {CLOSE_LIMIT_S:.0f} s") from error


async def history(product: Product) -> Section:
    """What a turn leaves in Temporal, for a short question and for a long one."""
    await product.reply_with()
    temporal = await Client.connect(product.stack.temporal_target)
    section = Section("history: one turn in Temporal")
    long = " ".join(["word"] * 20_000)
    for what, target in (
        ("/v1/chat/completions", product.completions()),
        ("/v1/turns", product.turns()),
        ("/v1/turns, 20,000 words", product.turns(long)),
    ):
        batch = await product.load(Alternate(targets=[target], rounds=3, warm_up=0))
        sizes = [await _size(temporal, took.turn_id) for took in batch.took if took.turn_id]
        section.add(f"{what}: events, most of 3", max(events for events, _ in sizes), "", 15, digits=0)
        section.add(f"{what}: bytes, most of 3", max(size for _, size in sizes), "B", 8192, digits=0)
    return section


async def _size(temporal: Client, turn_id: str) -> tuple[int, int]:
    handle = temporal.get_workflow_handle(f"turn/{turn_id}")
    await handle.result()
    info = (await handle.describe()).raw_description.workflow_execution_info
    return info.history_length, info.history_size_bytes
