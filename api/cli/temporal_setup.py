"""What `aither temporal setup` does, and what `status` finds."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.traces import SEARCH_ATTRIBUTES
from infra.temporal.access import access
from infra.temporal.namespaces import (
    Doing,
    Done,
    attributes_of,
    ensure_attributes,
    ensure_namespace,
    retention_of,
    told,
    until_usable,
)
from infra.temporal.rollout import look
from infra.temporal.schedules import Applied, apply_loops, same
from infra.topology import load_topology
from workflows.schedules import SWEEPS, burst_loops

if TYPE_CHECKING:
    from activities.contracts.loops import Loop
    from infra.settings import Settings

SETUP = "`aither temporal setup` makes it"


async def set_up(
    client: Client, settings: Settings, retention: timedelta | None, *, cloud: bool, dry_run: bool
) -> list[Done]:
    """Has everything be that workers need; what was done, in order. What others have to make keeps the rest waiting."""
    done = await ensure_namespace(client, retention, cloud=cloud, dry_run=dry_run)
    here = done[0].doing not in {Doing.WANTED, Doing.BY_HAND}
    if here:
        await until_usable(client, {})
        done += await ensure_attributes(client, SEARCH_ATTRIBUTES, cloud=cloud, dry_run=dry_run)
    elif dry_run:
        done += [
            Done(kind="search attribute", name=name, doing=Doing.WANTED, note=kind)
            for name, kind in SEARCH_ATTRIBUTES.items()
        ]
    if any(each.doing is Doing.BY_HAND for each in done):
        return done
    if not dry_run:
        await until_usable(client, SEARCH_ATTRIBUTES)
    return done + await _scheduled(client, loops(settings), here=here, dry_run=dry_run)


def loops(settings: Settings) -> tuple[Loop, ...]:
    """All that runs again and again in this installation. Raises `ConfigError`."""
    return (*SWEEPS, *burst_loops(load_topology(settings).burst))


async def _scheduled(client: Client, wanted: tuple[Loop, ...], *, here: bool, dry_run: bool) -> list[Done]:
    if not dry_run:
        applied = await apply_loops(client, wanted)
        doings = {Applied.MADE: Doing.MADE, Applied.CHANGED: Doing.CHANGED, Applied.KEPT: Doing.KEPT}
        return [_schedule(loop, doings[applied[loop.workflow]]) for loop in wanted]
    found = [(loop, await _stands(client, loop) if here else {}) for loop in wanted]
    return [
        _schedule(loop, Doing.KEPT if stands.get("state") in {"on", "paused"} else Doing.WANTED)
        for loop, stands in found
    ]


def _schedule(loop: Loop, doing: Doing) -> Done:
    return Done(kind="schedule", name=loop.workflow, doing=doing, note=f"every {_span(loop.every)}")


async def standing(client: Client, settings: Settings) -> dict[str, Any]:
    """How Temporal stands. `missing` says in sentences what is not as it has to be."""
    reached = access(settings)
    keeps = await retention_of(client)
    server = await client.workflow_service.get_system_info(_system_info())
    seen: dict[str, Any] = {
        "target": reached.target,
        "secured": reached.manner,
        "server": server.server_version or None,
        "cloud": reached.cloud,
        "namespace": reached.namespace,
        "retention": told(keeps) if keeps is not None else None,
        "keys": _key_ids(client),
        "search_attributes": {},
        "schedules": [],
        "deployment": None,
        "missing": [],
    }
    missing: list[str] = seen["missing"]
    if keeps is None:
        missing.append(f"there is no namespace {reached.namespace}: {SETUP}")
        return seen
    known = await attributes_of(client)
    seen["search_attributes"] = {name: known.get(name) for name in SEARCH_ATTRIBUTES}
    missing += [
        f"search attribute {name} is {known.get(name) or 'missing'}: {SETUP if name not in known else f'not {kind}'}"
        for name, kind in SEARCH_ATTRIBUTES.items()
        if known.get(name) != kind
    ]
    seen["schedules"] = [await _stands(client, loop) for loop in loops(settings)]
    missing += [
        f"schedule {each['name']} is {each['state']}: {SETUP}"
        for each in seen["schedules"]
        if each["state"] in {"missing", "another"}
    ]
    if settings.temporal_deployment:
        deployment = await look(client, settings.temporal_deployment)
        seen["deployment"] = asdict(deployment)
        if deployment.current is None:
            missing.append(
                f"no build of {deployment.name} is current, and versioned workers get no work:"
                " `aither temporal rollout` makes this one so"
            )
    return seen


async def _stands(client: Client, loop: Loop) -> dict[str, Any]:
    """How the loop's schedule stands: on, paused, another than it has to be, or missing."""
    stands: dict[str, Any] = {"name": loop.workflow, "every": _span(loop.every), "last": None, "next": None}
    try:
        found = await client.get_schedule_handle(loop.workflow).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return stands | {"state": "missing"}
    runs, coming = found.info.recent_actions, found.info.next_action_times
    state = "paused" if found.schedule.state.paused else "on"
    return stands | {
        "state": state if await same(client, found.schedule, loop) else "another",
        "last": runs[-1].started_at.isoformat() if runs else None,
        "next": coming[0].isoformat() if coming else None,
    }


def _key_ids(client: Client) -> list[str]:
    codec = client.data_converter.payload_codec
    return list(getattr(codec, "key_ids", ()))


def _span(span: timedelta) -> str:
    from infra.config.durations import written

    return written(span)


def _system_info() -> Any:
    from temporalio.api.workflowservice.v1 import GetSystemInfoRequest

    return GetSystemInfoRequest()
