"""What no part of a file can tell alone: whether names are clear, and whether pools hold together."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from activities.contracts.backends import Backend
from infra.config.ladders import Step
from infra.config.mistakes import Finding

AUTO = "auto"
"""How a turn asks for the default ladder."""


def pools_of(
    backends: Mapping[str, Backend], steps: Iterable[Step], findings: list[Finding]
) -> dict[str, str]:
    """The pool of each backend: the one that it names, or that its rungs name, or one of its own."""
    named = {backend.name: backend.pool for backend in backends.values() if backend.pool}
    for step in steps:
        if step.pool is None:
            continue
        pool = named.setdefault(step.backend, step.pool)
        if pool != step.pool:
            text = (
                f'backend "{step.backend}" serves pool "{pool}" already: in two, its slots would count twice'
            )
            findings.append(Finding((*step.path, "pool"), text))
    return {name: named.get(name, f"llm-{name}") for name in backends}


def shared_pools(backends: Mapping[str, Backend], pools: Mapping[str, str]) -> Iterator[Finding]:
    """Backends of one pool stand in for each other unseen, so they must be alike."""
    first: dict[str, Backend] = {}
    for backend in backends.values():
        other = first.setdefault(pools[backend.name], backend)
        for key in ("model", "locality", "window_tokens"):
            ours, theirs = getattr(backend, key), getattr(other, key)
            if ours and theirs and ours != theirs:
                text = f'"{other.name}" is in the same pool, so {key} must be the same: {theirs}, not {ours}'
                yield Finding(("backends", backend.name, key), text)


def unclear_models(
    backends: Mapping[str, Backend], pools: Mapping[str, str], taken: Collection[str]
) -> Iterator[Finding]:
    """A turn may be pinned to a model or a backend by name: each name must mean one pool. `taken` are others."""
    for name in backends:
        if name == AUTO:
            yield Finding(("backends", name), f'"{AUTO}" is how turns ask for the default ladder')
    seen: dict[str, Backend] = {}
    for backend in backends.values():
        path = ("backends", backend.name, "model")
        if backend.model == AUTO or backend.model.startswith(f"{AUTO}:"):
            yield Finding(path, f'"{backend.model}" is how turns ask for a ladder')
        if backend.model in taken:
            yield Finding(path, f'"{backend.model}" is the embedding model already')
        meant = backends.get(backend.model) or (seen.setdefault(backend.model, backend))
        if backend.model and pools[meant.name] != pools[backend.name]:
            same = "the name" if meant.name == backend.model else "the model"
            text = (
                f'"{backend.model}" is {same} of backend "{meant.name}" too, so a turn pinned to it could not'
                " tell which: let both share a pool, or rename one"
            )
            yield Finding(path, text)


def unclear_ladders(
    ladders: Iterable[str], default: str, backends: Mapping[str, Backend], names: AbstractSet[str]
) -> Iterator[Finding]:
    """A pinned turn climbs a ladder named after its model, so ladders share no names with models."""
    models = {backend.model for backend in backends.values()}
    for name in ladders:
        path = ("ladders", name)
        if name in names - {AUTO}:
            yield Finding(path, "a backend has this name; give the ladder another")
        elif name in models:
            yield Finding(path, "a backend's model has this name; give the ladder another")
        elif name == AUTO != default:
            text = f'turns ask for the default ladder as "{AUTO}", and that is "{default}": give this another name'
            yield Finding(path, text)
