"""What the doctor finds of a backend that is well, away, lying, or less able than declared."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from activities.contracts.backends import Backend, Capability
from activities.contracts.topology import Topology
from infra.llm.backends import open_backends
from tests.support.standin import Fault, Reply, StandIn
from workers.doctor.backends import Examined, Mark, examine

ABLE = (Capability.TOOLS, Capability.JSON_SCHEMA)
COUNTED = Reply(text="one two three four five")
NOTED = Reply(text="", tool_calls=(("note_weather", '{"sky": "grey"}'),), finish_reason="tool_calls")
COLOURED = Reply(text='{"colour": "green"}')


@pytest.fixture
async def server() -> AsyncIterator[StandIn]:
    async with StandIn() as running:
        yield running


def backend(server: StandIn, *capabilities: Capability) -> Backend:
    return Backend(name="spark", base_url=server.url, model="stand-in", capabilities=capabilities)


async def examined(one: Backend) -> Examined:
    async with open_backends(Topology(backends=(one,), ladders=()), {}) as clients:
        return await examine(one, clients[one.name], {})


async def test_all_is_well(server: StandIn) -> None:
    server.script(COUNTED, NOTED, COLOURED)
    seen = await examined(backend(server, *ABLE))
    assert seen.faults == []
    marks = (seen.reachable, seen.served, seen.chat, seen.streaming, seen.tools, seen.json_schema)
    assert set(marks) == {Mark.OK}
    assert seen.first_token_ms is not None


async def test_what_is_not_declared_is_not_tried(server: StandIn) -> None:
    seen = await examined(backend(server))
    assert seen.well
    assert (seen.tools, seen.json_schema) == (Mark.UNDECLARED, Mark.UNDECLARED)
    assert server.total == 1


async def test_nobody_is_there(server: StandIn) -> None:
    await server.refuse()
    seen = await examined(backend(server))
    assert (seen.reachable, seen.chat) == (Mark.FAILED, Mark.UNTRIED)
    assert "nothing answers" in seen.faults[0]
    await server.accept()


async def test_a_missing_key_is_named(server: StandIn) -> None:
    seen = await examined(replace(backend(server), api_key_env="SPARK_KEY"))
    assert seen.faults == ["its key is missing: set SPARK_KEY"]
    assert server.total == 0


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(text="well well", model="impostor"), "impostor"),
        (Reply(text=""), "gave nothing"),
        (Reply(status=503), "backend_unavailable"),
        (Reply(text="one two three", fault=Fault.CUT, fault_after=2), "chat:"),
    ],
)
async def test_a_chat_that_goes_wrong_is_told(server: StandIn, reply: Reply, said: str) -> None:
    server.default = reply
    seen = await examined(backend(server, *ABLE))
    assert (seen.chat, seen.tools) == (Mark.FAILED, Mark.UNTRIED)
    assert said in seen.faults[0]


async def test_less_able_than_declared(server: StandIn) -> None:
    server.script(COUNTED, Reply(text="I would rather not."), Reply(text="Grass is green."))
    seen = await examined(backend(server, *ABLE))
    assert (seen.chat, seen.tools, seen.json_schema) == (Mark.OK, Mark.FAILED, Mark.FAILED)
    assert len(seen.faults) == 2
