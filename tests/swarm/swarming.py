"""A swarm on real servers: a house whose one model plays planner, workers and synthesizer, over a real ledger."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker

from activities.contracts.jobs import JobEnded, JobEvent, JobRecord, JobRef, RoleCall, SwarmOptions
from activities.contracts.policy import Bounds
from activities.contracts.swarm import Role
from activities.swarm_store import SwarmStore
from infra.ids import new_id
from infra.postgres.jobs import NewJob, PostgresJobs
from infra.qdrant.ledger import QdrantLedger
from infra.qdrant.local import LocalQdrant
from infra.qdrant.memory import QdrantMemory
from infra.redis_jobs import RedisJobs
from tests.ladder.seats import Seat, laid_out
from tests.support.house import SETTINGS, Ground, House
from tests.support.standin import Call, Reply, StandIn
from tests.support.standin_http import Exchange
from workers.swarm import swarm_activities
from workflows.names import Queue, swarm_workflow_id
from workflows.policy import budget, claims
from workflows.swarm_starts import start_swarm, swarm_input

LIFETIME = timedelta(minutes=2)
PATIENCE_S = 60.0

Said = Callable[[str], Reply]


def planned(number: int) -> Reply:
    tasks = [{"title": f"Part {n}", "task": f"Find out about part {n} of the whole"} for n in range(number)]
    return Reply(text=json.dumps({"tasks": tasks}))


def found(text: str) -> Reply:
    part = re.search(r"part (\d+)", text)
    said = f"Part {part[1] if part else '?'} is sound"
    return Reply(
        text=json.dumps({"findings": [{"text": said, "confidence": 0.9, "sources": ["the part itself"]}]})
    )


def put_together(text: str) -> Reply:
    labels = dict.fromkeys(re.findall(r"\bF\d+", text))
    return Reply(text=f"All parts are sound [{', '.join(labels)}].")


class Model(StandIn):
    """One stand-in that answers as the role that it is asked as. `asked` keeps what each role was asked."""

    def __init__(
        self, plan: Callable[[str], Reply], *, work: Said = found, join: Said = put_together
    ) -> None:
        super().__init__()
        self.plan, self.work, self.join = plan, work, join
        self.asked: dict[Role, list[str]] = {role: [] for role in Role}

    async def _note(self, exchange: Exchange) -> Call:
        call = await super()._note(exchange)
        system = str(call.body["messages"][0]["content"])
        whole = "\n".join(str(message["content"]) for message in call.body["messages"][1:])
        role = (
            Role.PLANNER
            if "break a goal" in system
            else Role.WORKER
            if "one of several workers" in system
            else Role.SYNTHESIZER
        )
        self.asked[role].append(whole)
        speak = {Role.PLANNER: self.plan, Role.WORKER: self.work, Role.SYNTHESIZER: self.join}[role]
        # Nothing is awaited between this and the reply's choice.
        self.default = speak(whole)
        return call


class Words:
    """An embedder that costs nothing: words hashed into a few dimensions."""

    name = "words"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [_vector(text) for text in texts]


def _vector(text: str) -> list[float]:
    vector = [0.01] * 16
    for word in text.lower().split():
        vector[hashlib.sha256(word.encode()).digest()[0] % 16] += 1.0
    return vector


@dataclass
class FixedRoom:
    """As much room as a test says."""

    calls: int = 1000

    async def room(self, job: JobRecord) -> int:
        return self.calls


@dataclass
class Swarming:
    """A house where swarms run."""

    house: House
    model: Model
    jobs: PostgresJobs
    store: SwarmStore
    teller: RedisJobs
    room: FixedRoom
    patience_s: float = PATIENCE_S
    handles: list[WorkflowHandle[Any, JobEnded]] = field(default_factory=list[WorkflowHandle[Any, JobEnded]])

    async def begin(
        self,
        goal: str = "Say how sound the whole is",
        *,
        context: str = "",
        started: bool = True,
        long_history: int = 10_000,
        tasks_a_run: int = 100,
        **options: Any,
    ) -> JobRef:
        """Accepts a job and starts it, as the API does."""
        ref = JobRef(tenant_id=self.house.tenant_id, job_id=new_id("job"))
        options.setdefault("roles", {role: RoleCall() for role in Role})
        asked = SwarmOptions(**options)
        usd = asked.budget_usd
        await self.jobs.accept(
            NewJob(
                ref=ref,
                goal=goal,
                context=context,
                options=asked,
                policy=Bounds(),
                priority=4,
                budget_nano=None if usd is None else budget.to_nano(usd),
                key_id=self.house.key_id,
            )
        )
        if started:
            swarm = replace(
                swarm_input(ref, asked, LIFETIME), long_history=long_history, tasks_a_run=tasks_a_run
            )
            await start_swarm(self.house.ground.client, swarm, priority=4)
            self.handles.append(self.handle(ref))
        return ref

    def handle(self, ref: JobRef) -> WorkflowHandle[Any, JobEnded]:
        client = self.house.ground.client
        return client.get_workflow_handle(swarm_workflow_id(ref.job_id), result_type=JobEnded)

    async def ended(self, ref: JobRef) -> dict[str, Any]:
        """The job once its workflow has closed."""
        async with asyncio.timeout(self.patience_s):
            with suppress(WorkflowFailureError):
                await self.handle(ref).result()
        return await self.view(ref)

    async def view(self, ref: JobRef) -> dict[str, Any]:
        view = await self.jobs.view(ref)
        assert view is not None
        return view

    async def run(self, goal: str = "Say how sound the whole is", **how: Any) -> dict[str, Any]:
        return await self.ended(await self.begin(goal, **how))

    async def events(self, ref: JobRef) -> list[JobEvent]:
        return await self.teller.read(ref.job_id, "0", block_ms=0)

    async def until(self, ref: JobRef, wanted: Callable[[JobEvent], bool]) -> JobEvent:
        """Waits for the first event like that."""
        after = "0"
        async with asyncio.timeout(self.patience_s):
            while True:
                for event in await self.teller.read(ref.job_id, after, block_ms=500):
                    after = event.id
                    if wanted(event):
                        return event


class Twice(Interceptor):
    """Runs every activity twice, one after the other, and takes the second result."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Repeating(next)


class _Repeating(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        await super().execute_activity(input)
        return await super().execute_activity(input)


@asynccontextmanager
async def swarming(
    ground: Ground, folder: Path, model: Model, *, twice: bool = False, seat: dict[str, Any] | None = None
) -> AsyncGenerator[Swarming]:
    """A house with that model as its only rung, and a ledger of its own."""
    settings = SETTINGS.model_copy(update={"data_dir": folder})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(model)
        place = replace(Seat(name="front", standin=model, slots=16), **(seat or {}))
        house = await stack.enter_async_context(ground.house(laid_out([place]), silence_s=60.0))
        qdrant = await stack.enter_async_context(LocalQdrant.opened(folder / "qdrant"))
        store = SwarmStore(QdrantLedger(qdrant, claims), QdrantMemory(qdrant, "findings", Words()), claims)
        teller = await stack.enter_async_context(RedisJobs.connect(ground.stores.redis.url, 600))
        room = FixedRoom()
        activities = swarm_activities(house.parts, store, settings, teller, room)
        worker = Worker(
            ground.client,
            task_queue=Queue.MEMORY,
            activities=activities,
            interceptors=[Twice()] if twice else [],
        )
        await stack.enter_async_context(worker)
        swarm = Swarming(house, model, PostgresJobs(ground.database), store, teller, room)
        yield swarm
        for handle in swarm.handles:
            # Nothing of this house may be left for the next one's workers.
            if (await handle.describe()).close_time is None:
                await handle.terminate()


__all__ = ["Model", "Reply", "Swarming", "found", "planned", "put_together", "replace", "swarming"]
