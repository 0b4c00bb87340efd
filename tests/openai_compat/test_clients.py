"""Clients that speak to OpenAI, pointed here and otherwise unchanged: langchain-openai and llm."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from infra.topology import EMBEDDED_EMBEDDING_MODEL
from tests.openai_compat.playing import KEY, completed, hop, plays, says, token
from tests.openai_compat.serving import Served

ARGUMENTS = '{"city":"Oslo"}'


class Weather(BaseModel):
    """The weather of a city."""

    city: str


@pytest.fixture
def langchain(compat: Served) -> ChatOpenAI:
    return ChatOpenAI(model="auto", base_url=f"{compat.url}/v1", api_key=SecretStr(KEY), max_retries=0)


def called(turn_id: str):
    calls = [{"id": "c1", "name": "Weather", "arguments": ARGUMENTS}]
    return completed(turn_id, answer={"tool_calls": calls, "finish_reason": "tool_calls"})


def test_langchain_asks_and_streams(langchain: Any):
    assert langchain.invoke("hi").text == "Hello there"
    chunks = list(langchain.stream("hi", stream_usage=True))
    assert "".join(chunk.text for chunk in chunks) == "Hello there"
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert [found["total_tokens"] for found in usage] == [10]


def test_langchain_calls_tools(compat: Served, langchain: Any):
    delta = {"index": 0, "id": "c1", "name": "Weather", "arguments": ARGUMENTS}
    compat.turns.script = plays(hop(), token("", 0, tool_calls=[delta]), end=called)
    model = langchain.bind_tools([Weather], tool_choice="required")
    assert [call["args"] for call in model.invoke("how is Oslo?").tool_calls] == [{"city": "Oslo"}]
    whole: Any = None
    for chunk in model.stream("how is Oslo?"):
        whole = chunk if whole is None else whole + chunk
    assert [call["args"] for call in whole.tool_calls] == [{"city": "Oslo"}]
    assert compat.turns.requests[0].sampling.tool_choice == "required"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_gets_structured_output(compat: Served, langchain: Any, method: Any):
    compat.turns.script = says(ARGUMENTS) if method == "json_schema" else plays(hop(), end=called)
    model = langchain.with_structured_output(Weather, method=method)
    assert model.invoke("how is Oslo?") == Weather(city="Oslo")


def test_langchain_embeds(compat: Served):
    embeddings = OpenAIEmbeddings(
        model=EMBEDDED_EMBEDDING_MODEL,
        base_url=f"{compat.url}/v1",
        api_key=SecretStr(KEY),
        check_embedding_ctx_length=False,
    )
    assert embeddings.embed_documents(["a", "bc"]) == [[1.0, 0.5, -1.25], [2.0, 0.5, -1.25]]


@pytest.fixture
def llm(compat: Served, tmp_path: Path):
    """The `llm` command with a home of its own, in which the model `aither` is this app's."""
    model = f"- model_id: aither\n  model_name: auto\n  api_key_name: aither\n  api_base: {compat.url}/v1\n"
    (tmp_path / "extra-openai-models.yaml").write_text(model)
    environment = os.environ | {"LLM_USER_PATH": str(tmp_path), "LLM_LOAD_PLUGINS": ""}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "llm", "-m", "aither", "--key", KEY, "--no-log", *arguments]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


def test_llm_shows_errors(compat: Served, llm: Any):
    compat.turns.script = plays(hop())
    with pytest.raises(AssertionError, match="broke off"):
        llm("hi")
