"""A turn as whoever follows it learns of it.

A reader goes by one rule: cut the text at a hop's offset, then put each token at its own.
"""

from dataclasses import dataclass, field
from typing import Any

from activities.contracts.events import EventKind, TurnEvent


@dataclass
class Told:
    """A turn as its reader and its row tell it."""

    turn_id: str
    events: list[TurnEvent] = field(default_factory=list[TurnEvent])
    text: str = ""

    def hear(self, event: TurnEvent) -> None:
        """Takes an event in, by the rule for readers."""
        self.events.append(event)
        if event.kind in {EventKind.HOP_STARTED, EventKind.HOP_RESTARTED}:
            self.text = self.text[: event.data["offset"]]
        elif event.kind is EventKind.TOKEN:
            self.text = self.text[: event.data["offset"]] + event.data["text"]

    @property
    def view(self) -> dict[str, Any]:
        """The turn as its last event shows it."""
        assert self.events and self.events[-1].kind.ends, f"the turn has not ended: {self.events}"
        return dict(self.events[-1].data)

    @property
    def status(self) -> str:
        return self.view["status"]

    @property
    def answer(self) -> str:
        """What was recorded."""
        assert self.view["answer"] is not None, self.view["error"]
        return self.view["answer"]["text"]

    @property
    def error(self) -> str:
        return self.view["error"]["code"]

    @property
    def route(self) -> list[str]:
        """Each hop as `rung outcome`, with the code where there is one."""
        return [f"{hop['rung']} {hop['outcome']}{_code(hop)}" for hop in self.view["route"]]

    def kinds(self, step: int | None = None) -> list[EventKind]:
        return [e.kind for e in self.events if step is None or e.data.get("step") == step]


def _code(hop: dict[str, Any]) -> str:
    code, colon, _ = hop["why"].partition(": ")
    return f" {code}" if colon and hop["outcome"] in {"failed", "skipped", "escalated"} else ""
