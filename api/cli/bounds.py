"""Bounds on what turns may do, as options of commands, and in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from api.cli.client import ExitCode, fail

if TYPE_CHECKING:
    from collections.abc import Collection

    from activities.contracts.policy import Bounds
    from activities.contracts.topology import Topology

LocalOnly = Annotated[
    bool | None, typer.Option("--local-only/--no-local-only", help="Nothing leaves the building.")
]
MaxUsd = Annotated[
    float | None, typer.Option(min=0, help="Dollars that one turn may cost; 0: only what is free.")
]
MaxUsdDay = Annotated[
    float | None,
    typer.Option(min=0, help="Dollars that the tenant's day (UTC) may come to for turns to go on."),
]
MaxUsdMonth = Annotated[float | None, typer.Option(min=0, help="The same of the calendar month.")]
ModelAllow = Annotated[
    list[str] | None,
    typer.Option(metavar="MODEL", help="A model that may be asked; may be repeated, and no others may then."),
]
BackendAllow = Annotated[
    list[str] | None,
    typer.Option(metavar="BACKEND", help="The same of backends, by the names in aither.toml."),
]
ApproveCloud = Annotated[
    Literal["never", "ask", "always"] | None,
    typer.Option(
        help="Whether someone must agree before anything leaves the building; an earlier yes does for `ask`."
    ),
]
ApproveAboveUsd = Annotated[
    float | None, typer.Option(min=0, help="Someone must agree before a call that could cost more dollars.")
]


def bounds_from(
    *,
    model_allow: list[str] | None = None,
    backend_allow: list[str] | None = None,
    ladder: str | None = None,
    **given: Any,
) -> Bounds:
    """The bounds that the options say; ends the command where they name what is not configured."""
    from activities.contracts import policy

    for name, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            fail(ExitCode.USAGE, f"--{name.replace('_', '-')} must be an amount of money")
    if model_allow or backend_allow or ladder:
        _check_names(model_allow or [], backend_allow or [], ladder)
    if given.get("approve_cloud") is not None:
        given["approve_cloud"] = policy.ApproveCloud(given["approve_cloud"])
    return policy.Bounds(
        allowed_models=tuple(model_allow) if model_allow else None,
        allowed_backends=tuple(backend_allow) if backend_allow else None,
        **given,
    )


def in_words(bounds: dict[str, Any]) -> str:
    """The bounds as a line that people read; a dash where nothing is bounded."""
    said = [
        "local only" if bounds.get("local_only") else "",
        _money("a turn", bounds.get("max_usd")),
        _money("a day", bounds.get("max_usd_day")),
        _money("a month", bounds.get("max_usd_month")),
        _only("models", bounds.get("allowed_models")),
        _only("backends", bounds.get("allowed_backends")),
        _CLOUD.get(bounds.get("approve_cloud"), ""),
        _money("a call unless someone agrees", bounds.get("approve_above_usd")),
        "the reasoner's answer is composed" if bounds.get("compose") else "",
    ]
    return "; ".join(filter(None, said)) or "—"


_CLOUD: dict[str | bool | None, str] = {
    **dict.fromkeys(("ask", True), "the cloud needs someone's agreement"),
    "always": "the cloud needs someone's agreement, each turn anew",
}
"""Turns from before have true where it now says `ask`."""


def _money(span: str, usd: float | None) -> str:
    return "" if usd is None else f"at most ${usd:g} {span}"


def _only(kind: str, names: list[str] | None) -> str:
    return "" if names is None else f"{kind}: {', '.join(names) or 'none'}"


def _check_names(models: list[str], backends: list[str], ladder: str | None) -> None:
    from workflows.policy.models import bounded_names

    topology = _topology()
    known_models, known_backends = bounded_names(topology)
    _all_known("--model-allow", models, known_models)
    _all_known("--backend-allow", backends, known_backends)
    _all_known("--ladder", [ladder] if ladder else [], [each.name for each in topology.ladders])


def _all_known(option: str, names: list[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            fail(ExitCode.USAGE, f"{option}: there is no {name!r}; there are: {', '.join(known)}")


def _topology() -> Topology:
    from infra.config.mistakes import ConfigError
    from infra.settings import settings
    from infra.topology import load_topology

    try:
        return load_topology(settings())
    except ConfigError:
        fail(ExitCode.USAGE, "the configuration has mistakes", "`aither config check` names them")
