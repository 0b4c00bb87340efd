"""`aither temporal setup`: what is missing is made, what is there is left, and it may be run again and again."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import SecretStr
from temporalio.api.workflowservice.v1 import GetSystemInfoResponse
from temporalio.client import Client, ScheduleUpdate, ScheduleUpdateInput
from temporalio.service import RPCError

from activities.contracts.bursting import Burst
from activities.contracts.traces import SEARCH_ATTRIBUTES
from api.cli.temporal_setup import set_up, standing
from infra.settings import Settings
from infra.temporal import connect
from infra.temporal.access import access
from infra.temporal.namespaces import Doing, Done, retention_of
from infra.temporal.saying import why_not
from infra.temporal.schedules import Applied, apply_loops
from tests.support.tls_proxy import Authority, tls_in_front
from tests.temporal.conftest import Server
from workflows import attributes
from workflows.names import REAP_LEASES, SWEEP_TURNS
from workflows.schedules import SWEEPS, burst_loops

DAY = timedelta(days=1)


async def done(
    client: Client, settings: Settings, retention: timedelta | None = None, *, dry_run: bool = False
) -> list[Done]:
    return await set_up(client, settings, retention, cloud=False, dry_run=dry_run)


def doings(found: list[Done]) -> set[Doing]:
    return {each.doing for each in found}


async def test_it_makes_what_is_missing_once(server: Server) -> None:
    configured = server.settings(temporal_deployment="aither")
    client = await connect(configured)
    assert doings(await done(client, configured, dry_run=True)) == {Doing.WANTED}
    assert await retention_of(client) is None, "a dry run makes nothing"
    assert (await standing(client, configured))["missing"] == [
        f"there is no namespace {client.namespace}: `aither temporal setup` makes it"
    ]

    first = await done(client, configured)
    assert doings(first) == {Doing.MADE}
    assert [each.name for each in first] == [
        *(client.namespace, *SEARCH_ATTRIBUTES),
        *("sweep-turns", "sweep-jobs", "sweep-approvals"),
    ]
    assert await retention_of(client) == 7 * DAY
    assert doings(await done(client, configured)) == {Doing.KEPT}
    assert doings(await done(client, configured, dry_run=True)) == {Doing.KEPT}

    changed = await done(client, configured, 3 * DAY)
    assert [(each.name, each.note) for each in changed if each.doing is Doing.CHANGED] == [("3 d", "was 7 d")]
    assert await retention_of(client) == 3 * DAY
    assert doings(await done(client, configured)) == {Doing.KEPT}, "unsaid, it stays as it is"

    stands = await standing(client, configured)
    assert stands["search_attributes"] == SEARCH_ATTRIBUTES
    assert {each["state"] for each in stands["schedules"]} == {"on"}
    (missing,) = stands["missing"]
    assert missing.startswith("no build of aither is current")


async def test_a_schedule_is_brought_up_to_date_and_stays_paused(server: Server) -> None:
    configured = server.settings(temporal_namespace="default")
    client = await connect(configured)
    loops = (*SWEEPS[:1], *burst_loops(Burst(installation="here")))
    assert set((await apply_loops(client, loops)).values()) == {Applied.MADE}
    handle = client.get_schedule_handle(SWEEP_TURNS)
    await handle.pause(note="a look around")

    async def slower(found: ScheduleUpdateInput) -> ScheduleUpdate:
        spec = replace(found.description.schedule.spec, intervals=[])
        return ScheduleUpdate(schedule=replace(found.description.schedule, spec=spec))

    await handle.update(slower)
    other = (*SWEEPS[:1], *burst_loops(Burst(installation="here", dry_run=True)))
    applied = await apply_loops(client, other)
    assert applied == {
        SWEEP_TURNS: Applied.CHANGED,
        REAP_LEASES: Applied.CHANGED,
        "check-burst": Applied.KEPT,
    }
    assert set((await apply_loops(client, other)).values()) == {Applied.KEPT}
    assert (await handle.describe()).schedule.state.paused
    for each in other:
        await client.get_schedule_handle(each.workflow).delete()


def test_without_burst_there_is_nothing_to_reap() -> None:
    assert burst_loops(Burst()) == ()


def test_search_attributes_are_the_ones_that_workflows_set() -> None:
    keys = (attributes.TENANT, attributes.STATUS, attributes.EFFORT, attributes.RUNG, attributes.MODEL)
    kinds = {key.name: key.indexed_value_type.name.title() for key in keys}
    assert kinds == SEARCH_ATTRIBUTES


@asynccontextmanager
async def strict(answers: dict[str, Any], shown: list[str] | None = None) -> AsyncGenerator[int]:
    """The port of a server that speaks Temporal's protocol, and lets nobody do what is not said, as the Cloud does.

    What callers authorise themselves with is `shown`.
    """

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            name = handler_call_details.method.rpartition("/")[2]
            if shown is not None:
                headers: dict[str, Any] = dict(handler_call_details.invocation_metadata)
                shown.append(headers.get("authorization", ""))

            async def answer(_: bytes, context: Any) -> bytes:
                if name == "GetSystemInfo":
                    return GetSystemInfoResponse(server_version="1.32.0").SerializeToString()
                code = answers.get(name, grpc.StatusCode.PERMISSION_DENIED)
                await context.abort(code, f"{name}: not for you")
                raise AssertionError

            return grpc.unary_unary_rpc_method_handler(answer)

    serving = grpc.aio.server()
    serving.add_generic_rpc_handlers((Handler(),))
    port = serving.add_insecure_port("127.0.0.1:0")
    await serving.start()
    try:
        yield port
    finally:
        await serving.stop(None)


NOBODY = {"DescribeNamespace": grpc.StatusCode.NOT_FOUND}


@pytest.mark.parametrize("cloud", [True, False])
async def test_what_only_others_may_make_is_told_with_the_command_that_makes_it(cloud: bool) -> None:
    async with strict(NOBODY) as port:
        configured = Settings(
            config_file=None, temporal_address=f"127.0.0.1:{port}", temporal_namespace="prod.a1b2c"
        )
        client = await connect(configured)
        (found,) = await set_up(client, configured, 30 * DAY, cloud=cloud, dry_run=False)
    assert (found.name, found.doing) == ("prod.a1b2c", Doing.BY_HAND)
    assert found.note == (
        "tcld namespace create --namespace prod --region … --retention-days 30"
        if cloud
        else "the server does not let us: RegisterNamespace: not for you"
    )


async def test_an_api_key_is_shown_by_tls_and_one_that_is_not_taken_is_told(tmp_path: Path) -> None:
    authority, shown = Authority(tmp_path, "ours"), list[str]()
    async with strict({}, shown) as port, tls_in_front(port, authority.paper("server")) as target:
        configured = Settings(
            config_file=None,
            temporal_address=target,
            temporal_api_key=SecretStr("sesame"),
            temporal_tls_ca=authority.cert,
        )
        client = await connect(configured)
        with pytest.raises(RPCError) as caught:
            await retention_of(client)
    assert set(shown) == {"Bearer sesame"}
    said = why_not(caught.value, access(configured))
    assert said == f"Temporal at {target} does not let us in: DescribeNamespace: not for you"
