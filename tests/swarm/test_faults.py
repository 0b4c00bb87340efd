"""A swarm under faults: no task done twice, nothing found lost, whatever dies in between."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from activities.contracts.jobs import RoleCall
from activities.contracts.swarm import Role
from tests.ladder.seats import PRICE
from tests.support.house import Ground
from tests.support.standin import Reply
from tests.swarm.swarming import Model, found, planned, swarming
from workflows.names import swarm_worker_id, swarm_workflow_id


async def test_the_task_of_a_worker_that_is_lost_is_taken_up_and_its_call_not_paid_for_again(
    ground: Ground, tmp_path: Path
) -> None:
    def work(text: str) -> Reply:
        return Reply(text="Held back.", hold_after=0) if "part 0 " in text else found(text)

    model = Model(lambda _: planned(3), work=work)
    async with swarming(ground, tmp_path, model, seat={"call_s": 60.0}) as swarm:
        ref = await swarm.begin(tasks=3, workers=3, claim_ttl=timedelta(seconds=2))
        held = await swarm.until(ref, lambda e: e.kind == "task.claimed" and e.data["place"] == 0)
        await swarm.model.arrived(4, within_s=30)
        lost = swarm_worker_id(ref.job_id, held.data["owner"])
        await ground.client.get_workflow_handle(lost).terminate("lost")
        again = await swarm.until(
            ref,
            lambda e: (
                e.kind == "task.claimed" and e.data["place"] == 0 and e.data["owner"] != held.data["owner"]
            ),
        )
        swarm.model.release()
        job = await swarm.ended(ref)
        assert job["status"] == "completed", job["error"]
        assert (job["tasks"]["done"], job["result"]["read"]) == (3, 3)
        done = [e.data["owner"] for e in await swarm.events(ref) if e.kind == "task.done"]
        assert again.data["owner"] in done and len(done) == 3
        assert len(swarm.model.asked[Role.WORKER]) == 3


async def test_duplicated_deliveries_change_nothing(ground: Ground, tmp_path: Path) -> None:
    """Every activity of the swarm is run twice, as a worker that is lost before it could answer has it."""
    async with swarming(ground, tmp_path, Model(lambda _: planned(6)), twice=True) as swarm:
        ref = await swarm.begin(tasks=6, workers=3)
        job = await swarm.ended(ref)
        assert job["status"] == "completed", job["error"]
        assert (job["tasks"]["total"], job["tasks"]["done"], job["tasks"]["findings"]) == (6, 6, 6)
        assert len(swarm.model.asked[Role.WORKER]) == 6


async def test_a_call_that_fails_is_tried_once_more_and_then_its_task_is_missing(
    ground: Ground, tmp_path: Path
) -> None:
    def work(text: str) -> Reply:
        return Reply(status=400, error="no") if "part 1 " in text else found(text)

    async with swarming(ground, tmp_path, Model(lambda _: planned(3), work=work)) as swarm:
        job = await swarm.run(tasks=3, workers=2)
        assert job["status"] == "completed"
        (missing,) = job["result"]["missing"]
        assert missing["title"] == "Part 1" and "backend_rejected" in missing["why"]
        tried = [text for text in swarm.model.asked[Role.WORKER] if "part 1 " in text]
        assert len(tried) == 2


async def test_a_deadline_ends_the_work_and_what_there_is_is_put_together(
    ground: Ground, tmp_path: Path
) -> None:
    def work(text: str) -> Reply:
        return Reply(text="Never.", hold_after=0) if "part 1 " in text else found(text)

    model = Model(lambda _: planned(2), work=work)
    async with swarming(ground, tmp_path, model, seat={"call_s": 60.0}) as swarm:
        ref = await swarm.begin(
            tasks=2,
            workers=2,
            deadline=datetime.now(UTC) + timedelta(seconds=12),
            grace=timedelta(milliseconds=500),
        )
        job = await swarm.ended(ref)
        assert job["status"] == "completed", job["error"]
        assert job["tasks"]["done"] == 1
        assert [task["title"] for task in job["result"]["missing"]] == ["Part 1"]
        rows = await swarm.house.rows(
            "select status from aither.turns where tenant_id = $1 and job_role = 'worker'"
        )
        assert sorted(row["status"] for row in rows) == ["cancelled", "completed"]


async def test_a_budget_is_never_overspent_and_what_there_is_is_put_together(
    ground: Ground, tmp_path: Path
) -> None:
    model = Model(lambda _: planned(30), work=lambda _: Reply(text="So.", reasoning="hm " * 600))
    async with swarming(ground, tmp_path, model, seat={"price": PRICE}) as swarm:
        job = await swarm.run(tasks=30, workers=8, budget_usd=0.1)
        spent = sum(nano for kind, _, nano in await swarm.house.spend() if kind == "settled")
        assert spent <= 0.1e9
        assert 0 < job["tasks"]["done"] < 30
        assert job["tasks"]["done"] + job["tasks"]["failed"] == 30
        assert job["result"]["synthesized"], job["result"]["problem"]
        assert "budget" in job["result"]["missing"][0]["why"]


async def test_cancelling_ends_the_job_its_workers_and_their_calls(ground: Ground, tmp_path: Path) -> None:
    model = Model(lambda _: planned(4), work=lambda _: Reply(text="Never.", hold_after=0))
    async with swarming(ground, tmp_path, model, seat={"call_s": 60.0}) as swarm:
        ref = await swarm.begin(tasks=4, workers=4)
        await swarm.model.arrived(5, within_s=30)
        await swarm.handle(ref).cancel()
        job = await swarm.ended(ref)
        assert job["status"] == "cancelled"
        async for workflow in ground.client.list_workflows(f"WorkflowId STARTS_WITH 'swarm/{ref.job_id}/'"):
            assert workflow.close_time is not None, workflow.id
        rows = await swarm.house.rows(
            "select status from aither.turns where tenant_id = $1 and job_role = 'worker'"
        )
        assert [row["status"] for row in rows] == ["cancelled"] * 4
        (last,) = [e for e in await swarm.events(ref) if e.kind.ends]
        assert last.kind == "job.cancelled"


async def test_nobody_puts_together_is_said_and_the_findings_stand(ground: Ground, tmp_path: Path) -> None:
    model = Model(lambda _: planned(2), join=lambda _: Reply(status=400, error="no"))
    async with swarming(ground, tmp_path, model) as swarm:
        job = await swarm.run(tasks=2)
        assert (job["status"], job["error"]["code"]) == ("failed", "not_synthesized")
        assert not job["result"]["synthesized"]
        assert job["result"]["text"].count("is sound") == 2


async def test_a_narrow_pool_is_never_wider_than_its_room(ground: Ground, tmp_path: Path) -> None:
    model = Model(lambda _: planned(6), work=lambda text: Reply(text=f"So it is: {text[-40:]}", delay_s=0.05))
    async with swarming(ground, tmp_path, model) as swarm:
        swarm.room.calls = 1
        job = await swarm.run(tasks=6, workers=5)
        assert job["tasks"]["done"] == 6
        assert model.peak == 1


async def test_histories_are_begun_anew_and_nothing_is_done_twice(ground: Ground, tmp_path: Path) -> None:
    async with swarming(ground, tmp_path, Model(lambda _: planned(24))) as swarm:
        ref = await swarm.begin(tasks=24, workers=3, long_history=60, tasks_a_run=2)
        job = await swarm.ended(ref)
        assert job["status"] == "completed", job["error"]
        assert (job["tasks"]["done"], job["result"]["read"]) == (24, 24)
        assert len(swarm.model.asked[Role.WORKER]) == 24
        runs = Counter[str]()
        async for run in ground.client.list_workflows(f"WorkflowId STARTS_WITH 'swarm/{ref.job_id}'"):
            runs[run.id] += 1
            assert run.history_length < 200
        assert runs[swarm_workflow_id(ref.job_id)] > 1
        assert any(count > 1 for worker, count in runs.items() if "/worker/" in worker)


async def test_a_job_whose_workflow_never_started_is_started_by_the_sweep(
    ground: Ground, tmp_path: Path
) -> None:
    async with swarming(ground, tmp_path, Model(lambda _: planned(2))) as swarm:
        ref = await swarm.begin(tasks=2, started=False, roles={role: RoleCall() for role in Role})
        await swarm.house.rows(
            "update aither.jobs set accepted_at = now() - interval '1 minute' where tenant_id = $1"
        )
        await ground.client.execute_workflow("sweep-jobs", id=f"sweep/{ref.job_id}", task_queue="turns")
        swarm.handles.append(swarm.handle(ref))
        assert (await swarm.ended(ref))["status"] == "completed"
        await asyncio.sleep(0)
