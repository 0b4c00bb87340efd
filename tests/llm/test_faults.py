"""Every way in which a backend misbehaves, over real HTTP: the right word for it, soon, and no second try."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from activities.contracts.backends import BackendKind, Capability, Dialect
from activities.errors import (
    AnswerMalformed,
    BackendError,
    BackendRateLimited,
    BackendRefusedKey,
    BackendRejected,
    BackendTimedOut,
    BackendUnavailable,
    ContextTooLong,
    ModelMissing,
)
from tests.llm.asking import KEY, KINDS, asking, gather, saying
from tests.support.standin import Fault, Reply, StandIn
from tests.support.standin_reply import words

SILENCE_S = 0.5
BUDGET_S = 15.0

FAULTS: dict[str, tuple[Reply, type[BackendError]]] = {
    "429": (Reply(status=429), BackendRateLimited),
    "no money": (Reply(status=429, error_code="insufficient_quota"), BackendRefusedKey),
    "402": (Reply(status=402, error="Insufficient Balance"), BackendRefusedKey),
    "401": (Reply(status=401), BackendRefusedKey),
    "403": (Reply(status=403), BackendRefusedKey),
    "404 model": (Reply(status=404, error="The model `x` does not exist."), ModelMissing),
    "404 anthropic": (Reply(status=404, error="model: x", error_code="not_found_error"), ModelMissing),
    "400 model": (Reply(status=400, error="Model Not Exist"), ModelMissing),
    "404 path": (Reply(status=404, error="Not Found", error_code="404"), BackendRejected),
    "400": (Reply(status=400, error="temperature must be at most 2"), BackendRejected),
    "422": (Reply(status=422), BackendRejected),
    "400 tools": (Reply(status=400, error="This model does not support tools"), BackendRejected),
    "413": (Reply(status=413), ContextTooLong),
    "context, openai": (Reply(status=400, error_code="context_length_exceeded"), ContextTooLong),
    "context, vllm": (
        Reply(status=400, error="This model's maximum context length is 8192 tokens."),
        ContextTooLong,
    ),
    "context, llama.cpp": (Reply(status=400, error_code="exceed_context_size_error"), ContextTooLong),
    "context, anthropic": (
        Reply(status=400, error="prompt is too long: 210000 tokens > 200000 maximum"),
        ContextTooLong,
    ),
    "context, gemini": (
        Reply(
            status=400, error="The input token count (9) exceeds the maximum number of tokens allowed (8)."
        ),
        ContextTooLong,
    ),
    "408": (Reply(status=408), BackendTimedOut),
    "500": (Reply(status=500), BackendUnavailable),
    "503": (Reply(status=503), BackendUnavailable),
    "529": (Reply(status=529), BackendUnavailable),
    "reset": (Reply(fault=Fault.RESET), BackendUnavailable),
    "reset midway": (Reply(tokens=9, fault=Fault.RESET, fault_after=3), BackendUnavailable),
    "break": (Reply(fault=Fault.BREAK), BackendUnavailable),
    "break midway": (Reply(tokens=9, fault=Fault.BREAK, fault_after=3), BackendUnavailable),
    "cut": (Reply(fault=Fault.CUT), BackendUnavailable),
    "cut midway": (Reply(tokens=9, fault=Fault.CUT, fault_after=3), BackendUnavailable),
    "cut at the end": (Reply(tokens=9, fault=Fault.CUT, fault_after=9), BackendUnavailable),
    "no done": (Reply(fault=Fault.NO_DONE), BackendUnavailable),
    "silence": (Reply(fault=Fault.SILENCE), BackendTimedOut),
    "silence midway": (Reply(tokens=9, fault=Fault.SILENCE, fault_after=3), BackendTimedOut),
    "malformed": (Reply(tokens=9, fault=Fault.MALFORMED, fault_after=3), AnswerMalformed),
    "web page": (Reply(fault=Fault.NOT_JSON), AnswerMalformed),
    "unknown end": (Reply(finish_reason="bored"), AnswerMalformed),
    "error midway": (Reply(tokens=9, fault=Fault.ERROR_CHUNK, fault_after=3), BackendUnavailable),
    "limited midway": (
        Reply(tokens=9, fault=Fault.ERROR_CHUNK, fault_after=3, error_status=429),
        BackendRateLimited,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_has_its_word_and_the_next_call_works(kind: BackendKind, name: str) -> None:
    reply, meaning = FAULTS[name]
    async with StandIn() as standin, asking(standin, kind, silence_s=SILENCE_S) as rung:
        standin.script(reply)
        began = time.monotonic()
        with pytest.raises(BackendError) as caught:
            await gather(rung.stream(saying("hello")))
        assert time.monotonic() - began < BUDGET_S
        assert type(caught.value) is meaning
        assert "rung" in caught.value.message
        assert standin.total == 1
        assert (await gather(rung.stream(saying("hello")))).text == "hello"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_connection_is_told_at_once_and_heals(kind: BackendKind) -> None:
    async with StandIn() as standin, asking(standin, kind) as rung:
        await gather(rung.stream(saying("before")))
        await standin.refuse()
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(BackendUnavailable):
                await gather(rung.stream(saying("during")))
            assert time.monotonic() - began < BUDGET_S
        await standin.accept()
        assert (await gather(rung.stream(saying("after")))).text == "after"


@pytest.mark.parametrize("kind", KINDS)
async def test_tokens_before_a_fault_are_handed_over(kind: BackendKind) -> None:
    for fault in (Fault.CUT, Fault.BREAK, Fault.MALFORMED, Fault.ERROR_CHUNK, Fault.SILENCE):
        reply = Reply(tokens=9, fault=fault, fault_after=3)
        async with StandIn(reply) as standin, asking(standin, kind, silence_s=SILENCE_S) as rung:
            text = ""
            with pytest.raises(BackendError):
                async for chunk in rung.stream(saying("?")):
                    text += chunk.text
        assert text == words(3), fault


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_passed_on(kind: BackendKind, status: int) -> None:
    async with StandIn() as standin, asking(standin, kind) as rung:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        waits: list[float | None] = []
        for given in ("7", "1.5", date, None, "soon", "-3", "99999999999"):
            standin.script(Reply(status=status, retry_after=given))
            with pytest.raises(BackendError) as caught:
                await gather(rung.stream(saying("?")))
            wait = caught.value.retry_after
            waits.append(wait.total_seconds() if wait is not None else None)
    assert waits[:2] == [7.0, 1.5]
    assert waits[2] is not None and 80 < waits[2] <= 90
    assert waits[3:] == [None, None, None, 86_400.0]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_never_shows_a_key_or_what_was_said(kind: BackendKind) -> None:
    told = f"Incorrect API key provided: {KEY} at https://user:hunter2@proxy/v1, Bearer abc.def"
    secret = "My diagnosis is a thing between me and you."
    async with StandIn() as standin, asking(standin, kind) as rung:
        for error in (told, f"invalid messages: input_value='{secret}'", "x" * 5000):
            standin.script(Reply(status=401, error=error))
            with pytest.raises(BackendRefusedKey) as caught:
                await gather(rung.stream(saying(secret)))
            message = caught.value.message
            assert len(message) < 300
            for hidden in (KEY, "very-secret", "hunter2", "abc.def", "diagnosis"):
                assert hidden not in message
    assert "401" in message


async def test_an_openai_stream_may_end_without_done_where_none_is_promised() -> None:
    reply = Reply(text="whole", fault=Fault.NO_DONE)
    async with StandIn(reply) as standin, asking(standin, dialect=Dialect.GEMINI) as rung:
        assert (await gather(rung.stream(saying("?")))).text == "whole"


async def test_counting_fails_as_the_server_does() -> None:
    async with StandIn() as standin, asking(standin, capabilities=(Capability.TOKENIZE,)) as rung:
        await standin.refuse()
        with pytest.raises(BackendUnavailable):
            await rung.count_tokens(saying("?").messages)
