"""`[ladders.NAME]`: two chains of rungs, as they are written and before they are tied to backends."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from activities.contracts.backends import Ladder, Rung
from infra.config.backends import POOL, POOL_FORM
from infra.config.lines import Path
from infra.config.mistakes import allowed
from infra.config.table import Table, kind

PATIENCE = timedelta(seconds=30)
CALL_TIMEOUT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A rung as it is written; `pool` only where the rung names one."""

    path: Path
    name: str
    backend: str
    patience: timedelta = PATIENCE
    call_timeout: timedelta = CALL_TIMEOUT
    pool: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains:
    """A ladder as it is written; no `answer` where the file leaves it to the default ladder."""

    answer: tuple[Step, ...] | None
    reason: tuple[Step, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The rungs of both chains."""
        return (*(self.answer or ()), *self.reason)


def read_ladders(root: Table, backends: Collection[str]) -> dict[str, Chains]:
    """All of `[ladders]`, its rungs checked against the names of the backends."""
    tables = root.named("ladders")
    ladders = {name: _chains(table, backends) for name, table in tables.items() if table is not None}
    folded: dict[str, str] = {}
    for name in ladders:
        if name.lower() in folded:
            text = f'only case tells it from the ladder "{folded[name.lower()]}"'
            root.wrong(text, "ladders", name)
        folded.setdefault(name.lower(), name)
    return ladders


def chains_of(ladder: Ladder) -> Chains:
    """A ladder that is ready, as if it were written. Its pools are left to its backends."""
    return Chains(answer=tuple(map(_step_of, ladder.answer)), reason=tuple(map(_step_of, ladder.reason)))


def _step_of(rung: Rung) -> Step:
    return Step(
        path=(),
        name=rung.name,
        backend=rung.backend,
        patience=rung.patience,
        call_timeout=rung.call_timeout,
    )


def _chains(table: Table, backends: Collection[str]) -> Chains:
    answer = _chain(table, "answer", backends)
    if answer is not None and not table.raw("answer"):
        table.wrong("answer is the chain that serves every turn: it needs at least one rung", "answer")
    chains = Chains(answer=answer, reason=_chain(table, "reason", backends) or ())
    table.close()
    return chains


def _chain(table: Table, key: str, backends: Collection[str]) -> tuple[Step, ...] | None:
    """The rungs of one chain that can be read; None where the chain is not written."""
    written = table.array(key)
    if written is None:
        return () if table.has(key) else None
    steps: list[Step] = []
    for index, value in enumerate(written):
        step = _step(table, key, index, value, backends)
        if step is None:
            continue
        if any(step.backend == other.backend for other in steps):
            table.wrong(f'backend "{step.backend}" stands twice in this chain', key, index)
        elif any(step.name == other.name for other in steps):
            table.wrong(f'two rungs of this chain are named "{step.name}"', key, index)
        steps.append(step)
    return tuple(steps)


def _step(table: Table, key: str, index: int, value: object, backends: Collection[str]) -> Step | None:
    if isinstance(value, str):
        if value in backends:
            return Step(path=(*table.path, key, index), name=value, backend=value)
        table.wrong(f'"{value}" is no backend; {allowed(backends, value)}', key, index)
        return None
    if isinstance(value, dict):
        return _tabled(table.inner(cast("dict[str, object]", value), key, index), backends)
    wanted = 'a backend\'s name, or { backend = "…", patience = "…", call_timeout = "…" }, is wanted'
    table.wrong(f"{wanted}, not {kind(value)}", key, index)
    return None


def _tabled(table: Table, backends: Collection[str]) -> Step | None:
    backend = table.needed("backend")
    pool = table.text("pool", None)
    if pool is not None and not POOL.fullmatch(pool):
        table.wrong(POOL_FORM, "pool")
        pool = None
    step = Step(
        path=table.path,
        name=table.text("name", backend),
        backend=backend,
        patience=table.length("patience", PATIENCE),
        call_timeout=table.length("call_timeout", CALL_TIMEOUT),
        pool=pool,
    )
    table.close({"timeout": 'did you mean "call_timeout"?', "model": 'did you mean "backend"?'})
    if backend and backend not in backends:
        table.wrong(f'"{backend}" is no backend; {allowed(backends, backend)}', "backend")
    return step if backend in backends else None
