"""Everything that is configured: what may be asked, and by which rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from activities.contracts.backends import Backend, Ladder, Price
from activities.contracts.bursting import Burst
from activities.contracts.cards import CardSpec, Resident
from activities.contracts.jobs import RoleCall
from activities.contracts.policy import (
    APPROVAL_PATIENCE,
    BreakerRules,
    EffortBands,
    RepeatRules,
    TurnPolicy,
)
from activities.contracts.swarm import Role

AGING = timedelta(seconds=60)
"""How long a call waits before it becomes more urgent, unless the configuration says."""


class RouterKind(StrEnum):
    """Who estimates the effort of a turn that names none: rules, or a small call to a model."""

    RULES = "rules"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The cloud model that spending is compared with: what the same tokens would have cost there."""

    model: str
    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Everything that is configured: what may be asked, and by which rules. Names are unique in each tuple.

    `turn_policy` is what a turn goes by where its key, its tenant and its request say nothing, and
    `default_effort` its effort where nobody gives or estimates one. A call that has waited for `aging` becomes
    one step more urgent; None keeps its priority. A turn waits `approval_patience` for a person.
    """

    backends: tuple[Backend, ...]
    ladders: tuple[Ladder, ...]
    default_ladder: str = "auto"
    embedding_model: str | None = None
    router: RouterKind = RouterKind.RULES
    default_effort: int | None = None
    reference: Reference | None = None
    bands: EffortBands = field(default_factory=EffortBands)
    breaker: BreakerRules = field(default_factory=BreakerRules)
    repeats: RepeatRules = field(default_factory=RepeatRules)
    turn_policy: TurnPolicy = field(default_factory=TurnPolicy)
    aging: timedelta | None = AGING
    approval_patience: timedelta = APPROVAL_PATIENCE
    cards: tuple[CardSpec, ...] = ()
    swarm_roles: Mapping[Role, RoleCall] = field(default_factory=dict[Role, RoleCall])
    burst: Burst = field(default_factory=Burst)

    def backend(self, name: str) -> Backend:
        """The backend of that name; KeyError when there is none."""
        for backend in self.backends:
            if backend.name == name:
                return backend
        raise KeyError(name)

    def resident(self, name: str) -> Resident:
        """The resident of that name, on whichever card; KeyError when there is none."""
        for card in self.cards:
            for resident in card.residents:
                if resident.name == name:
                    return resident
        raise KeyError(name)

    def held(self, backend: Backend) -> Resident | None:
        """What a turn must hold for the backend to serve it; None where it is always there, or on no card."""
        resident = self.resident(backend.resident) if backend.resident else None
        return resident if resident and resident.on_demand else None

    def pools(self) -> dict[str, tuple[Backend, ...]]:
        """The backends that serve each pool, by pool name: those that rungs name, and those that share it.

        A backend that no rung names is there too: a turn may be pinned to its model.
        """
        members: dict[str, dict[str, Backend]] = {}
        for ladder in self.ladders:
            for rung in (*ladder.answer, *ladder.reason):
                members.setdefault(rung.pool, {})[rung.backend] = self.backend(rung.backend)
        climbed = {name for found in members.values() for name in found}
        for backend in self.backends:
            if backend.name not in climbed:
                members.setdefault(backend.queue, {})[backend.name] = backend
        return {pool: tuple(found.values()) for pool, found in members.items()}
