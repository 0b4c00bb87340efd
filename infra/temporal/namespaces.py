"""What a namespace has to have before anything runs in it: itself, its retention, its search attributes.

Temporal Cloud has these made by its console or `tcld`, and no client of ours may: what is missing there is said, with
the command that makes it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

RETENTION = timedelta(days=7)
"""For how long a closed workflow's history is kept in a namespace that we make."""
VISIBLE_WITHIN_S = 60.0
"""How soon every part of a server knows what was made."""
LOOK_AGAIN_S = 0.2
_NOT_OURS = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED})


class Doing(StrEnum):
    """What came of one thing that has to be."""

    MADE = "made"
    CHANGED = "changed"
    KEPT = "already so"
    WANTED = "to be made"
    """In a dry run."""
    BY_HAND = "by hand"
    """It is missing, and only somebody else may make it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done for one thing, and what is to be known of it."""

    kind: str
    name: str
    doing: Doing
    note: str = ""


async def retention_of(client: Client) -> timedelta | None:
    """For how long the namespace keeps what has closed; None where there is no such namespace."""
    try:
        found = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return found.config.workflow_execution_retention_ttl.ToTimedelta()


async def ensure_namespace(
    client: Client, retention: timedelta | None, *, cloud: bool, dry_run: bool
) -> list[Done]:
    """Has the namespace be, and keep what has closed for as long as said; one that is there keeps its own otherwise."""
    name, kept = client.namespace, await retention_of(client)
    wanted = retention or kept or RETENTION
    days = max(1, round(wanted / timedelta(days=1)))
    if kept is None:
        made = Done(kind="namespace", name=name, doing=Doing.WANTED, note=f"keeps {told(wanted)}")
        if dry_run:
            return [made]
        by_hand = (
            f"tcld namespace create --namespace {name.partition('.')[0]} --region … --retention-days {days}"
        )
        request = RegisterNamespaceRequest(
            namespace=name, workflow_execution_retention_period=_duration(wanted)
        )
        return [await _unless_ours(client.workflow_service.register_namespace(request), made, by_hand, cloud)]
    there = Done(kind="namespace", name=name, doing=Doing.KEPT)
    if kept == wanted:
        return [there, Done(kind="retention", name=told(kept), doing=Doing.KEPT)]
    changed = Done(kind="retention", name=told(wanted), doing=Doing.WANTED, note=f"was {told(kept)}")
    if dry_run:
        return [there, changed]
    by_hand = f"tcld namespace retention set --namespace {name} --retention-days {days}"
    config = NamespaceConfig(workflow_execution_retention_ttl=_duration(wanted))
    request = UpdateNamespaceRequest(namespace=name, config=config)
    done = await _unless_ours(client.workflow_service.update_namespace(request), changed, by_hand, cloud)
    return [there, done]


async def attributes_of(client: Client) -> dict[str, str]:
    """The namespace's own search attributes, with their types. Empty where there is no such namespace."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        found = await client.operator_service.list_search_attributes(request)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return {}
        raise
    return {name: _type_name(kind) for name, kind in found.custom_attributes.items()}


async def ensure_attributes(
    client: Client, wanted: Mapping[str, str], *, cloud: bool, dry_run: bool
) -> list[Done]:
    """Has the namespace know these search attributes, by type. One that has another type is told of, and left."""
    known = await attributes_of(client)
    done: list[Done] = []
    for name, kind in wanted.items():
        if known.get(name) == kind:
            done.append(Done(kind="search attribute", name=name, doing=Doing.KEPT, note=kind))
        elif name in known:
            note = f"it is {known[name]} there, and has to be {kind}"
            done.append(Done(kind="search attribute", name=name, doing=Doing.BY_HAND, note=note))
        else:
            made = Done(kind="search attribute", name=name, doing=Doing.WANTED, note=kind)
            done.append(made if dry_run else await _attribute(client, made, kind, cloud))
    return done


async def _attribute(client: Client, made: Done, kind: str, cloud: bool) -> Done:
    request = AddSearchAttributesRequest(
        namespace=client.namespace, search_attributes={made.name: _type_of(kind)}
    )
    by_hand = f"tcld namespace search-attributes add --namespace {client.namespace} --sa {made.name}={kind}"
    return await _unless_ours(client.operator_service.add_search_attributes(request), made, by_hand, cloud)


async def until_usable(client: Client, wanted: Mapping[str, str]) -> None:
    """Waits until the server takes a question by every search attribute: its parts hear of news one after the other.

    Raises `TimeoutError`.
    """
    query = " OR ".join(
        f"{name} = 0" if kind == "Int" else f"{name} = 'nobody'" for name, kind in wanted.items()
    )
    # Of none, only the namespace is waited for.
    request = CountWorkflowExecutionsRequest(namespace=client.namespace, query=query)
    async with asyncio.timeout(VISIBLE_WITHIN_S):
        while True:
            try:
                await client.workflow_service.count_workflow_executions(request)
                return
            except RPCError as error:
                if error.status not in {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}:
                    raise
            await asyncio.sleep(LOOK_AGAIN_S)


async def _unless_ours(doing: Any, done: Done, by_hand: str, cloud: bool) -> Done:
    """What was done; where the server does not let us, how somebody does it by hand."""
    outcome = Doing.CHANGED if done.kind == "retention" else Doing.MADE
    try:
        await doing
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            outcome = Doing.KEPT
        elif error.status in _NOT_OURS:
            note = by_hand if cloud else f"the server does not let us: {error.message}"
            return Done(kind=done.kind, name=done.name, doing=Doing.BY_HAND, note=note)
        else:
            raise
    return Done(kind=done.kind, name=done.name, doing=outcome, note=done.note)


def told(span: timedelta) -> str:
    """A span as people say it: `7 d`, `36 h`."""
    hours = span / timedelta(hours=1)
    return f"{hours / 24:.0f} d" if hours >= 24 and hours % 24 == 0 else f"{hours:g} h"


def _duration(span: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(span)
    return duration


def _type_of(name: str) -> "IndexedValueType.ValueType":
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{name.upper()}")


def _type_name(kind: "IndexedValueType.ValueType") -> str:
    return (
        IndexedValueType.Name(kind)
        .removeprefix("INDEXED_VALUE_TYPE_")
        .replace("_", " ")
        .title()
        .replace(" ", "")
    )
