"""Real processes are killed around a card. Afterwards its state is what runs, and nobody holds what is not there."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.contracts.cards import CardView, Found, Inventory, Lease, LeaseRef, Residency
from infra.embedded.state import PartPhase
from infra.ids import new_id
from infra.temporal import DATA_CONVERTER
from tests.cards.holder import QUEUE, Holder, Wish
from tests.e2e.conftest import passing_stack
from tests.e2e.killing import back, kill, until
from tests.support import tiny_server
from tests.support.stack import Stack
from workers.sandbox import workflow_runner
from workflows.names import CARD, HOST_REPORTS, LEASE_VALID, REPAIR, card_workflow_id

pytestmark = [pytest.mark.stack, pytest.mark.durability]

CARD_ID = "faults/0"
NAMES = ("one", "two", "slow")
AWAKE, ABSENT = Residency.AWAKE, Residency.ABSENT
SCRIPT = Path(tiny_server.__file__).resolve()

HEAD = """
[cards."faults/0"]
vram_mib = 1000
hog = "1s"

[backends.one]
model = "one"
base_url = "http://127.0.0.1:{one}/v1"
resident = "one"

[ladders.auto]
answer = ["one"]
"""
RESIDENT = """
[residents.{name}]
card = "faults/0"
kind = "process"
mib = 600
base_url = "http://127.0.0.1:{port}"
command = ["{{python}}", "{script}", "{port}"{more}]
idle = "10m"
start_timeout = "1m"
"""


@dataclass
class Machine:
    """A stack whose one card has room for one of three tiny models; `slow` is ready once its flag is there."""

    stack: Stack
    client: Client
    ports: dict[str, int]
    flag: Path

    async def view(self) -> CardView:
        return await self._card.query(CARD, result_type=CardView)

    async def holds(
        self, resident: str, ttl: timedelta = timedelta(seconds=60)
    ) -> WorkflowHandle[Holder, str]:
        """A workflow that asks for a hold, and keeps it."""
        wish = Wish(card=CARD_ID, resident=resident, ttl=ttl)
        return await self.client.start_workflow(Holder.run, wish, id=new_id("holder"), task_queue=QUEUE)

    async def granted(self, holder: WorkflowHandle[Holder, str]) -> Lease:
        found: list[Lease] = []

        async def has_one() -> bool:
            try:
                lease = await holder.query(Holder.lease)
            except RPCError:
                return False
            if lease is None and (await holder.describe()).close_time:
                raise AssertionError(f"there is no hold: {await holder.result()}")
            found.extend([lease] if lease else [])
            return lease is not None

        await until(has_one, "the hold is granted")
        return found[0]

    async def stands(self, lease: Lease) -> bool:
        ref = LeaseRef(lease=lease.lease, token=lease.token)
        return await self._card.query(LEASE_VALID, ref, result_type=bool)

    async def repair(self) -> None:
        await self._card.execute_update(REPAIR)

    async def is_told(self, residents: dict[str, Residency]) -> None:
        """The host's word, or what passes for it."""
        found = tuple(Found(resident=name, residency=where) for name, where in residents.items())
        await self._card.signal(HOST_REPORTS, Inventory(card=CARD_ID, residents=found))

    def running(self, name: str) -> list[psutil.Process]:
        """The processes of a resident, by their command lines."""
        port = str(self.ports[name])
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if str(SCRIPT) in process.cmdline() and port in process.cmdline():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    async def is_true(self) -> bool:
        """Whether the card says of every resident what is the case, and has nothing under way."""
        try:
            view = await self.view()
        except RPCError:
            return False
        for name in NAMES:
            seen, runs = view.resident(name), self.running(name)
            if seen is None or seen.moving_to or len(runs) > 1:
                return False
            if seen.residency is not (AWAKE if runs and await _listens(self.ports[name]) else ABSENT):
                return False
        return view.problem == "" and view.free_mib >= 0

    @property
    def _card(self) -> WorkflowHandle[object, object]:
        return self.client.get_workflow_handle(card_workflow_id(CARD_ID))


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Machine]:
    folder = tmp_path_factory.mktemp("cards")
    flag = folder / "ready"
    with ExitStack() as taken:
        sockets = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in NAMES]
        ports = {name: int(each.getsockname()[1]) for name, each in zip(NAMES, sockets, strict=True)}
    configuration = folder / "aither.toml"
    loads = f', "--manner", "loads", "--flag", "{flag}"'
    configuration.write_text(
        HEAD.format(**ports)
        + "".join(
            RESIDENT.format(name=name, port=port, script=SCRIPT, more=loads if name == "slow" else "")
            for name, port in ports.items()
        )
    )
    env = {"AITHER_CONFIG_FILE": str(configuration), "AITHER_HOST_NAME": "faults"}
    without = ("orchestrator", "embeddings", "api")
    async with passing_stack(folder / "data", without=without, env=env) as stack:
        client = await Client.connect(stack.temporal_target, data_converter=DATA_CONVERTER)
        async with Worker(client, task_queue=QUEUE, workflows=[Holder], workflow_runner=workflow_runner()):
            machine = Machine(stack, client, ports, flag)
            await until(machine.is_true, "the card says what is true")
            yield machine
            await machine.granted(await machine.holds("two"))
    # They do not outlive `aither down`.
    assert not any(machine.running(name) for name in NAMES)


@pytest.fixture
async def machine(whole: Machine) -> AsyncGenerator[Machine]:
    """The machine, all of it up and at rest; its holders of the test before are gone."""
    whole.flag.unlink(missing_ok=True)
    await until(
        lambda: all(part.phase is PartPhase.UP for part in whole.stack.state.parts), "the stack is up"
    )
    await until(whole.is_true, "the card says what is true")
    yield whole
    async for each in whole.client.list_workflows("WorkflowType='test-holder' AND ExecutionStatus='Running'"):
        await whole.client.get_workflow_handle(each.id).terminate()
    for each in (await whole.view()).leases:
        await whole.client.get_workflow_handle(card_workflow_id(CARD_ID)).signal(
            "release-hold", LeaseRef(lease=each.lease)
        )


async def test_a_killed_holder_loses_its_lease_at_its_ttl(machine: Machine) -> None:
    holder = await machine.holds("one", ttl=timedelta(seconds=3))
    lease = await machine.granted(holder)
    assert await machine.stands(lease)
    await holder.terminate("killed")
    other = await machine.holds("two")
    await machine.granted(other)
    assert not await machine.stands(lease)
    await until(machine.is_true, "the card says what is true")
    assert machine.running("two") and not machine.running("one")


async def test_the_host_is_killed_in_mid_move(machine: Machine) -> None:
    holder = await machine.holds("slow")
    await until(lambda: machine.running("slow"), "the model is being loaded")
    first = machine.running("slow")[0]
    killed = kill(machine.stack, "cards")
    await until(lambda: not first.is_running(), "what it was loading has died with it")
    await back(machine.stack, killed)
    machine.flag.touch()
    lease = await machine.granted(holder)
    await until(machine.is_true, "the card says what is true")
    assert len(machine.running("slow")) == 1 and await machine.stands(lease)


async def test_the_host_is_killed_at_rest_and_the_next_ask_is_served(machine: Machine) -> None:
    holder = await machine.holds("one")
    await machine.granted(holder)
    await back(machine.stack, kill(machine.stack, "cards"))
    assert await holder.result() == "lease_lost"
    await until(machine.is_true, "the card says what is true")
    again = await machine.holds("one")
    assert await machine.stands(await machine.granted(again))
    assert len(machine.running("one")) == 1


async def test_temporal_and_workers_are_killed_in_mid_lease(machine: Machine) -> None:
    holder = await machine.holds("one", ttl=timedelta(minutes=5))
    lease = await machine.granted(holder)
    (model,) = machine.running("one")
    await back(machine.stack, kill(machine.stack, "temporal", "workers"))

    async def stands() -> bool:
        try:
            return await machine.stands(lease)
        except RPCError:
            return False

    await until(stands, "the lease stands")
    await until(machine.is_true, "the card says what is true")
    # The model has run on all the while.
    assert [process.pid for process in machine.running("one")] == [model.pid]
    await holder.signal(Holder.finish)
    assert await holder.result() == "finished"


async def test_a_killed_model_is_noticed_and_loaded_again_for_the_next(machine: Machine) -> None:
    """Another one than before: what is lost again and again is left alone for a while."""
    holder = await machine.holds("two")
    lease = await machine.granted(holder)
    (model,) = machine.running("two")
    os.kill(model.pid, signal.SIGKILL)
    assert await holder.result() == "lease_lost"
    assert not await machine.stands(lease)
    again = await machine.granted(await machine.holds("two"))
    assert again.token > lease.token
    (reloaded,) = machine.running("two")
    assert reloaded.pid != model.pid
    await until(machine.is_true, "the card says what is true")


async def test_a_lie_is_put_right_by_repair(machine: Machine) -> None:
    holder = await machine.holds("one")
    await machine.granted(holder)
    await until(machine.is_true, "the card says what is true")

    async def believed() -> bool:
        await machine.is_told({"one": ABSENT, "two": AWAKE})
        view = await machine.view()
        two = view.resident("two")
        return two is not None and two.residency is AWAKE

    # From here on the host's own looks may put it right as well, at any moment.
    await until(believed, "the lie is believed")
    await machine.repair()
    await until(machine.is_true, "the card says what is true")
