"""From a `config.json` as publishers write them to what counts for memory, or to a line that says why not."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.config.mistakes import ConfigError
from infra.vllm.model_config import Attention, ModelShape, read_shape

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
}


@pytest.fixture
def shape_of(tmp_path: Path) -> Any:
    def read(**more: Any) -> ModelShape:
        folder = tmp_path / "some-model"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({**LLAMA, **more}))
        return read_shape(folder / "config.json")

    return read


def test_a_dense_model(shape_of: Any) -> None:
    shape = shape_of()
    assert shape.layers == (Attention(8, 128),) * 32 and shape.dense and shape.name == "some-model"
    assert shape.parameters == pytest.approx(8.03e9, rel=0.001)
    assert shape.weight_bytes == 2 * shape.parameters and shape.most_tokens == 131072


def test_one_that_stands_in_a_text_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wrapper", "text_config": LLAMA}))
    assert read_shape(tmp_path / "config.json").layers == (Attention(8, 128),) * 32


@pytest.mark.parametrize(
    ("more", "layers"),
    [
        ({"sliding_window": 4096}, [Attention(8, 128, 4096)] * 32),
        ({"sliding_window": 4096, "use_sliding_window": False}, [Attention(8, 128)] * 32),
        ({"sliding_window": None, "sliding_window_pattern": 4}, [Attention(8, 128)] * 32),
        (
            {"sliding_window": 512, "sliding_window_pattern": 32},
            [Attention(8, 128, 512)] * 31 + [Attention(8, 128)],
        ),
        (
            {
                "sliding_window": 512,
                "layer_types": ["full_attention", "sliding_attention"] * 16,
                "head_dim": 64,
            },
            [Attention(8, 64), Attention(8, 64, 512)] * 16,
        ),
        ({"model_type": "gemma2", "sliding_window": 8}, [Attention(8, 128, 8), Attention(8, 128)] * 16),
        ({"num_kv_shared_layers": 20}, [Attention(8, 128)] * 12),
        ({"num_key_value_heads": None}, [Attention(32, 128)] * 32),
        ({"model_type": "xlm-roberta"}, []),
    ],
)
def test_layers(shape_of: Any, more: dict[str, Any], layers: list[Attention]) -> None:
    assert list(shape_of(**more).layers) == layers


@pytest.mark.parametrize(
    ("how", "bits"),
    [
        ({"quant_method": "awq", "bits": 4}, 4.25),
        ({"quant_method": "gptq", "bits": 8}, 8.25),
        ({"quant_method": "fp8"}, 8),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4.5),
        ({"quant_method": "mxfp4"}, 4.5),
        ({"quant_method": "bitsandbytes", "_load_in_4bit": True}, 4.25),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "pack-quantized",
                "config_groups": {"group_0": {"weights": {"num_bits": 4}}},
            },
            4.25,
        ),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, 8),
        ({"quant_method": "wholly-else"}, 16),
    ],
)
def test_bits_a_weight(shape_of: Any, how: dict[str, Any], bits: float) -> None:
    ends = 2 * 128256 * 4096
    shape = shape_of(quantization_config=how)
    assert shape.weight_bytes == round((shape.parameters - ends) * bits / 8) + 2 * ends


def test_experts_are_all_loaded(shape_of: Any) -> None:
    shape = shape_of(num_experts=64, moe_intermediate_size=1024)
    assert shape.parameters - shape_of(num_experts=32, moe_intermediate_size=1024).parameters == (
        32 * 32 * 3 * 4096 * 1024
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"hidden_size": None},
            "hidden_size is missing: this is not the config.json of a model that is known here",
        ),
        ({"hidden_size": "4096"}, "hidden_size: a whole number is wanted"),
        ({"num_attention_heads": 0}, "num_attention_heads: a number above 0 is wanted"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers: 1000000000 layers are too many to be true"),
        ({"layer_types": ["mamba"] * 32}, "layer_types: mamba is unknown here"),
        ({"layer_types": ["full_attention"]}, "layer_types: 1 is unknown here"),
        (
            {"kv_lora_rank": 512},
            "multi-head latent attention is not reckoned here: vLLM says it when it starts",
        ),
        (
            {"hybrid_override_pattern": "M*M*"},
            "layers with states of this kind are not reckoned here: vLLM says",
        ),
    ],
)
def test_what_is_not_known(shape_of: Any, more: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        shape_of(**more)
    assert caught.value.mistakes[0].text.startswith(told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "not JSON: "),
        (b"[1]", "a model's config.json is a table of its sizes"),
        (b"\xff", "not JSON: "),
    ],
)
def test_what_is_no_config(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_shape(tmp_path / "config.json")
    assert caught.value.mistakes[0].text.startswith(told)
    with pytest.raises(ConfigError, match="No such file"):
        read_shape(tmp_path / "none.json")


KEYS = st.sampled_from(
    [
        *LLAMA,
        *("layer_types", "sliding_window", "head_dim", "full_attention_interval", "text_config"),
        *("linear_num_value_heads", "quantization_config", "num_experts", "num_kv_shared_layers", "n_embd"),
    ]
)
VALUES = st.one_of(
    st.integers(-1, 70), st.sampled_from([None, True, 0.5, "x", {}, [], ["full_attention"], {"bits": "4"}])
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(more=st.dictionaries(KEYS, VALUES, max_size=6))
def test_anything_is_a_shape_or_a_mistake(shape_of: Any, more: dict[str, Any]) -> None:
    try:
        shape = shape_of(**more)
    except ConfigError as error:
        assert error.mistakes
    else:
        assert shape.weight_bytes >= 0 and all(layer.kv_heads and layer.head_dim for layer in shape.layers)
