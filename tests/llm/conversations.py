"""Conversations for property tests: sensible ones, and any heap of messages at all."""

from hypothesis import strategies as st

from activities.contracts.chat import Message, Role, ToolCall

IDS = st.sampled_from(["call_0", "call_1", "functions.f:0", "", "tölpel"])
ARGUMENTS = st.sampled_from(["{}", '{"town": "Ulm"}', "", "[1]", "not json"])


@st.composite
def spoken(draw: st.DrawFn) -> tuple[Message, ...]:
    """A valid conversation: every call has its result before the next assistant message, in any order.

    Each content is unique (`<7>`), so that a test can see where it went.
    """
    messages: list[Message] = []

    def text() -> str:
        return f"<{len(messages)}>"

    for step in draw(
        st.lists(st.sampled_from(["system", "user", "assistant", "tools"]), min_size=1, max_size=9)
    ):
        if step == "tools":
            ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
            calls = tuple(ToolCall(id=i, name="f", arguments=draw(ARGUMENTS)) for i in ids)
            said = text() if draw(st.booleans()) else ""
            messages.append(
                Message(
                    role=Role.ASSISTANT,
                    content=said,
                    tool_calls=calls,
                    reasoning=draw(st.sampled_from(["", "hm"])),
                )
            )
            first = len(messages)
            messages += [
                Message(role=Role.TOOL, content=f"{id_}=<{first + number}>", tool_call_id=id_)
                for number, id_ in enumerate(draw(st.permutations(ids)))
            ]
        else:
            name = draw(st.sampled_from([None, None, "ann", "bob"])) if step == "user" else None
            messages.append(Message(role=Role(step), content=text(), name=name))
    return tuple(messages)


def heaps() -> st.SearchStrategy[tuple[Message, ...]]:
    """Any messages in any order: blank ones, calls without results, results without calls."""
    calls = st.lists(
        st.builds(ToolCall, id=IDS, name=st.just("f"), arguments=ARGUMENTS),
        max_size=2,
        unique_by=lambda c: c.id,
    ).map(tuple)
    contents = st.sampled_from(["", " ", "a", "b c ", "\n"])
    message = st.one_of(
        st.builds(Message, role=st.sampled_from([Role.SYSTEM, Role.USER]), content=contents),
        st.builds(Message, role=st.just(Role.ASSISTANT), content=contents, tool_calls=calls),
        st.builds(Message, role=st.just(Role.TOOL), content=contents, tool_call_id=IDS),
    )
    return st.lists(message, max_size=8).map(tuple)
