"""Agents as REST takes and gives them."""

from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import Field

from activities.contracts.agents import Agent, AgentTexts
from activities.contracts.topology import Topology
from api.policies import PolicyBody, checked
from api.shapes import Given, Taken
from infra.postgres.keys import said

MOST_TEXT = 100_000
MOST_TOOLS = 128

Text = Annotated[str, Field(max_length=MOST_TEXT)]
ToolName = Annotated[str, Field(min_length=1, max_length=128)]


class AgentBody(Taken):
    """What an agent is: its texts open every turn's system message."""

    will: Text = Field(default="", description="What it wants.")
    spirit: Text = Field(default="", description="How it behaves.")
    persona: Text = Field(default="", description="How it sounds.")
    effort: int | None = Field(default=None, ge=1, le=10, description="The effort of turns that name none.")
    tools: Annotated[tuple[ToolName, ...], Field(max_length=MOST_TOOLS)] | None = Field(
        default=None, description="The tools that it may be offered; null: all that the request brings."
    )
    policy: PolicyBody = Field(default_factory=PolicyBody, description="Bounds on its turns.")


class AgentView(Given):
    """One version of an agent. `restored_from`: the version whose texts it took over."""

    name: str = Field(examples=["poet"])
    version: int
    will: str
    spirit: str
    persona: str
    effort: int | None
    tools: list[str] | None
    policy: PolicyBody
    created_at: datetime
    restored_from: int | None


class AgentList(Given):
    """Agents by name, or the versions of one, newest first."""

    data: list[AgentView]


class RollbackBody(Taken):
    """Which version to go back to."""

    version: int = Field(ge=1, le=2**31 - 1)


def texts_of(body: AgentBody, topology: Topology) -> AgentTexts:
    """The texts to keep. Raises a 422 `Problem` for a policy that names what is not there."""
    bounds = checked(body.policy.bounds(), topology)
    return AgentTexts(
        will=body.will,
        spirit=body.spirit,
        persona=body.persona,
        effort=body.effort,
        tools=body.tools,
        policy=orjson.loads(said(bounds)),
    )


def agent_view(agent: Agent) -> dict[str, Any]:
    """The agent as its readers see it."""
    texts = agent.texts
    return {
        "name": agent.name,
        "version": agent.version,
        "will": texts.will,
        "spirit": texts.spirit,
        "persona": texts.persona,
        "effort": texts.effort,
        "tools": texts.tools,
        "policy": texts.policy,
        "created_at": agent.created_at,
        "restored_from": agent.restored_from,
    }
