"""What a swarm's models are asked, and what their answers are read as.

Texts: none of it belongs in a workflow's history.
"""

from dataclasses import dataclass

from activities.contracts.chat import Message, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A task as a plan has it."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The tasks of a plan, no two alike; or `mistake`, in words that its planner understands."""

    tasks: tuple[Planned, ...] = ()
    mistake: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A synthesis and what it cites: places of findings (1 is F1) that there are, and labels that there are not."""

    text: str
    known: tuple[int, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What to ask, and how."""

    messages: tuple[Message, ...]
    sampling: Sampling
