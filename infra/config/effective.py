"""A topology as plain data, for programs to read."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any, cast

from activities.contracts.topology import Topology
from infra.config.durations import written


def effective(topology: Topology, env: Mapping[str, str]) -> dict[str, Any]:
    """Everything that is in force, by the contracts' own names; durations as they are written in a file.

    Of a key it tells the variable and whether that is set, never more.
    """
    shown = cast("dict[str, Any]", _plain(asdict(topology)))
    for backend in shown["backends"]:
        variable = backend["api_key_env"]
        backend["api_key_set"] = bool(variable and env.get(variable, "").strip())
    members = topology.pools()
    shown["pools"] = [
        {"name": pool, "slots": sum(b.slots for b in backends), "backends": [b.name for b in backends]}
        for pool, backends in members.items()
    ]
    return shown


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return written(value)
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in cast("dict[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in cast("list[object]", value)]
    return value
