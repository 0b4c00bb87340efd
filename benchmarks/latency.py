"""What a durable turn adds to the backend's own time: to a whole answer, to the first token, to each token."""

from benchmarks.figures import Section, median, percentile
from benchmarks.load import Alternate, Batch
from benchmarks.product import Product, good
from infra.topology import EMBEDDED_CHAT_MODEL

DELAY_MS = 50
PACE_MS = 5
STREAMED_TOKENS = 40
MODEL_TOKENS = 32


async def turn(product: Product, rounds: int) -> Section:
    """Whole answers, one at a time, over the stand-in's 50 ms."""
    await product.reply_with(delay_ms=DELAY_MS)
    ways = [product.completions(), product.turns()]
    batch = await product.load(Alternate(targets=[product.bare(), *ways], rounds=rounds, warm_up=10))
    section = Section(f"turn: one at a time, backend of {DELAY_MS} ms, {rounds} calls each")
    bare = [took.ms for took in good(batch, "bare")]
    section.add("bare backend, p50", percentile(bare, 50), "ms")
    section.add("bare backend, p95", percentile(bare, 95), "ms")
    for way in ways:
        # Over the median: the backend's own jitter is not taken off twice, nor hidden.
        added = [took.ms - median(bare) for took in good(batch, way.name)]
        section.add(f"{way.name}: added, p50", percentile(added, 50), "ms", 15)
        section.add(f"{way.name}: added, p95", percentile(added, 95), "ms", 40)
        section.add(f"{way.name}: over the bare call, p50", 1 + median(added) / median(bare), "x", digits=2)
    section.note = _failures(batch)
    return section


async def stream(product: Product, rounds: int) -> Section:
    """Streams, one at a time: of the paced stand-in, and of the embedded model."""
    section = Section("stream: /v1/chat/completions, one at a time")
    await product.reply_with(delay_ms=DELAY_MS, pace_ms=PACE_MS, tokens=STREAMED_TOKENS)
    targets = [product.bare(stream=True), product.completions(stream=True)]
    paced = await product.load(Alternate(targets=targets, rounds=max(5, rounds // 2)))
    _compare(section, f"stand-in, {STREAMED_TOKENS} tokens, {PACE_MS} ms apart", paced, targets[1].name)
    targets = [
        product.bare_model(MODEL_TOKENS),
        product.completions(EMBEDDED_CHAT_MODEL, stream=True, tokens=MODEL_TOKENS),
    ]
    real = await product.load(Alternate(targets=targets, rounds=max(5, rounds // 5)))
    _compare(section, f"{EMBEDDED_CHAT_MODEL}, {MODEL_TOKENS} tokens", real, targets[1].name)
    section.note = _failures(paced, real)
    return section


def _compare(section: Section, what: str, batch: Batch, ours: str) -> None:
    bare, through = good(batch, "bare"), good(batch, ours)
    first, first_through = ([took.first_ms or 0.0 for took in some] for some in (bare, through))
    each, each_through = ([took.token_ms or 0.0 for took in some] for some in (bare, through))
    section.add(f"{what}: bare, to the first, p50", median(first), "ms")
    added = [ms - median(first) for ms in first_through]
    section.add("    added to the first token, p50", percentile(added, 50), "ms", 15)
    section.add("    added to the first token, p95", percentile(added, 95), "ms")
    section.add("    bare, a token, p50", median(each), "ms", digits=2)
    section.add("    added a token, p50", median(each_through) - median(each), "ms", 1, digits=2)
    ratio = median([took.ms for took in through]) / median([took.ms for took in bare])
    section.add("    whole answer over the bare one, p50", ratio, "x", digits=2)


def _failures(*batches: Batch) -> str:
    failed = [took for batch in batches for took in batch.took if took.error]
    return f"{len(failed)} calls failed: {failed[0].error}" if failed else ""
