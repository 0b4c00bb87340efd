"""What a turn may do: how requests say it, what is checked of it, and what it comes to."""

from typing import Annotated

import msgspec
from pydantic import Field, StrictBool

from activities.contracts.agents import Agent
from activities.contracts.policy import ApproveCloud, Bounds, TurnPolicy
from activities.contracts.topology import Topology
from api.problems import FieldError, Problem, invalid
from api.shapes import Given, Taken
from infra.postgres.keys import Caller
from workflows.policy.combine import combine
from workflows.policy.models import bounded_names

MOST_NAMES = 100
MOST_USD = 1_000_000

Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], Field(max_length=MOST_NAMES)]
Usd = Annotated[float, Field(ge=0, le=MOST_USD)]


class PolicyBody(Taken):
    """Bounds on a turn. The stricter of these and its agent's, key's and tenant's holds; none can be lifted."""

    local_only: bool | None = Field(default=None, description="Nothing of the turn leaves the building.")
    max_usd: Usd | None = Field(
        default=None, description="Dollars that the turn may cost; 0: only what is free."
    )
    max_usd_day: Usd | None = Field(
        default=None, description="Dollars that the tenant's day (UTC) may have come to, this turn included."
    )
    max_usd_month: Usd | None = Field(default=None, description="The same of the calendar month.")
    allowed_models: Names | None = Field(default=None, description="Only these models may be asked.")
    allowed_backends: Names | None = Field(default=None, description="Only these backends may be asked.")
    approve_cloud: ApproveCloud | StrictBool | None = Field(
        default=None,
        description="Whether someone must agree before anything leaves the building: `never`; `ask`, unless an "
        "earlier yes reaches so far; `always`, each turn anew. `true` and `false` are read as `ask` and `never`.",
    )
    approve_above_usd: Usd | None = Field(
        default=None, description="Someone must agree before a call that could cost more."
    )
    compose: bool | None = Field(
        default=None, description="The reasoner's answer is put into the orchestrator's words."
    )

    def bounds(self) -> Bounds:
        """The same, as the policies take it."""
        return Bounds(**self.model_dump())


class PolicyView(Given):
    """What a turn may do and cost: its tenant's, key's, agent's and request's bounds together. Null: unbounded."""

    local_only: bool
    max_usd: float | None
    max_usd_day: float | None
    max_usd_month: float | None
    allowed_models: list[str] | None
    allowed_backends: list[str] | None
    approve_cloud: ApproveCloud
    approve_above_usd: float | None
    compose: bool


def checked(bounds: Bounds, topology: Topology, place: str = "policy") -> Bounds:
    """The bounds as they are. Raises a 422 `Problem` for a name on a list that means nothing here."""
    models, backends = bounded_names(topology)
    for kind, names, known in (
        ("models", bounds.allowed_models, models),
        ("backends", bounds.allowed_backends, backends),
    ):
        for index, name in enumerate(names or ()):
            if name not in known:
                there_are = ", ".join(known)
                raise invalid(
                    f"{place}.allowed_{kind}[{index}]",
                    f"there is no {kind[:-1]} {name[:100]!r}; there are: {there_are}",
                )
    return bounds


def effective(topology: Topology, caller: Caller, agent: Agent | None, asked: Bounds) -> TurnPolicy:
    """What a turn may do, by everyone who has a say in it."""
    agents = msgspec.convert(agent.texts.policy, Bounds) if agent else Bounds()
    return combine(topology.turn_policy, caller.tenant_bounds, caller.key_bounds, agents, asked)


def no_agent(name: str) -> Problem:
    """A 404 about an agent that a request names."""
    return Problem(
        "agent_not_found",
        f"there is no agent {name[:100]!r}; GET /v1/agents lists those there are",
        FieldError(field="agent", message="no such agent"),
    )
