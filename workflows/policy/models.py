"""Which ladder serves the model that a turn asks for, and what the climb must know of its backends."""

from dataclasses import replace
from datetime import timedelta

from activities.contracts.backends import Backend, Ladder, Rung
from activities.contracts.policy import BackendTerms
from activities.contracts.topology import Topology

PIN_PATIENCE = timedelta(minutes=10)
PIN_CALL_TIMEOUT = timedelta(minutes=10)


def ladder_for(topology: Topology, model: str) -> Ladder | None:
    """The ladder for `auto` (the default one), `auto:NAME`, or a pinned model; None where it is unknown.

    A pinned model is a ladder of one rung: it is served by that model or not at all. A backend that is asked
    for by a name of its own is served by no other member of its pool either.
    """
    if not is_pinned(model):
        name = model.removeprefix("auto").removeprefix(":") or topology.default_ladder
        return next((ladder for ladder in topology.ladders if ladder.name == name), None)
    backend = next((b for b in topology.backends if model in {b.name, b.model}), None)
    if backend is None:
        return None
    pinned = _pinned(topology, backend)
    if model == backend.model:
        return pinned
    return replace(pinned, answer=tuple(replace(rung, exact=True) for rung in pinned.answer))


def is_pinned(model: str) -> bool:
    """Whether the name asks for one model, which no other may stand in for."""
    return model != "auto" and not model.startswith("auto:")


def model_names(topology: Topology) -> tuple[str, ...]:
    """Every model name that a turn may ask for, `auto` first."""
    named = [f"auto:{ladder.name}" for ladder in topology.ladders if ladder.name != topology.default_ladder]
    return ("auto", *named, *dict.fromkeys(backend.model for backend in topology.backends))


def bounded_names(topology: Topology) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that an allow-list may hold: of models, and of backends."""
    models = tuple(dict.fromkeys(backend.model for backend in topology.backends))
    return models, tuple(backend.name for backend in topology.backends)


def ladder_terms(topology: Topology, ladder: Ladder) -> tuple[BackendTerms, ...]:
    """The terms of every backend of the ladder, as `ClimbPlan` wants them.

    KeyError for a ladder of other backends than the topology's.
    """
    names = dict.fromkeys(rung.backend for rung in (*ladder.answer, *ladder.reason))
    backends = [topology.backend(name) for name in names]
    return tuple(
        BackendTerms(backend=backend.name, window_tokens=backend.window_tokens, price=backend.price)
        for backend in backends
    )


def _pinned(topology: Topology, backend: Backend) -> Ladder:
    for ladder in topology.ladders:
        for rung in (*ladder.answer, *ladder.reason):
            if rung.backend == backend.name:
                return Ladder(name=backend.model, answer=(rung,))
    held = topology.held(backend)
    rung = Rung(
        name=backend.name,
        pool=backend.queue,
        backend=backend.name,
        model=backend.model,
        patience=PIN_PATIENCE,
        call_timeout=PIN_CALL_TIMEOUT,
        locality=backend.locality,
        card=held.card if held else None,
        resident=held.name if held else None,
    )
    return Ladder(name=backend.model, answer=(rung,))
