"""Only the model that was asked for answers, by whichever of its names."""

import pytest

from activities.contracts.backends import Backend
from activities.errors import ModelReplaced
from activities.rulings import check_served


def backend(model: str) -> Backend:
    return Backend(name="cloud", base_url="http://127.0.0.1:1/v1", model=model)


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o", "openai/gpt-4o"),
        ("Qwen/Qwen3-8B", "qwen3-8b"),
        ("gemini-2.0-flash", "models/gemini-2.0-flash-001"),
        ("claude-opus-5", "claude-opus-5-20260301"),
        ("claude-opus-5@20260301", "claude-opus-5"),
        ("claude-opus-5-latest", "claude-opus-5-20260301"),
        ("claude-opus-5-latest", "claude-opus-5"),
        ("deepseek-v4-pro", "deepseek-v4-pro-0711"),
        ("llama3", "llama3:latest"),
    ],
)
def test_the_same_model_by_another_name_may_answer(asked: str, served: str) -> None:
    check_served(backend(asked), served)


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("gpt-4o", "gpt-4"),
        ("gpt-4", "gpt-4o"),
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o-mini", "gpt-4o"),
        ("gpt-4", "gpt-4-turbo"),
        ("claude-sonnet-5", "claude-sonnet-5-5"),
        ("deepseek-v4-pro", "deepseek-flash"),
        ("acme/model", "other/model"),
        ("qwen3-8b", "qwen3-8b-awq"),
        ("model", "mode"),
    ],
)
def test_another_model_may_not(asked: str, served: str) -> None:
    with pytest.raises(ModelReplaced, match="was asked for") as caught:
        check_served(backend(asked), served)
    assert asked in caught.value.message
    assert served in caught.value.message
