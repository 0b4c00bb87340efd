"""End to end: the same clients against the whole stack and the real small model.

What so small a model says is its own affair: nothing here asserts that it is right.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import SecretStr

from infra.topology import EMBEDDED_CHAT_MODEL, EMBEDDED_EMBEDDING_MODEL
from tests.support.stack import Stack

pytestmark = pytest.mark.stack

QUESTION: list[Any] = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
SEEDED: dict[str, Any] = {"temperature": 0, "seed": 1, "max_tokens": 24}
GREETING = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes

@task
def capital():
    return Task(dataset=[Sample(input="What is the capital of France?", target="Paris")], scorer=includes())
"""


@pytest.fixture
def sdk(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.api_url}/v1", api_key=stack.api_key, max_retries=0) as client:
        yield client


@pytest.fixture
def rest(stack: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=stack.api_url, headers=stack.headers, timeout=60) as client:
        yield client


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def ran(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_answer_is_a_turn_like_any_other(sdk: Any, rest: httpx2.Client):
    raw = sdk.chat.completions.with_raw_response.create(model="auto", messages=QUESTION, **SEEDED)
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.model == EMBEDDED_CHAT_MODEL
    assert answer.usage and answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    turn = rest.get(f"/v1/turns/{raw.headers['x-aither-turn-id']}").json()
    assert turn["status"] == "completed"
    assert turn["answer"]["text"] == answer.choices[0].message.content
    assert answer.model_extra and answer.model_extra["aither_route"] == turn["route"]
    assert turn["route"][-1]["outcome"] == "answered"


def test_a_stream_says_what_the_turn_holds(sdk: Any, rest: httpx2.Client):
    options: Any = {"include_usage": True}
    pinned = {"model": EMBEDDED_CHAT_MODEL, "messages": QUESTION, **SEEDED}
    chunks: list[Any] = list(sdk.chat.completions.create(stream=True, stream_options=options, **pinned))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    turn = rest.get(f"/v1/turns/{chunks[0].id.removeprefix('chatcmpl-')}").json()
    assert text == turn["answer"]["text"]
    assert len(chunks) > 4
    assert chunks[-1].usage.completion_tokens == turn["usage"]["completion_tokens"] > 0
    assert chunks[-1].model_extra["aither_route"] == turn["route"]


def test_sampling_reaches_the_model(sdk: Any):
    schema: Any = {
        "type": "object",
        "properties": {"capital": {"type": "string", "maxLength": 12}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    create = sdk.chat.completions.create
    asked: dict[str, Any] = {"model": "auto", "messages": QUESTION, **SEEDED}
    structured = create(**asked | {"max_tokens": 96}, response_format=form)
    assert set(json.loads(structured.choices[0].message.content)) == {"capital"}
    cut = create(**asked | {"max_tokens": 2})
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 2)
    stopped = create(**asked, stop=[" "])
    assert " " not in stopped.choices[0].message.content
    likely = create(**asked, logprobs=True, top_logprobs=2)
    probabilities = likely.choices[0].logprobs.content
    assert len(probabilities[0].top_logprobs) == 2
    assert likely.choices[0].message.content in "".join(one.token for one in probabilities)


def test_leaving_stops_the_model(sdk: Any, rest: httpx2.Client):
    endless: Any = [{"role": "user", "content": "Write a very long story about a very long road."}]
    stream = sdk.chat.completions.create(
        model="auto", messages=endless, stream=True, max_tokens=1500, extra_body={"aither": {"priority": 3}}
    )
    turn_id = next(iter(stream)).id.removeprefix("chatcmpl-")
    stream.close()
    with rest.stream("GET", f"/v1/turns/{turn_id}/events") as events:
        kinds = [line for line in events.iter_lines() if line.startswith("event: ")]
    assert kinds[-1] == "event: turn.cancelled"
    assert rest.get(f"/v1/turns/{turn_id}").json()["priority"] == 3


def test_a_conversation_goes_on(sdk: Any, rest: httpx2.Client):
    told = {"input": "My name is Ada.", "max_tokens": 8}
    reply = rest.post("/v1/turns", json=told, headers={"Prefer": "wait=60"})
    assert reply.status_code == 200, reply.text
    first = reply.json()
    conversation = first["conversation_id"]
    answer = sdk.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": "What is my name?"}],
        extra_body={"aither": {"conversation_id": conversation, "effort": 2}},
        **SEEDED,
    )
    turn = rest.get(f"/v1/turns/{answer.id.removeprefix('chatcmpl-')}").json()
    assert (turn["conversation_id"], turn["effort"]) == (conversation, 2)
    assert answer.usage and answer.usage.prompt_tokens > first["usage"]["prompt_tokens"] + 8
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.chat.completions.create(
            model="auto", messages=QUESTION, extra_body={"aither": {"conversation_id": "conv_none"}}
        )
    assert caught.value.param == "aither.conversation_id"


def test_an_idempotency_key_answers_once(sdk: Any):
    again = {"Idempotency-Key": "once-and-only-once"}
    create = sdk.chat.completions.create
    first = create(model="auto", messages=QUESTION, extra_headers=again, **SEEDED)
    second = create(model="auto", messages=QUESTION, extra_headers=again, **SEEDED)
    assert first.id == second.id
    assert first.choices == second.choices
    streamed = list(create(model="auto", messages=QUESTION, extra_headers=again, stream=True, **SEEDED))
    assert {chunk.id for chunk in streamed} == {first.id}
    assert "".join(c.choices[0].delta.content or "" for c in streamed) == first.choices[0].message.content
    with pytest.raises(openai.ConflictError) as caught:
        create(model="auto", messages=QUESTION, extra_headers=again, max_tokens=3)
    assert caught.value.code == "idempotency_conflict"


def test_what_cannot_fit_is_a_bad_request(sdk: Any):
    for words in (3_000, 100_000):
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": "many words " * words}]
            )
        assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")


def test_a_wrong_key_and_a_wrong_model(stack: Stack, sdk: Any):
    with pytest.raises(openai.NotFoundError, match=EMBEDDED_CHAT_MODEL):
        sdk.chat.completions.create(model="gpt-0", messages=QUESTION)
    with (
        openai.OpenAI(base_url=f"{stack.api_url}/v1", api_key="ak_wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()
    assert EMBEDDED_CHAT_MODEL in [model.id for model in sdk.models.list()]


def test_embeddings_know_what_is_alike(stack: Stack, sdk: Any):
    texts = ["a cat sat on the mat", "a kitten rested on the rug", "interest rates rose again"]
    found = sdk.embeddings.create(model=EMBEDDED_EMBEDDING_MODEL, input=texts, dimensions=384)
    cat, kitten, rates = (item.embedding for item in found.data)
    assert dot(cat, kitten) > 2 * abs(dot(cat, rates))
    langchain = OpenAIEmbeddings(
        model=EMBEDDED_EMBEDDING_MODEL,
        base_url=f"{stack.api_url}/v1",
        api_key=SecretStr(stack.api_key),
        check_embedding_ctx_length=False,
    )
    assert langchain.embed_query(texts[0]) == pytest.approx(cat, abs=1e-2)


def test_langchain(stack: Stack):
    model: Any = ChatOpenAI(
        model="auto", base_url=f"{stack.api_url}/v1", api_key=SecretStr(stack.api_key), **SEEDED
    )
    assert model.invoke("What is the capital of France?").text
    assert "".join(chunk.text for chunk in model.stream("What is the capital of France?"))


def test_llm(stack: Stack, tmp_path: Path):
    model = f"model_id: aither, model_name: auto, api_key_name: aither, api_base: {stack.api_url}/v1"
    (tmp_path / "extra-openai-models.yaml").write_text(f"- {{{model}}}\n")
    command = ["llm", "-m", "aither", "--key", stack.api_key, "-o", "max_tokens", "24"]
    home = {"LLM_USER_PATH": str(tmp_path), "LLM_LOAD_PLUGINS": ""}
    assert ran(*command, "What is the capital of France?", cwd=tmp_path, **home).strip()


def test_inspect(stack: Stack, tmp_path: Path):
    (tmp_path / "capital.py").write_text(GREETING)
    command = ["inspect_ai", "eval", "capital.py", "--model", "openai-api/aither/auto", "--max-tokens", "24"]
    where = {"AITHER_API_KEY": stack.api_key, "AITHER_BASE_URL": f"{stack.api_url}/v1"}
    ran(*command, "--log-format", "json", "--log-dir", "logs", "--display", "plain", cwd=tmp_path, **where)
    (log,) = (tmp_path / "logs").glob("*.json")
    result = json.loads(log.read_text())
    assert result["status"] == "success", result.get("error")
    assert result["samples"][0]["output"]["completion"]
    assert result["samples"][0]["output"]["model"] == EMBEDDED_CHAT_MODEL
