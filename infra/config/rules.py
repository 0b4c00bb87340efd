"""`[effort]`, `[breaker]`, `[repeats]`, `[scheduling]`, `[money]`, `[policy]`, `[approvals]`: the rules of turns."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from activities.contracts.backends import Backend
from activities.contracts.policy import (
    APPROVAL_PATIENCE,
    ApproveCloud,
    BreakerRules,
    Caps,
    EffortBands,
    RepeatRules,
    TurnPolicy,
)
from activities.contracts.topology import AGING, Reference, RouterKind
from infra.config.backends import read_price
from infra.config.durations import written
from infra.config.mistakes import allowed
from infra.config.table import Table, kind

OFF = 11
"""One more than the highest effort."""
LEAST_AGING = timedelta(milliseconds=100)
LEAST_APPROVAL_PATIENCE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that the file says besides whom to ask."""

    bands: EffortBands
    router: RouterKind
    default_effort: int | None
    breaker: BreakerRules
    repeats: RepeatRules
    aging: timedelta | None
    approval_patience: timedelta
    turn_policy: TurnPolicy
    reference: Reference | None


def read_rules(root: Table, backends: Mapping[str, Backend], names: Collection[str]) -> Rules:
    """The rules. `names` are the backends' names, also of those that could not be read."""
    effort = root.section("effort")
    bands = _bands(effort)
    router = effort.choice("router", RouterKind.RULES)
    default_effort = effort.integer("default", None, least=1, most=OFF - 1)
    effort.close()
    money = root.section("money")
    caps = Caps(
        turn_usd=money.number("turn_usd", None, least=0),
        tenant_day_usd=money.number("tenant_day_usd", None, least=0),
        tenant_month_usd=money.number("tenant_month_usd", None, least=0),
    )
    reference = _reference(money, backends, names)
    money.close()
    return Rules(
        bands=bands,
        router=router,
        default_effort=default_effort,
        breaker=_breaker(root.section("breaker")),
        repeats=_repeats(root.section("repeats")),
        aging=_aging(root.section("scheduling")),
        approval_patience=_approval_patience(root.section("approvals")),
        turn_policy=_policy(root.section("policy"), caps, backends, names),
        reference=reference,
    )


def _bands(table: Table) -> EffortBands:
    default = EffortBands()
    offer = table.integer("offer_from", default.offer_from, least=1, most=OFF)
    require = table.integer("require_from", default.require_from, least=1, most=OFF)
    if offer > require:
        key = "require_from" if table.has("require_from") else "offer_from"
        table.wrong(f"offer_from ({offer}) must not be above require_from ({require})", key)
        return default
    return EffortBands(offer_from=offer, require_from=require)


def _breaker(table: Table) -> BreakerRules:
    default = BreakerRules()
    calls = table.integer("rate_calls", default.rate_calls, least=1, most=60)
    least = table.integer("rate_least", default.rate_least, least=1, most=60)
    first = _seconds(table, "first_open", default.first_open_s)
    longest = _seconds(table, "max_open", default.max_open_s)
    in_row = table.integer("failures_in_row", default.failures_in_row, least=1)
    rate = table.number("rate", default.rate, least=0, most=1, above=True)
    calm = table.length("calm", timedelta(seconds=default.calm_s), zero=True).total_seconds()
    probe = _seconds(table, "probe", default.probe_s)
    retry_after = _seconds(table, "max_retry_after", default.max_retry_after_s)
    table.close()
    if least > calls:
        key = "rate_least" if table.has("rate_least") else "rate_calls"
        table.wrong(f"rate_least ({least}) must not be above rate_calls ({calls})", key)
        return default
    if first > longest:
        key = "first_open" if table.has("first_open") else "max_open"
        table.wrong(f"first_open ({first:g} s) must not be longer than max_open ({longest:g} s)", key)
        return default
    return BreakerRules(
        failures_in_row=in_row,
        rate=rate,
        rate_calls=calls,
        rate_least=least,
        first_open_s=first,
        max_open_s=longest,
        calm_s=calm,
        probe_s=probe,
        max_retry_after_s=retry_after,
    )


def _seconds(table: Table, key: str, default: float) -> float:
    return table.length(key, timedelta(seconds=default)).total_seconds()


def _repeats(table: Table) -> RepeatRules:
    default = RepeatRules()
    rules = RepeatRules(
        times=table.integer("times", default.times, least=0, most=20),
        first=table.length("first", default.first),
        longest=table.length("longest", default.longest),
    )
    table.close()
    if rules.first > rules.longest:
        key = "first" if table.has("first") else "longest"
        table.wrong("first must not be longer than longest", key)
    return rules


def _aging(table: Table) -> timedelta | None:
    """How long a call waits before it becomes more urgent; None where it never does."""
    off = table.raw("aging") == "off"
    aging = None if off else table.length("aging", AGING, zero=True) or None
    table.close()
    if aging is not None and aging < LEAST_AGING:
        table.wrong(
            f'"off", or at least {written(LEAST_AGING)}, is wanted: each step is queued anew', "aging"
        )
    return aging


def _approval_patience(table: Table) -> timedelta:
    """How long a turn waits for a person; its own lifetime bounds that as well."""
    patience = table.length("patience", APPROVAL_PATIENCE)
    table.close()
    if patience < LEAST_APPROVAL_PATIENCE:
        table.wrong(f"at least {written(LEAST_APPROVAL_PATIENCE)} is wanted", "patience")
    return patience


def _approve_cloud(table: Table) -> ApproveCloud:
    """One of the words; true and false, as it was written once, still mean what they did."""
    value = table.raw("approve_cloud")
    if isinstance(value, bool):
        return ApproveCloud.ASK if value else ApproveCloud.NEVER
    return table.choice("approve_cloud", ApproveCloud.NEVER)


def _policy(table: Table, caps: Caps, backends: Mapping[str, Backend], names: Collection[str]) -> TurnPolicy:
    models = {backend.model for backend in backends.values() if backend.model}
    policy = TurnPolicy(
        local_only=table.flag("local_only", False),
        allowed_models=_listed(table, "allowed_models", models),
        allowed_backends=_listed(table, "allowed_backends", names),
        caps=caps,
        approve_cloud=_approve_cloud(table),
        approve_above_usd=table.number("approve_above_usd", None, least=0),
        compose=table.flag("compose", False),
    )
    table.close()
    return policy


def _listed(table: Table, key: str, known: Collection[str]) -> tuple[str, ...] | None:
    """An allow-list; None where there is none, for an empty one allows nothing."""
    if not table.has(key):
        return None
    found = table.texts(key)
    for index, text in found:
        if text not in known:
            table.wrong(f'"{text}" is not configured; {allowed(known, text)}', key, index)
    return tuple(text for _, text in found)


def _reference(money: Table, backends: Mapping[str, Backend], names: Collection[str]) -> Reference | None:
    """A priced backend by its name, or a price that is written out."""
    value = money.raw("reference")
    if value is None:
        return None
    if isinstance(value, dict):
        table = money.inner(cast("dict[str, object]", value), "reference")
        model = table.needed("model")
        price = read_price(table)
        table.close()
        return Reference(model=model, price=price) if price else None
    priced = {backend.name: backend for backend in backends.values() if backend.price}
    if not isinstance(value, str):
        wanted = "the name of a backend with a price, or { model, input_usd, output_usd, read_on }, is wanted"
        money.wrong(f"{wanted}, not {kind(value)}", "reference")
    elif (found := priced.get(value)) and found.price:
        return Reference(model=found.model, price=found.price)
    elif value in names:
        money.wrong(f'backend "{value}" has no price; {allowed(priced)}', "reference")
    else:
        money.wrong(f'"{value}" is no backend; {allowed(priced, value)}', "reference")
    return None
