"""An agent: the texts and bounds that a turn speaks and acts with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTexts:
    """What an agent is. `will` is what it wants, `spirit` how it behaves, `persona` how it sounds.

    `effort` is the default of its turns, `tools` the names that it may be offered (None: all), `policy` a
    TurnPolicy in JSON that bounds its turns.
    """

    will: str = ""
    spirit: str = ""
    persona: str = ""
    effort: int | None = None
    tools: tuple[str, ...] | None = None
    policy: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def system_text(self) -> str:
        """The system message that makes a model speak as this agent; empty for an agent without texts."""
        parts = (("Your will", self.will), ("Your spirit", self.spirit), ("Your persona", self.persona))
        return "\n\n".join(f"{title}: {text.strip()}" for title, text in parts if text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One version of an agent. `restored_from` names the version whose texts it took over."""

    name: str
    version: int
    texts: AgentTexts
    created_at: datetime
    restored_from: int | None = None
