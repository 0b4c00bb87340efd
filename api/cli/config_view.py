"""What `aither config show` shows on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from activities.contracts.policy import ApproveCloud
from api.cli.client import coloured
from infra.config.durations import written

if TYPE_CHECKING:
    from activities.contracts.backends import Backend, Price, Rung
    from activities.contracts.topology import Topology

WIDTH = 200
"""Columns where there is no terminal that has some."""


def view(name: str, topology: Topology, env: Mapping[str, str]) -> None:
    """The whole topology, table by table."""
    terminal = sys.stdout.isatty()
    console = Console(
        highlight=False, width=None if terminal else WIDTH, no_color=not coloured(terminal), soft_wrap=False
    )
    console.print(f"[dim]{escape(name)}[/dim]")
    for title, table in (
        ("Backends", _backends(topology, env)),
        ("Pools", _pools(topology)),
        *(
            (_title(topology, ladder.name), _ladder(ladder.answer, ladder.reason))
            for ladder in topology.ladders
        ),
        *((("Cards", _cards(topology)), ("Residents", _residents(topology))) if topology.cards else ()),
        ("Rules", _rules(topology)),
    ):
        console.print(f"\n[bold]{escape(title)}[/bold]")
        console.print(table)


def _table(*titles: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, show_header=bool(titles))
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _add(table: Table, *cells: object) -> None:
    """A row of cells as they are: nothing in them is taken for markup."""
    table.add_row(*(escape(str(cell)) for cell in cells))


def _backends(topology: Topology, env: Mapping[str, str]) -> Table:
    table = _table(
        "backend", "where", "model", "base URL", "speaks", "slots", "window", "can", "key", "$ per million"
    )
    for backend in topology.backends:
        _add(
            table,
            backend.name,
            backend.locality,
            backend.model,
            backend.base_url,
            backend.kind if backend.kind == "anthropic" else backend.dialect,
            backend.slots,
            f"{backend.window_tokens:,}",
            ", ".join(backend.capabilities) or "–",
            _key(backend, env),
            _price(backend.price) if backend.price else "–",
        )
    return table


def _key(backend: Backend, env: Mapping[str, str]) -> str:
    variable = backend.api_key_env
    if variable is None:
        return "–"
    return f"{variable} ({'set' if env.get(variable, '').strip() else 'not set'})"


def _price(price: Price) -> str:
    cached = f" ({price.cached_input_usd:g} cached)" if price.cached_input_usd is not None else ""
    return f"{price.input_usd:g}{cached} in, {price.output_usd:g} out, read {price.read_on}"


def _pools(topology: Topology) -> Table:
    table = _table("pool", "slots", "backends")
    for pool, members in topology.pools().items():
        slots = sum(member.slots for member in members)
        _add(table, pool, slots, ", ".join(member.name for member in members))
    return table


def _cards(topology: Topology) -> Table:
    table = _table("card", "VRAM", "reserve", "hog", "aging", "residents")
    for card in topology.cards:
        sizes = (f"{card.vram_mib:,} MiB", f"{card.reserve_mib:,} MiB")
        names = ", ".join(resident.name for resident in card.residents) or "–"
        _add(table, card.card, *sizes, written(card.hog), written(card.aging), names)
    return table


def _residents(topology: Topology) -> Table:
    table = _table("resident", "card", "kind", "MiB", "asleep", "root URL", "priority", "there", "serves")
    for resident in (resident for card in topology.cards for resident in card.residents):
        serves = [backend.name for backend in topology.backends if backend.resident == resident.name]
        _add(
            table,
            resident.name,
            resident.card,
            resident.kind,
            f"{resident.mib:,}",
            f"{resident.asleep_mib:,}",
            resident.base_url,
            resident.priority,
            f"on demand, idle {written(resident.idle)}" if resident.on_demand else "always",
            ", ".join(serves) or "–",
        )
    return table


def _title(topology: Topology, ladder: str) -> str:
    asked = "auto" if ladder == topology.default_ladder else f"auto:{ladder}"
    return f'Ladder {ladder} (model "{asked}")'


def _ladder(answer: Iterable[Rung], reason: Iterable[Rung]) -> Table:
    table = _table("chain", "rung", "model", "where", "pool", "patience", "call time-out")
    for chain, rungs in (("answer", answer), ("reason", reason)):
        for place, rung in enumerate(rungs, start=1):
            named = rung.name if rung.name == rung.backend else f"{rung.name} ({rung.backend})"
            times = (written(rung.patience), written(rung.call_timeout))
            _add(table, f"{chain} {place}", named, rung.model, rung.locality, rung.pool, *times)
    return table


def _rules(topology: Topology) -> Table:
    table = _table()
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, told in (
        ("effort", _effort(topology)),
        ("money", _money(topology)),
        ("policy", _policy(topology)),
        ("breaker", _breaker(topology)),
        ("repeats", _repeats(topology)),
        ("scheduling", _scheduling(topology)),
        (
            "approvals",
            f"a turn waits {written(topology.approval_patience)} for a person, if it lives so long",
        ),
    ):
        _add(table, name, told)
    return table


def _effort(topology: Topology) -> str:
    bands = topology.bands
    offered = f"from {bands.offer_from}" if bands.offer_from <= 10 else "never"
    required = f"from {bands.require_from}" if bands.require_from <= 10 else "never"
    default = topology.default_effort or "estimated"
    return f"reason is offered {offered}, required {required}; router {topology.router}; default {default}"


def _scheduling(topology: Topology) -> str:
    if topology.aging is None:
        return "a waiting call keeps its priority"
    return f"a call that has waited {written(topology.aging)} becomes one step more urgent"


def _money(topology: Topology) -> str:
    caps = topology.turn_policy.caps
    spans = (("turn", caps.turn_usd), ("tenant's day", caps.tenant_day_usd), ("month", caps.tenant_month_usd))
    told = ", ".join(f"{span} ${most:g}" for span, most in spans if most is not None) or "no caps"
    reference = topology.reference
    compared = f"; compared with {reference.model}: {_price(reference.price)}" if reference else ""
    return told + compared


def _policy(topology: Topology) -> str:
    policy = topology.turn_policy
    told = [
        "nothing leaves the building" if policy.local_only else "may leave the building",
        "the reasoner's answer is composed" if policy.compose else "the reasoner's answer goes out as it is",
    ]
    if policy.approve_cloud is not ApproveCloud.NEVER:
        anew = ", each turn anew" if policy.approve_cloud is ApproveCloud.ALWAYS else ""
        told.append(f"cloud calls need agreement{anew}")
    if policy.approve_above_usd is not None:
        told.append(f"calls above ${policy.approve_above_usd:g} need agreement")
    for kind, names in (("models", policy.allowed_models), ("backends", policy.allowed_backends)):
        if names is not None:
            told.append(f"{kind} allowed: {', '.join(names) or 'none'}")
    return "; ".join(told)


def _breaker(topology: Topology) -> str:
    rules = topology.breaker
    first, longest = (written(timedelta(seconds=s)) for s in (rules.first_open_s, rules.max_open_s))
    return (
        f"opens after {rules.failures_in_row} failures in a row, or {rules.rate:.0%} of the last "
        f"{rules.rate_calls} (at least {rules.rate_least}), for {first}, doubling up to {longest}"
    )


def _repeats(topology: Topology) -> str:
    rules = topology.repeats
    return (
        f"up to {rules.times} times, after {written(rules.first)}, doubling; at most {written(rules.longest)}"
    )
