"""From a file to a topology: what it says, laid over the default, or every mistake in it."""

from collections.abc import Mapping
from dataclasses import replace

from activities.contracts.backends import Backend, Ladder, Rung
from activities.contracts.topology import Topology
from infra.config.backends import read_backends
from infra.config.burst import read_burst
from infra.config.cards import read_cards, unclear_residents
from infra.config.checks import pools_of, shared_pools, unclear_ladders, unclear_models
from infra.config.document import Document
from infra.config.ladders import Chains, Step, chains_of, read_ladders
from infra.config.mistakes import ConfigError, Finding, allowed
from infra.config.rules import read_rules
from infra.config.swarm import read_swarm
from infra.config.table import Table


def assembled(document: Document, default: Topology) -> Topology:
    """What the document configures; `ConfigError` with all its mistakes if there is any.

    A ladder without an answer chain has the default ladder's, and the default ladder stays as it is unless
    the document has one of its name or makes another the default. Of the default's backends those stay that
    some rung names and the document does not define anew.
    """
    findings: list[Finding] = []
    root = Table(document.values, (), findings)
    written = read_backends(root)
    cards = read_cards(root)
    names = written.names | {backend.name for backend in default.backends}
    ladders = read_ladders(root, names)
    default_ladder = root.text("default_ladder", default.default_ladder)
    ladders = _completed(ladders, default_ladder, default)
    if default_ladder not in ladders:
        text = f'"{default_ladder}" is no ladder; {allowed(ladders, default_ladder)}'
        root.wrong(text, "default_ladder")
    steps = [step for chains in ladders.values() for step in chains.steps]
    backends = _backends(written.backends, written.names, steps, default)
    rules = read_rules(root, backends, written.names | set(backends))
    swarm_roles = read_swarm(root, backends, ladders)
    burst = read_burst(root)
    root.close()
    pools = pools_of(backends, steps, findings)
    taken = {default.embedding_model} if default.embedding_model else set[str]()
    findings += shared_pools(backends, pools)
    findings += unclear_models(backends, pools, taken)
    findings += unclear_residents(written.backends, cards)
    findings += burst.unclear(backends, pools)
    findings += unclear_ladders(ladders, default_ladder, backends, names)
    if findings:
        raise ConfigError(document.file, document.placed(findings))
    placed = {name: replace(backend, pool=pools[name]) for name, backend in backends.items()}
    topology = Topology(
        backends=tuple(placed.values()),
        ladders=(),
        default_ladder=default_ladder,
        embedding_model=default.embedding_model,
        router=rules.router,
        default_effort=rules.default_effort,
        reference=rules.reference,
        bands=rules.bands,
        breaker=rules.breaker,
        repeats=rules.repeats,
        turn_policy=rules.turn_policy,
        aging=rules.aging,
        approval_patience=rules.approval_patience,
        cards=cards.cards,
        swarm_roles=swarm_roles,
        burst=burst.placed(backends, pools),
    )
    # Which rung needs a hold is known once cards and backends are.
    return replace(
        topology, ladders=tuple(_ladder(name, chains, topology) for name, chains in ladders.items())
    )


def _completed(ladders: Mapping[str, Chains], default_ladder: str, default: Topology) -> dict[str, Chains]:
    """The ladders with what the default adds: itself, and its answer chain where there is none."""
    given = {ladder.name: chains_of(ladder) for ladder in default.ladders}
    fallback = given[default.default_ladder]
    completed = {
        name: chains if chains.answer is not None else replace(chains, answer=fallback.answer)
        for name, chains in ladders.items()
    }
    if default_ladder == default.default_ladder and default_ladder not in completed:
        return {default_ladder: fallback, **completed}
    return completed


def _backends(
    written: tuple[Backend, ...], names: frozenset[str], steps: list[Step], default: Topology
) -> dict[str, Backend]:
    used = {step.backend for step in steps}
    kept = [backend for backend in default.backends if backend.name in used - names]
    return {backend.name: backend for backend in (*kept, *written)}


def _ladder(name: str, chains: Chains, topology: Topology) -> Ladder:
    return Ladder(
        name=name,
        answer=tuple(_rung(step, topology) for step in chains.answer or ()),
        reason=tuple(_rung(step, topology) for step in chains.reason),
    )


def _rung(step: Step, topology: Topology) -> Rung:
    backend = topology.backend(step.backend)
    held = topology.held(backend)
    return Rung(
        name=step.name,
        pool=backend.queue,
        backend=backend.name,
        model=backend.model,
        patience=step.patience,
        call_timeout=step.call_timeout,
        locality=backend.locality,
        card=held.card if held else None,
        resident=held.name if held else None,
    )
