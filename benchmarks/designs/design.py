"""The designs that are compared, as data."""

from dataclasses import dataclass, replace

from benchmarks.designs.messages import Chat, Reply, Start


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One shape of a turn."""

    name: str
    start: Start = Start.PLAIN
    chat: Chat = Chat.GATED
    reply: Reply = Reply.STREAM
    api_hosts_workflows: bool = False
    ungated_step: bool = False

    @property
    def flow_queue(self) -> str:
        return f"flow-{self.slug}"

    @property
    def chat_queue(self) -> str:
        return f"llm-{self.slug}" if self.chat == Chat.GATED else self.flow_queue

    @property
    def slug(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.name.lower())


A = Design(name="A")


def shapes() -> list[Design]:
    """The shapes of a turn."""
    return [
        replace(A, name="A: workflow, gated activity, reply by Redis"),
        replace(A, name="A, one Redis reader an API process", reply=Reply.HUB),
        replace(A, name="A, local activity for an ungated step", ungated_step=True),
        replace(
            A, name="B: eager start in the API, gated activity", start=Start.EAGER, api_hosts_workflows=True
        ),
        replace(
            A,
            name="C: eager start, activity in the API, no gate",
            start=Start.EAGER,
            api_hosts_workflows=True,
            chat=Chat.SAME,
        ),
        replace(A, name="D: update-with-start, gated activity", start=Start.UPDATE, reply=Reply.UPDATE),
        replace(
            A, name="D, local activity, no gate", start=Start.UPDATE, reply=Reply.UPDATE, chat=Chat.LOCAL
        ),
        replace(A, name="E: local activity, no gate", chat=Chat.LOCAL),
        replace(A, name="F: A, reply by the workflow's result", reply=Reply.RESULT),
    ]
