"""`[burst]` with its `timing`, `reasoning` and `images`: what boxes may be rented for, and for how much."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from activities.contracts.backends import Backend, Capability, Dialect, Locality
from activities.contracts.boxes import BoxPlan, ModelNeed, Pace
from activities.contracts.burst import BurstRules
from activities.contracts.bursting import Burst
from activities.contracts.lease_views import Agreement, LeasePlan, LeaseTiming
from activities.contracts.leases import Need, Purpose
from infra.config.addresses import objection
from infra.config.mistakes import Finding, allowed
from infra.config.table import Table

INSTALLATION = re.compile(r"[a-z0-9]{1,30}", re.ASCII)
MOST_USD = 100_000.0
MOST_MIB = 16 * 1024 * 1024
PLACE = "http://box.invalid/v1"
"""Where a box is asked is known when it is there."""

_OF_THE_SERVER = frozenset({Capability.PREFILL, Capability.LOGPROBS, Capability.TOKENIZE})
_TIMES = ("quote", "poll", "settle", "boot", "join", "load", "silence", "drain")
_HINTS = {
    **dict.fromkeys(("vram", "vram_gb"), 'did you mean "vram_mib"?'),
    **dict.fromkeys(("price", "hourly_usd", "max_price"), 'did you mean "usd_per_hour"?'),
    **dict.fromkeys(("key", "api_key"), "the market's key is the variable VAST_API_KEY"),
}


@dataclass(frozen=True, slots=True)
class WrittenBurst:
    """What a file says; pools are known later."""

    burst: Burst
    dialects: Mapping[Purpose, Dialect]
    trusted: frozenset[Purpose]

    def unclear(self, backends: Mapping[str, Backend], pools: Mapping[str, str]) -> Iterator[Finding]:
        """What does not fit the rest of the configuration."""
        for plan in self.burst.plans:
            path = ("burst", plan.purpose.value, "pool")
            like = _like(plan.pool, backends, pools)
            if not plan.pool:
                continue
            if like is None:
                yield Finding(path, f'"{plan.pool}" is no pool; {allowed(set(pools.values()), plan.pool)}')
            elif like.locality is Locality.LOCAL and plan.purpose not in self.trusted:
                text = (
                    f"{plan.pool} serves turns that may not leave the building, and a rented box is outside of it:"
                    " say trusted = true if that is agreed to"
                )
                yield Finding(path, text)

    def placed(self, backends: Mapping[str, Backend], pools: Mapping[str, str]) -> Burst:
        """Burst, with boxes that stand in for the configured members of their pools."""
        plans = tuple(self._placed(plan, backends, pools) for plan in self.burst.plans)
        return replace(self.burst, plans=plans)

    def _placed(
        self, plan: LeasePlan, backends: Mapping[str, Backend], pools: Mapping[str, str]
    ) -> LeasePlan:
        like = _like(plan.pool, backends, pools)
        if like is None:
            return plan
        dialect = self.dialects[plan.purpose]
        can = tuple(c for c in like.capabilities if dialect is like.dialect or c not in _OF_THE_SERVER)
        backend = replace(
            plan.box.backend,
            kind=like.kind,
            dialect=dialect,
            thinking=like.thinking,
            model=like.model,
            window_tokens=max(like.window_tokens, plan.box.backend.window_tokens),
            locality=like.locality,
            capabilities=can,
        )
        return replace(plan, box=replace(plan.box, backend=backend))


def read_burst(root: Table) -> WrittenBurst:
    """All of `[burst]`."""
    table = root.section("burst")
    default = Burst()
    burst = Burst(
        enabled=table.flag("enabled", default.enabled),
        installation=_installation(table),
        base_url=_market(table),
        day_usd=table.number("day_usd", default.day_usd, least=0, most=MOST_USD),
        month_usd=table.number("month_usd", default.month_usd, least=0, most=MOST_USD),
        most=table.integer("max_leases", default.most, least=1, most=100),
        check=table.length("check", default.check),
        reap=table.length("reap", default.reap),
        dry_run=table.flag("reap_dry_run", default.dry_run),
    )
    idle = table.length("idle", LeaseTiming().idle)
    timing, pace = _timing(table, replace(LeaseTiming(), check=burst.check, idle=idle))
    shared = _Shared(burst, timing, pace)
    plans: list[LeasePlan] = []
    rules: list[BurstRules] = []
    dialects: dict[Purpose, Dialect] = {}
    trusted: set[Purpose] = set()
    for purpose in Purpose:
        if table.has(purpose):
            inner = table.section(purpose)
            dialects[purpose] = inner.choice("dialect", Dialect.VLLM)
            if inner.flag("trusted", False):
                trusted.add(purpose)
            plans.append(_plan(inner, purpose, shared))
            rules.append(_rules(inner, purpose, shared))
            inner.close(_HINTS)
    table.close({**_HINTS, "installation_name": 'did you mean "installation"?'})
    burst = replace(burst, plans=tuple(plans), rules=tuple(rules))
    return WrittenBurst(burst, dialects, frozenset(trusted))


@dataclass(frozen=True, slots=True)
class _Shared:
    burst: Burst
    timing: LeaseTiming
    pace: Pace


def _installation(table: Table) -> str:
    name = table.text("installation", "")
    if not name and table.flag("enabled", False):
        table.wrong(
            "installation is missing: a word that no other user of the market account's key has", "enabled"
        )
    if name and not INSTALLATION.fullmatch(name):
        table.wrong("up to 30 small letters and digits are wanted", "installation")
        return ""
    return name


def _market(table: Table) -> str:
    url = table.text("market_url", Burst().base_url).rstrip("/")
    if wrong := objection(url):
        table.wrong(wrong, "market_url")
    return url


def _timing(table: Table, default: LeaseTiming) -> tuple[LeaseTiming, Pace]:
    """`[burst.timing]`: how long each part of a lease may take, and how a box keeps time."""
    inner = table.section("timing")
    lengths = {name: inner.length(name, getattr(default, name)) for name in _TIMES}
    pace = Pace(
        heartbeat=inner.length("heartbeat", Pace().heartbeat),
        silence=inner.length("box_silence", Pace().silence),
        start=inner.length("start", Pace().start),
    )
    inner.close()
    if lengths["silence"] < 2 * pace.heartbeat:
        inner.wrong(
            "silence must be at least two heartbeats", "silence" if inner.has("silence") else "heartbeat"
        )
    return replace(default, **lengths), pace


def _plan(table: Table, purpose: Purpose, shared: _Shared) -> LeasePlan:
    default = LeasePlan.__dataclass_fields__
    return LeasePlan(
        purpose=purpose,
        pool=table.needed("pool"),
        installation=shared.burst.installation,
        need=_need(table, purpose),
        image=table.needed("image"),
        box=_box(table, purpose, shared),
        lease_usd=table.number("lease_usd", 10.0, least=0, most=MOST_USD, above=True),
        tenant_id=table.text("approval_tenant", default["tenant_id"].default),
        agreement=table.choice("approval", Agreement.NEVER),
        timing=shared.timing,
        boxes=table.integer("boxes", default["boxes"].default, least=1, most=10),
    )


def _need(table: Table, purpose: Purpose) -> Need:
    default = Need(purpose=purpose, vram_mib=0, usd_per_hour=0, image_gb=0, model_gb=0)
    if not table.has("vram_mib"):
        table.wrong("vram_mib is missing")
    if not table.has("usd_per_hour"):
        table.wrong("usd_per_hour is missing: the most that a box may cost in an hour, all told")
    return Need(
        purpose=purpose,
        vram_mib=table.integer("vram_mib", 1, least=1, most=MOST_MIB),
        usd_per_hour=table.number("usd_per_hour", 1.0, least=0, most=1000, above=True),
        image_gb=table.number("image_gb", 10.0, least=0, most=1000),
        model_gb=table.number("model_gb", 20.0, least=0, most=5000),
        gpus=table.integer("gpus", default.gpus, least=1, most=16),
        disk_gb=table.number("disk_gb", default.disk_gb, least=1, most=10_000),
        cuda=table.number("cuda", default.cuda, least=0, most=100),
        reliability=table.number("reliability", default.reliability, least=0, most=1),
        inet_down_mbps=table.number("inet_down_mbps", default.inet_down_mbps, least=0),
        regions=_words(table, "regions"),
        regions_out=_words(table, "regions_out"),
        gpu_names=_words(table, "gpu_names"),
        machines_out=_words(table, "machines_out"),
        hours=table.number("hours", default.hours, least=0.01, most=1000),
    )


def _box(table: Table, purpose: Purpose, shared: _Shared) -> BoxPlan:
    command = _words(table, "command", unique=False)
    if not command:
        table.wrong(
            'command is missing: what the box runs, such as ["vllm", "serve", "{models}/m", "--port", "{port}"]'
        )
    env = table.section("env")
    models = [ModelNeed(uri=uri) for uri in _words(table, "models")]
    models += [ModelNeed(uri=uri, required=False) for uri in _words(table, "optional_models")]
    for need in models:
        if not need.uri.startswith("aither://models/"):
            table.wrong(
                f'"{need.uri}" is no model: one is aither://models/<shared or tenant>/<folder>/<name>'
            )
    return BoxPlan(
        command=command,
        backend=Backend(
            name=f"burst-{purpose}",
            base_url=PLACE,
            model="",
            slots=table.integer("slots", 4, least=1, most=10_000),
            window_tokens=table.integer("window_tokens", 1, least=1, most=2**31 - 1),
            pool=table.text("pool", ""),
        ),
        port=table.integer("port", 8000, least=1, most=65_535),
        models=tuple(models),
        env=_environment(env),
        health_path=table.text("health_path", "/health"),
        metrics_path=table.text("metrics_path", "/metrics"),
        external=table.flag("external", True),
        pace=shared.pace,
    )


def _environment(table: Table) -> dict[str, str]:
    return {name: table.text(name, "") for name in table.names()}


def _rules(table: Table, purpose: Purpose, shared: _Shared) -> BurstRules:
    default = BurstRules(pool="", purpose=purpose)
    return BurstRules(
        pool=table.text("pool", ""),
        purpose=purpose,
        threshold=table.length("threshold", default.threshold),
        boots_in=table.length("boots_in", default.boots_in, zero=True),
        most=table.integer("most", shared.burst.most, least=1, most=100),
        settle=table.length("served_before_more", default.settle, zero=True),
        rest=table.length("rest", default.rest, zero=True),
        longest_rest=max(default.longest_rest, table.length("rest", default.rest, zero=True)),
        idle=shared.timing.idle,
    )


def _words(table: Table, key: str, *, unique: bool = True) -> tuple[str, ...]:
    if unique:
        return tuple(word for _, word in table.texts(key))
    return tuple(word for word in table.array(key) or () if isinstance(word, str))


def _like(pool: str, backends: Mapping[str, Backend], pools: Mapping[str, str]) -> Backend | None:
    """The configured member that boxes of the pool stand in for."""
    return next((backend for name, backend in backends.items() if pools.get(name) == pool), None)
