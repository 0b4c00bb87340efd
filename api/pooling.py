"""Pools put together: one view out of what each worker process says of its share."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from activities.contracts.backends import Backend
from activities.contracts.pools import (
    EngineFigures,
    MemberHealth,
    MemberSource,
    MemberView,
    PoolView,
    quantile_ms,
)
from activities.contracts.topology import Topology
from api.saturation import QueueFigures
from api.scheduler_views import EngineState, MemberState, PoolState

BEST_FIRST = (
    MemberHealth.UP,
    MemberHealth.DRAINING,
    MemberHealth.BARRED,
    MemberHealth.PARKED,
    MemberHealth.DOWN,
    MemberHealth.OFFLINE,
)
WORST_FIRST = ("open", "half_open", "closed")

UNSERVED = "no worker process serves its pool"
UNHEARD = "what the workers say is not heard"


def pools_of(
    names: Sequence[str],
    topology: Topology,
    words: Mapping[str, Sequence[PoolView]] | None,
    figures: Mapping[str, QueueFigures],
) -> tuple[PoolState, ...]:
    """Each pool of those names. Without `words` what only the workers know is null, not zero."""
    configured = topology.pools()
    heard: dict[str, list[PoolView]] = {name: [] for name in names}
    for views in (words or {}).values():
        for view in views:
            heard.setdefault(view.pool, []).append(view)
    cards = {resident.name: resident.card for card in topology.cards for resident in card.residents}
    return tuple(
        _pool(
            name,
            heard[name] if words is not None else None,
            figures.get(name),
            [
                _unseen(backend, cards, UNSERVED if words is not None else UNHEARD)
                for backend in configured.get(name, ())
            ],
        )
        for name in names
    )


def _pool(
    name: str, views: list[PoolView] | None, figures: QueueFigures | None, configured: list[MemberState]
) -> PoolState:
    known: dict[str, Any] = dict.fromkeys(("slots", "used", "free", "served_by"))
    recent: list[int] = []
    seen: dict[str, MemberState] = {}
    if views is not None:
        slots, used = sum(view.slots for view in views), sum(view.used for view in views)
        known = {"slots": slots, "used": used, "free": max(0, slots - used), "served_by": len(views)}
        recent = [sum(counts) for counts in zip(*(view.waits.recent for view in views), strict=True)]
        seen = _members(views)
    shown = {member.backend: member for member in configured} | seen
    return PoolState(
        name=name,
        **known,
        backlog=figures.backlog if figures else None,
        backlog_age_s=round(figures.backlog_age_s, 3) if figures else None,
        backlog_by_priority=figures.by_priority if figures else None,
        add_rate=round(figures.add_rate, 3) if figures else None,
        dispatch_rate=round(figures.dispatch_rate, 3) if figures else None,
        wait_p50_ms=_rounded(quantile_ms(recent, 0.5)),
        wait_p95_ms=_rounded(quantile_ms(recent, 0.95)),
        members=list(shown.values()),
    )


def _members(views: Sequence[PoolView]) -> dict[str, MemberState]:
    by_backend: dict[str, list[MemberView]] = {}
    for view in views:
        for member in view.members:
            by_backend.setdefault(member.backend, []).append(member)
    return {backend: _merged(seen) for backend, seen in by_backend.items()}


def _merged(seen: Sequence[MemberView]) -> MemberState:
    """One member as several processes see it. What each counts for itself is added up; what all of them
    measure at the same server is not.
    """
    best = min(seen, key=lambda member: BEST_FIRST.index(member.health))
    others = [member for member in seen if member.health is not best.health]
    why = best.why
    if others:
        apart = f"{others[0].health} for {len(others)} of {len(seen)} processes"
        apart += f" ({others[0].why})" if others[0].why else ""
        why = f"{why}; {apart}" if why else apart
    return MemberState(
        backend=best.backend,
        model=best.model,
        locality=best.locality.value,
        source=best.source,
        health=best.health.value,
        why=why,
        slots=max(member.slots for member in seen),
        share=sum(member.share for member in seen),
        used=sum(member.used for member in seen),
        foreign=max(member.foreign for member in seen),
        breaker=_worst({member.breaker for member in seen}),
        card=next((member.card for member in seen if member.card), None),
        base_url=None,
        engine=_engine([member.engine for member in seen]),
    )


def _worst(breakers: set[str]) -> Any:
    return next((state for state in WORST_FIRST if state in breakers), None)


def _engine(said: Sequence[EngineFigures]) -> EngineState:
    """Each figure from the first that knows it: all ask the same server."""
    figures = {
        each.name: next(
            (value for one in said if (value := getattr(one, each.name)) is not None),
            None,
        )
        for each in fields(EngineFigures)
    }
    return EngineState(**figures)


def _unseen(backend: Backend, cards: Mapping[str, str], why: str) -> MemberState:
    """A configured member of which no worker tells."""
    return MemberState(
        backend=backend.name,
        model=backend.model,
        locality=backend.locality.value,
        source=MemberSource.CONFIGURED,
        health="unknown",
        why=why,
        slots=backend.slots,
        share=None,
        used=None,
        foreign=None,
        breaker=None,
        card=cards.get(backend.resident) if backend.resident else None,
        base_url=None,
        engine=EngineState(**asdict(EngineFigures())),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
