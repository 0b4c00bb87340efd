"""Whether the server behind a local backend is well, and what its own metrics say: vLLM's and llama.cpp's.

Names of metrics are vLLM 0.32's and those of llama.cpp's server, whose cache gauge only older builds have. An engine
that does not tell a figure leaves it None. Nothing here is asked with a key: both engines answer these pages to all.
"""

import asyncio
import errno
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from activities.contracts.backends import Backend, Dialect
from activities.contracts.pools import EngineFigures

PATIENCE_S = 2.0
"""For both pages together."""
MOST_METRICS_BYTES = 4 * 1024 * 1024

_SAMPLE = re.compile(
    r'^((?:vllm|llamacpp):\w+)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?[ \t]+(\S+)', re.MULTILINE | re.ASCII
)
_ASLEEP = re.compile(r'sleep_state="(?:weights_offloaded|discard_all)"')

Samples = dict[str, list[tuple[str, float]]]
"""Labels, as they are written, and value of every sample, by the metric's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWord:
    """What came of asking. `why` says in a few words what is wrong with one that is not alive."""

    alive: bool
    why: str = ""
    figures: EngineFigures = field(default_factory=EngineFigures)


async def probe(session: aiohttp.ClientSession, backend: Backend) -> EngineWord:
    """Asks the server for its health, then for its metrics if its dialect has any. Never raises.

    A server without a page for its health is alive: it answers. Without metrics only the figures are missing.
    """
    root = root_of(backend.base_url)
    health: EngineWord | None = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            health = await _health(session, root, backend.dialect)
            read = _FIGURES.get(backend.dialect)
            if health.alive and read is not None:
                return EngineWord(alive=True, figures=read(samples(await _metrics(session, root))))
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
        return health or EngineWord(alive=False, why=_reason(error))
    return health


def root_of(base_url: str) -> str:
    """Where the server's own pages are: the base URL without its version."""
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


def samples(text: str) -> Samples:
    """The engine's own samples in Prometheus's text format; other lines, and values that are none, are left out."""
    found: Samples = {}
    for name, labels, value in _SAMPLE.findall(text):
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number) and number >= 0:
            found.setdefault(name, []).append((labels, number))
    return found


def vllm_figures(found: Samples) -> EngineFigures:
    """vLLM's, of all its engines together."""
    sleeps = found.get("vllm:engine_sleep_state")
    return EngineFigures(
        running=_count(found, "vllm:num_requests_running"),
        waiting=_count(found, "vllm:num_requests_waiting"),
        kv_used=_mean(found, "vllm:kv_cache_usage_perc"),
        asleep=None if sleeps is None else any(value and _ASLEEP.search(labels) for labels, value in sleeps),
        prefix_hits=_share(
            _sum(found, "vllm:prefix_cache_hits_total"), _sum(found, "vllm:prefix_cache_queries_total")
        ),
        draft_acceptance=_drafts(found, "vllm"),
    )


def llamacpp_figures(found: Samples) -> EngineFigures:
    """llama.cpp's, which counts the prompt tokens that it read and those that its cache spared it apart."""
    cached, read = (
        _sum(found, "llamacpp:prompt_tokens_cached_total"),
        _sum(found, "llamacpp:prompt_tokens_total"),
    )
    return EngineFigures(
        running=_count(found, "llamacpp:requests_processing"),
        waiting=_count(found, "llamacpp:requests_deferred"),
        kv_used=_mean(found, "llamacpp:kv_cache_usage_ratio"),
        prefix_hits=None if cached is None or read is None else _share(cached, cached + read),
        draft_acceptance=_drafts(found, "llamacpp"),
    )


_FIGURES: dict[Dialect, Callable[[Samples], EngineFigures]] = {
    Dialect.VLLM: vllm_figures,
    Dialect.LLAMACPP: llamacpp_figures,
}


async def _health(session: aiohttp.ClientSession, root: str, dialect: Dialect) -> EngineWord:
    async with session.get(f"{root}/health", allow_redirects=False) as reply:
        if reply.status < 500:
            return EngineWord(alive=True)
        if reply.status != 503:
            return EngineWord(alive=False, why=f"its health page answers {reply.status}")
        # vLLM does not listen while it loads; it answers so once its engine has died.
        return EngineWord(alive=False, why="its engine is dead" if dialect is Dialect.VLLM else "loading")


async def _metrics(session: aiohttp.ClientSession, root: str) -> str:
    """The page, or as much of it as may be read; empty where there is none."""
    async with session.get(f"{root}/metrics", allow_redirects=False) as reply:
        if reply.status != 200:
            return ""
        page = bytearray()
        async for piece in reply.content.iter_any():
            page += piece
            if len(page) > MOST_METRICS_BYTES:
                # The last line may be cut in the middle of its number.
                del page[page.rfind(b"\n", 0, MOST_METRICS_BYTES) + 1 :]
                break
        return page.decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host's name is unknown"
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return "connection refused"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, aiohttp.InvalidURL):
        return "its URL is wrong"
    return "the connection broke"


def _sum(found: Samples, name: str) -> float | None:
    return sum(value for _, value in found[name]) if name in found else None


def _count(found: Samples, name: str) -> int | None:
    total = _sum(found, name)
    return None if total is None else round(total)


def _mean(found: Samples, name: str) -> float | None:
    """Of a share: engines of one server have as much room each."""
    total = _sum(found, name)
    return None if total is None else min(1.0, total / len(found[name]))


def _share(part: float | None, whole: float | None) -> float | None:
    """None where nothing was counted yet."""
    return min(1.0, part / whole) if part is not None and whole else None


def _drafts(found: Samples, engine: str) -> float | None:
    return _share(
        _sum(found, f"{engine}:spec_decode_num_accepted_tokens_total"),
        _sum(found, f"{engine}:spec_decode_num_draft_tokens_total"),
    )
