"""Streams as bytes: cut anywhere, spelled by servers that differ, and long."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.chat import FinishReason, Message, Role, ToolCall
from activities.errors import BackendUnavailable
from infra.llm.anthropic_wire import EventReader
from infra.llm.failures import Failures
from infra.llm.openai_wire import ChunkReader
from infra.llm.sse import MAX_EVENT_BYTES, EventDecoder, EventTooLong
from infra.llm.tokens import upper_bound


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")).map(str.strip).filter(bool)),
    st.lists(st.integers(0, 400)),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_events_are_the_same_wherever_the_bytes_are_cut(
    datas: list[str], cuts: list[int], eol: bytes
) -> None:
    stripped = [data.encode().strip() for data in datas]
    whole = b"".join(b": ping" + eol + b"event: x" + eol + b"data: " + d + eol + eol for d in stripped)
    edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    decoder = EventDecoder()
    events = [e for a, b in pairwise(edges) for e in decoder.feed(whole[a:b])]
    assert events == stripped
    assert decoder.rest() == b""


def test_lines_of_one_event_are_joined_and_an_unfinished_one_is_not_lost() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b'data: {"a":\ndata: 1}\n\ndata: [DONE]') == [b'{"a":\n1}']
    assert decoder.rest() == b"[DONE]"


def test_an_event_without_end_does_not_fill_the_memory() -> None:
    decoder = EventDecoder()
    piece = b"data: " + b"x" * (MAX_EVENT_BYTES // 2)
    decoder.feed(piece)
    with pytest.raises(EventTooLong):
        decoder.feed(piece)


def reader(*, needs_done: bool = True) -> ChunkReader:
    return ChunkReader(Failures("rung"), needs_done=needs_done)


def chunk(delta: object, finish: str | None = None, **extra: object) -> bytes:
    return orjson.dumps({"choices": [{"delta": delta, "finish_reason": finish}], **extra})


@pytest.mark.parametrize("indices", [(0, 0), (None, None), (0, 1), (3, 5)])
def test_parallel_calls_get_an_index_each_however_they_are_numbered(
    indices: tuple[int | None, int | None],
) -> None:
    read = reader().read
    seen: list[tuple[int, str]] = []
    for index, id_ in zip(indices, ("a", "b"), strict=True):
        for call in (
            {"index": index, "id": id_, "function": {"name": "f", "arguments": "{"}},
            {"index": index, "function": {"arguments": "}"}},
        ):
            told = read(chunk({"tool_calls": [call]}))
            assert told
            seen += [(d.index, d.arguments) for d in told.tool_calls]
    assert seen == [(0, "{"), (0, "}"), (1, "{"), (1, "}")]


def test_servers_differ_in_where_they_put_things() -> None:
    read = reader().read
    deepseek = read(
        chunk({"reasoning_content": "hm"}, usage={"prompt_tokens": 9, "prompt_cache_hit_tokens": 4})
    )
    vllm = read(chunk({"reasoning": "hm"}))
    gemini = read(chunk({"content": "x"}, "stop"))
    assert deepseek and deepseek.reasoning == "hm" and deepseek.usage and deepseek.usage.cached_tokens == 4
    assert vllm and vllm.reasoning == "hm"
    assert gemini and (gemini.text, gemini.finish_reason) == ("x", FinishReason.STOP)
    assert read(chunk({"role": "assistant", "content": None})) is None
    assert read(orjson.dumps({"choices": []})) is None


@pytest.mark.parametrize("word", ["abort", "insufficient_system_resource"])
def test_an_answer_that_the_server_gave_up_is_not_whole(word: str) -> None:
    with pytest.raises(BackendUnavailable):
        reader().read(chunk({}, word))


def test_done_before_the_finish_is_a_cut() -> None:
    with pytest.raises(BackendUnavailable):
        reader(needs_done=False).read(b"[DONE]")


def test_the_model_is_told_when_it_changes() -> None:
    read = reader().read
    told = [read(chunk({"content": "x"}, model=model)) for model in ("a", "a", "b")]
    assert [c and c.model for c in told] == ["a", None, "b"]


@pytest.mark.parametrize(
    ("before", "pieces", "after"),
    [
        ("one ", (" two",), "two"),
        ("one ", ("two",), "two"),
        ("one\n\n", ("\n", "\n", " two"), " two"),
        ("one\n\n", ("\ntwo",), "two"),
        ("one", (" two",), " two"),
        ("one ", (" ", " two"), " two"),
    ],
)
def test_white_space_at_the_seam_is_neither_lost_nor_doubled(
    before: str, pieces: tuple[str, ...], after: str
) -> None:
    read = EventReader(Failures("rung"), before).read
    events = [
        read(orjson.dumps({"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}}))
        for piece in pieces
    ]
    assert "".join(event.text for event in events if event) == after


def test_a_call_without_arguments_has_an_empty_object() -> None:
    read = EventReader(Failures("rung")).read
    block: dict[str, object] = {"type": "tool_use", "id": "t", "name": "clock", "input": {}}
    read(orjson.dumps({"type": "content_block_start", "index": 1, "content_block": block}))
    told = read(orjson.dumps({"type": "content_block_stop", "index": 1}))
    assert told and told.tool_calls[0].arguments == "{}"


@given(st.text(), st.text())
def test_the_upper_bound_counts_every_byte(content: str, arguments: str) -> None:
    call = ToolCall(id="i", name="n", arguments=arguments)
    message = Message(role=Role.ASSISTANT, content=content, tool_calls=(call,))
    size = len((content + arguments).encode("utf-8", "surrogatepass"))
    assert upper_bound([message]) >= size
    assert upper_bound([message, message]) >= 2 * size
