"""What `aither model` shows on a terminal: the profiles, and what fits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.cli.client import coloured
from infra.vllm.presets import BASELINE_GSM8K

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.vllm.plan import Fit, Plan
    from infra.vllm.profiles import Profile

WIDTH = 200
"""Columns where there is no terminal that has some."""
LEFT = {"profile", "what", "model", "card", "KV cache", ""}
MIB = 1024 * 1024


def listing(profiles: Sequence[Profile]) -> None:
    """One line a profile."""
    table = _table("profile", "what", "model", "card", "port", "GiB", "window", "sequences", "KV cache")
    for profile in profiles:
        table.add_row(
            profile.name,
            escape(profile.about),
            escape(profile.served_name),
            escape(f"{profile.card.name} ({profile.card.kind})"),
            str(profile.port),
            f"{profile.card.share_mib / 1024:.1f}",
            f"{profile.window_tokens:,}",
            str(profile.sequences),
            profile.kv_cache,
        )
    _console().print(table)


def show(plan: Plan) -> None:
    """Where the memory goes, what fits in the rest, and what of it is an estimate."""
    console, profile = _console(), plan.profile
    console.print(f"[bold]{escape(profile.name)}[/bold]  {escape(_model(plan))}")
    console.print(_memory(plan))
    console.print(f"\n{escape(plan.verdict)}")
    if plan.offloaded:
        gib = f"{profile.kv_offload_gib:g} GiB of main memory"
        console.print(
            f"{gib} keep about {plan.offloaded:,} tokens more, to be read back instead of reckoned anew."
        )
    if plan.fits:
        console.print()
        console.print(_fits(plan))
        console.print(f"\n[dim]{escape(_legend(plan))}[/dim]")
    console.print("[dim]Estimated:[/dim]")
    for line in plan.estimates:
        console.print(f"[dim]  {escape(line)}[/dim]")


def as_dict(plan: Plan) -> dict[str, Any]:
    """The plan, for programs."""
    budget = plan.budget
    return {
        "profile": plan.profile.name,
        "model": plan.shape.name,
        "starts": plan.starts,
        "verdict": plan.verdict,
        "window_tokens": plan.profile.window_tokens,
        "sequences": plan.profile.sequences,
        "kv_cache": plan.profile.kv_cache,
        "mib": {
            "share": budget.share_mib,
            "cuda_context": budget.context_mib,
            "weights": budget.weights_mib,
            "draft": budget.draft_mib,
            "activations": budget.activations_mib,
            "kv": budget.kv_mib,
        },
        "presets": [
            {
                "kv_cache": fit.preset.name,
                "token_bytes": fit.token_bytes,
                "ratio_of_a_vector": round(fit.preset.ratio(), 2),
                "ratio": round(fit.ratio, 2),
                "tokens": fit.longest,
                "windows": fit.windows,
                "tokens_each": fit.each,
                "gsm8k": fit.preset.gsm8k,
                "estimate": not fit.preset.exact,
            }
            for fit in plan.fits
        ],
        "tokens_in_main_memory": plan.offloaded,
        "estimates": list(plan.estimates),
    }


def _model(plan: Plan) -> str:
    shape = plan.shape
    linear = f" and {shape.linear_layers} of linear attention" if shape.linear_layers else ""
    kept = f"{len(shape.layers)} layers that keep their tokens{linear}" if shape.layers else "keeps no tokens"
    return f"{shape.name}: {shape.parameters / 1e9:.2f} billion parameters, {kept}"


def _memory(plan: Plan) -> Table:
    budget = plan.budget
    table = _table("", "MiB")
    rows = (
        ("share of the card", budget.share_mib),
        ("CUDA context", -budget.context_mib),
        ("weights", -budget.weights_mib),
        ("draft", -budget.draft_mib),
        ("activations", -budget.activations_mib),
        ("left for keys and values", budget.kv_mib),
    )
    for name, mib in rows:
        if mib or name != "draft":
            table.add_row(name, f"{mib:,}")
    return table


def _fits(plan: Plan) -> Table:
    profile = plan.profile
    windows, each = f"of {profile.window_tokens:,} at once", f"each of {profile.sequences}"
    table = _table("KV cache", "a vector", "in all", "bytes/token", "tokens", windows, each, "GSM8K")
    for fit in plan.fits:
        table.add_row(*_row(fit), style="bold" if fit.preset.name == profile.kv_cache else None)
    return table


def _row(fit: Fit) -> tuple[str, ...]:
    return (
        fit.preset.name + ("" if fit.preset.exact else " ~"),
        f"{fit.preset.ratio():.1f}×",
        f"{fit.ratio:.1f}×",
        f"{fit.token_bytes:,}",
        f"{fit.longest:,}",
        str(fit.windows),
        f"{fit.each:,}",
        "–" if fit.preset.gsm8k is None else f"{fit.preset.gsm8k:.3f}",
    )


def _legend(plan: Plan) -> str:
    told = "“a vector” is the preset's own ratio to FP16, “in all” what it makes of a whole window of this model."
    if plan.shape.dense:
        told += " (TurboQuant leaves the first and the last two layers as they are.)"
    accuracy = (
        f"GSM8K: vLLM's own figures with Qwen3-4B, {BASELINE_GSM8K:.3f} in 16 bits; – where it tells none."
    )
    return f"{told}\n{accuracy}"


def _table(*titles: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in titles:
        table.add_column(title, justify="left" if title in LEFT else "right", overflow="fold")
    return table


def _console() -> Console:
    terminal = sys.stdout.isatty()
    return Console(highlight=False, width=None if terminal else WIDTH, no_color=not coloured(terminal))
