"""What a token's keys and values take in vLLM's cache, by `--kv-cache-dtype`, and what a preset costs in accuracy.

TurboQuant (arXiv 2504.19874) packs a vector into `bits` a value and four bytes for its scale, so a vector of 128
values takes 68 bytes at 4 bits and 52 at 3, of 256 in FP16. (vLLM packs the scale of a key into two bytes: the
figures here are the larger ones.) Keys in FP8 are a byte a value. Accuracy is vLLM's own: GSM8K with Qwen3-4B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BASELINE_GSM8K = 0.900
BOUNDARY = 2
"""TurboQuant leaves so many layers at either end as they are, for those suffer most (vLLM, `turboquant/config.py`).
Models with linear attention have too few layers with a cache for that, and keep none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One way to keep keys and values: bits a value, bytes beside them for each vector."""

    name: str
    key_bits: float
    value_bits: float
    key_extra: int = 0
    value_extra: int = 0
    gsm8k: float | None = None
    exact: bool = True
    """Whether the layout is known; else it is taken from its name, and the plan says so."""

    @property
    def keeps_ends(self) -> bool:
        """Whether the first and the last layers of a dense model stay in 16 bits."""
        return self.name.startswith("turboquant")

    def pair_bytes(self, head_dim: int) -> int:
        """Bytes of one key and its value."""
        key = math.ceil(head_dim * self.key_bits / 8) + self.key_extra
        return key + math.ceil(head_dim * self.value_bits / 8) + self.value_extra

    def ratio(self, head_dim: int = 128) -> float:
        """How many times as many tokens as in FP16, in a layer that it compresses."""
        return 4 * head_dim / self.pair_bytes(head_dim)


def _turboquant(name: str, key_bits: float, value_bits: float, gsm8k: float) -> Preset:
    extra = 0 if key_bits == 8 else 4
    return Preset(
        name=f"turboquant_{name}",
        key_bits=key_bits,
        value_bits=value_bits,
        key_extra=extra,
        value_extra=4,
        gsm8k=gsm8k,
    )


def _plain(name: str, bits: float, extra: int = 0, *, exact: bool = True) -> Preset:
    return Preset(name=name, key_bits=bits, value_bits=bits, key_extra=extra, value_extra=extra, exact=exact)


FULL = Preset(name="auto", key_bits=16, value_bits=16, gsm8k=BASELINE_GSM8K)
"""As the model has it: 16 bits a value."""

PRESETS = {
    preset.name: preset
    for preset in (
        FULL,
        _plain("float16", 16),
        _plain("bfloat16", 16),
        _plain("fp8", 8),
        _plain("fp8_e4m3", 8),
        _plain("fp8_e5m2", 8),
        _plain("fp8_inc", 8),
        _turboquant("k8v4", 8, 4, 0.860),
        _turboquant("4bit_nc", 4, 4, 0.840),
        _turboquant("k3v4_nc", 3, 4, 0.780),
        _turboquant("3bit_nc", 3, 3, 0.720),
        # Blocks of 16 values with a scale of a byte.
        _plain("nvfp4", 4.5, exact=False),
        _plain("nvfp4_4over6", 4.5, exact=False),
        _plain("fp8_per_token_head", 8, 4, exact=False),
        _plain("int8_per_token_head", 8, 4, exact=False),
        _plain("int4_per_token_head", 4, 4, exact=False),
        _plain("ultraquant_4bit", 4, 4, exact=False),
    )
}
"""By name. The two of multi-head latent attention (`…_ds_mla`) are another layout, which is not planned here."""

SHOWN = (
    "auto",
    "fp8",
    "turboquant_k8v4",
    "nvfp4",
    "turboquant_4bit_nc",
    "turboquant_k3v4_nc",
    "turboquant_3bit_nc",
)
"""Those that a plan compares, from the most exact to the smallest."""
