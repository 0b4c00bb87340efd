"""From a model's `config.json`: which of its layers cache what, and how many parameters it has, about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from infra.config.mistakes import ConfigError, Mistake

MOST_LAYERS = 10_000

_WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
_PATTERNS = {"gemma2": 2, "gemma3_text": 6}
"""Every so many layers one is full, in models whose config does not say it."""
_STATES = (
    "hybrid_override_pattern",
    "layers_block_type",
    "attn_type_list",
    "mamba_d_state",
    "ssm_state_size",
)
"""Keys of models that keep states of other kinds."""


@dataclass(frozen=True, slots=True)
class Attention:
    """A layer that keeps keys and values: of all tokens, or of the last `window`."""

    kv_heads: int
    head_dim: int
    window: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What counts for memory. Bytes are those of the weights as vLLM loads them."""

    name: str
    hidden: int
    intermediate: int
    vocab: int
    layers: tuple[Attention, ...]
    """The layers that keep keys and values, in their order."""
    linear_layers: int
    state_bytes: int
    """What all layers of linear attention keep for one sequence, however long it is."""
    most_tokens: int | None
    parameters: int
    weight_bytes: int

    @property
    def dense(self) -> bool:
        """Whether every layer has attention that keeps its keys."""
        return self.linear_layers == 0


def read_shape(path: Path) -> ModelShape:
    """The shape that the file tells; `ConfigError` where it cannot be read, or is of no kind that is known here."""
    try:
        whole = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(str(path), [Mistake(text=error.strerror or "it cannot be read")]) from None
    except ValueError as error:
        raise ConfigError(str(path), [Mistake(text=f"not JSON: {error}")]) from None
    if not isinstance(whole, dict):
        raise ConfigError(str(path), [Mistake(text="a model's config.json is a table of its sizes")])
    return _Config(path, cast("dict[str, object]", whole)).shape()


class _Config:
    """A `config.json`; what stands in its `text_config` goes before what stands around it."""

    def __init__(self, path: Path, whole: Mapping[str, object]) -> None:
        inner = whole.get("text_config")
        self._values = {**whole, **cast("dict[str, object]", inner if isinstance(inner, dict) else {})}
        self._path = path

    def shape(self) -> ModelShape:
        if self._values.get("kv_lora_rank") is not None:
            raise self._wrong("multi-head latent attention is not reckoned here: vLLM says it when it starts")
        if any(self._values.get(key) is not None for key in _STATES) and "layer_types" not in self._values:
            raise self._wrong(
                "layers with states of this kind are not reckoned here: vLLM says it when it starts"
            )
        kinds = self._kinds()
        caching = (
            () if self._encodes() else tuple(self._attention(kind) for kind in kinds if kind != "linear")
        )
        linear = kinds.count("linear")
        shared = min(self._number("num_kv_shared_layers", 0), len(caching))
        body = sum(self._layer_parameters(kind) for kind in kinds)
        ends = (
            self._number("vocab_size") * self._hidden * (1 if self._values.get("tie_word_embeddings") else 2)
        )
        return ModelShape(
            name=self._path.parent.name if self._path.stem == "config" else self._path.stem,
            hidden=self._hidden,
            intermediate=self._number("intermediate_size", "n_inner"),
            vocab=self._number("vocab_size"),
            layers=caching[: len(caching) - shared],
            linear_layers=linear,
            state_bytes=linear * self._state_bytes() if linear else 0,
            most_tokens=self._number("max_position_embeddings", "n_positions", 0) or None,
            parameters=body + ends,
            weight_bytes=round(body * self._weight_bits() / 8) + 2 * ends,
        )

    @property
    def _hidden(self) -> int:
        return self._number("hidden_size", "n_embd")

    @property
    def _heads(self) -> int:
        return self._some("num_attention_heads", "n_head")

    def _kinds(self) -> list[str]:
        """Of each layer: full, sliding or linear."""
        written = self._values.get("layer_types")
        count = self._number("num_hidden_layers", "n_layer")
        if count > MOST_LAYERS:
            raise self._wrong(f"num_hidden_layers: {count} layers are too many to be true")
        if isinstance(written, list):
            named = [str(one) for one in cast("list[object]", written)]
            unknown = {one for one in named if one not in _KINDS}
            if unknown or len(named) != count:
                raise self._wrong(f"layer_types: {', '.join(sorted(unknown)) or len(named)} is unknown here")
            return [_KINDS[one] for one in named]
        interval = self._number("full_attention_interval", 0)
        if interval and "linear_num_value_heads" in self._values:
            return ["full" if (place + 1) % interval == 0 else "linear" for place in range(count)]
        slides = self._values.get("sliding_window") and self._values.get("use_sliding_window", True)
        pattern = self._number(
            "sliding_window_pattern", _PATTERNS.get(str(self._values.get("model_type")), 0)
        )
        if slides and pattern:
            return ["full" if (place + 1) % pattern == 0 else "sliding" for place in range(count)]
        return ["sliding" if slides else "full"] * count

    def _encodes(self) -> bool:
        """Whether it reads all of its text at once, and keeps nothing."""
        return "bert" in str(self._values.get("model_type", "")).lower()

    def _attention(self, kind: str) -> Attention:
        heads = self._some("num_key_value_heads", self._heads)
        dim = self._some("head_dim", self._hidden // self._heads)
        if kind == "sliding":
            return Attention(heads, dim, self._some("sliding_window", "attention_chunk_size"))
        return Attention(self._some("num_global_key_value_heads", heads), self._some("global_head_dim", dim))

    def _state_bytes(self) -> int:
        """Of one layer of linear attention: the last inputs of its convolution, and its matrix of memory."""
        key_heads, value_heads, keys, values = self._linear_sizes()
        inputs = 2 * key_heads * keys + value_heads * values
        width = _WIDTHS.get(str(self._values.get("mamba_ssm_dtype", "float32")), 4)
        return (
            inputs * (self._number("linear_conv_kernel_dim", 4) - 1) * 2 + value_heads * keys * values * width
        )

    def _linear_sizes(self) -> tuple[int, int, int, int]:
        return (
            self._number("linear_num_key_heads"),
            self._number("linear_num_value_heads"),
            self._number("linear_key_head_dim"),
            self._number("linear_value_head_dim"),
        )

    def _layer_parameters(self, kind: str) -> int:
        """The matrices of one layer; norms and biases are nothing beside them."""
        experts = self._number("num_experts", "num_local_experts", 0)
        width = self._number("moe_intermediate_size", 0) if experts else 0
        shared = self._number("shared_expert_intermediate_size", 0) if experts else 0
        mlp = (
            3
            * self._hidden
            * (experts * width + shared if width else self._number("intermediate_size", "n_inner"))
        )
        if kind == "linear":
            key_heads, value_heads, keys, values = self._linear_sizes()
            return mlp + self._hidden * (2 * key_heads * keys + 3 * value_heads * values)
        layer = self._attention(kind)
        queries = self._heads * layer.head_dim * (3 if self._values.get("attn_output_gate") else 2)
        return mlp + self._hidden * (queries + 2 * layer.kv_heads * layer.head_dim)

    def _weight_bits(self) -> float:
        """Bits a weight with its scales. Embeddings and the head are taken to stay in 16."""
        written = self._values.get("quantization_config")
        how = cast("dict[str, object]", written if isinstance(written, dict) else {})
        method = f"{how.get('quant_method', '')} {how.get('quant_algo', '')} {how.get('format', '')}".lower()
        if "fp4" in method:
            return 4.5
        if "fp8" in method or "float-quantized" in method:
            return 8
        if how.get("load_in_4bit") or how.get("_load_in_4bit"):
            return 4.25
        bits = next((how[key] for key in ("bits", "w_bit") if key in how), _grouped_bits(how))
        return bits + 0.25 if isinstance(bits, int) and 1 <= bits <= 8 else 16

    def _number(self, *names: str | int) -> int:
        """The first of these keys that holds a number; a number among them is the default."""
        for name in names:
            if isinstance(name, int):
                return name
            value = self._values.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                return value
            if value is not None:
                raise self._wrong(f"{name}: a whole number is wanted")
        raise self._wrong(f"{names[0]} is missing: this is not the config.json of a model that is known here")

    def _some(self, *names: str | int) -> int:
        """As `_number`, but not zero."""
        number = self._number(*names)
        if not number:
            raise self._wrong(f"{names[0]}: a number above 0 is wanted")
        return number

    def _wrong(self, text: str) -> ConfigError:
        return ConfigError(str(self._path), [Mistake(text=text)])


def _grouped_bits(how: Mapping[str, object]) -> object:
    """Bits a weight as compressed-tensors writes them: of its first group."""
    for key in ("config_groups", "group_0", "weights"):
        inner = how.get(key)
        how = cast("dict[str, object]", inner) if isinstance(inner, dict) else {}
    return how.get("num_bits")


_KINDS = {
    "full_attention": "full",
    "attention": "full",
    "sliding_attention": "sliding",
    "chunked_attention": "sliding",
    "linear_attention": "linear",
}
