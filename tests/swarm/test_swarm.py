"""A swarm from its goal to its synthesis: every task done once, everything found and counted, nothing invented."""

import json
from pathlib import Path

from activities.contracts.swarm import Role
from tests.support.house import Ground
from tests.support.standin import Reply
from tests.swarm.swarming import Model, planned, swarming


async def test_ten_workers_do_twenty_four_tasks_once_each(ground: Ground, tmp_path: Path) -> None:
    async with swarming(ground, tmp_path, Model(lambda _: planned(24))) as swarm:
        ref = await swarm.begin(tasks=24, workers=10)
        job = await swarm.ended(ref)
        assert job["status"] == "completed", job["error"]
        assert job["tasks"] == {"total": 24, "open": 0, "claimed": 0, "done": 24, "failed": 0, "findings": 24}
        assert job["result"]["read"] == job["result"]["findings"] == 24
        assert [cited["label"] for cited in job["result"]["citations"]] == [f"F{n}" for n in range(1, 25)]
        asked = [text.split("Your task:")[1] for text in swarm.model.asked[Role.WORKER]]
        assert len(asked) == len(set(asked)) == 24
        owners = {event.data["owner"] for event in await swarm.events(ref) if event.kind == "task.done"}
        assert len(owners) > 1
        assert job["turns"] == 26


async def test_a_malformed_plan_is_sent_back_once_with_what_is_wrong(ground: Ground, tmp_path: Path) -> None:
    replies = [Reply(text="I would rather talk about it."), planned(3)]
    async with swarming(ground, tmp_path, Model(lambda _: replies.pop(0))) as swarm:
        job = await swarm.run(tasks=3)
        assert job["tasks"]["done"] == 3
        first, second = swarm.model.asked[Role.PLANNER]
        assert "cannot be used" not in first
        assert "I would rather talk" in second and "cannot be used" in second


async def test_the_goal_itself_is_the_task_where_nobody_plans(ground: Ground, tmp_path: Path) -> None:
    async with swarming(ground, tmp_path, Model(lambda _: Reply(text="No."))) as swarm:
        job = await swarm.run("Count the parts", tasks=5)
        assert job["status"] == "completed"
        assert [task["title"] for task in job["board"]] == ["Count the parts"]
        assert len(swarm.model.asked[Role.PLANNER]) == 2


async def test_a_synthesis_that_cites_what_there_is_not_is_sent_back_once(
    ground: Ground, tmp_path: Path
) -> None:
    replies = [Reply(text="Sound [F1], says [F99]."), Reply(text="Sound [F1] and more [F98].")]
    model = Model(lambda _: planned(2), join=lambda _: replies.pop(0))
    async with swarming(ground, tmp_path, model) as swarm:
        job = await swarm.run(tasks=2)
        _, again = swarm.model.asked[Role.SYNTHESIZER]
        assert "no finding F99" in again
        assert job["result"]["stripped"] == ["F98"]
        assert job["result"]["text"] == "Sound [F1] and more."
        assert [cited["label"] for cited in job["result"]["citations"]] == ["F1"]


async def test_a_synthesis_that_cites_nothing_is_sent_back_once(ground: Ground, tmp_path: Path) -> None:
    replies = [Reply(text="Sound, I say."), Reply(text="Sound, I say again.")]
    model = Model(lambda _: planned(1), join=lambda _: replies.pop(0))
    async with swarming(ground, tmp_path, model) as swarm:
        job = await swarm.run(tasks=1)
        _, again = swarm.model.asked[Role.SYNTHESIZER]
        assert "cites no finding" in again
        assert job["result"]["text"] == "Sound, I say again."


async def test_plain_text_and_empty_answers_lose_nothing(ground: Ground, tmp_path: Path) -> None:
    def work(text: str) -> Reply:
        return Reply(text="") if "part 1 " in text else Reply(text="It is just words.")

    async with swarming(ground, tmp_path, Model(lambda _: planned(2), work=work)) as swarm:
        job = await swarm.run(tasks=2, workers=2)
        assert job["status"] == "completed"
        assert (job["tasks"]["done"], job["tasks"]["failed"]) == (1, 1)
        assert [task["title"] for task in job["result"]["missing"]] == ["Part 1"]
        (cited,) = job["result"]["citations"]
        assert (cited["text"], cited["confidence"], cited["sources"]) == ("It is just words.", 0.5, [])
        assert "Part 1" in swarm.model.asked[Role.SYNTHESIZER][0]


async def test_findings_that_do_not_fit_one_window_are_read_in_a_tree(ground: Ground, tmp_path: Path) -> None:
    def work(text: str) -> Reply:
        return Reply(text=json.dumps({"findings": [{"text": f"{n} " + "long " * 60} for n in range(3)]}))

    model = Model(lambda _: planned(8), work=work)
    async with swarming(ground, tmp_path, model, seat={"window_tokens": 6144}) as swarm:
        job = await swarm.run(tasks=8, workers=4)
        assert job["result"]["read"] == job["tasks"]["findings"] == 24
        passes = swarm.model.asked[Role.SYNTHESIZER]
        assert len(passes) > 2
        labels = [cited["label"] for cited in job["result"]["citations"]]
        assert len(labels) == 24, "every finding's label came through the tree"
