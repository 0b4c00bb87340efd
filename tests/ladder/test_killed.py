"""A worker process that is killed (SIGKILL): another one ends its turns, and pays for nothing that was done."""

import asyncio
from pathlib import Path

import pytest

from activities.contracts.events import EventKind
from tests.ladder.seats import CALLS_TOOLS, CONTINUES, Seat, laid_out
from tests.support.house import Ground
from tests.support.pool_process import worker
from tests.support.standin import Reply, StandIn

pytestmark = pytest.mark.durability

TEXT = "one two three four five six seven"
PULL = Reply(tool_calls=(("reason", '{"question": "why?"}'),))


async def test_its_turns_are_ended_by_another(
    ground: Ground, primary: StandIn, fallback: StandIn, tmp_path: Path
) -> None:
    """One was in mid-answer, and is gone on from; one had handed its question on, and its first rung is not
    asked again; its second rung cannot go on from a text, and starts over.
    """
    topology = laid_out(
        [Seat(name="front", standin=primary, capabilities=CONTINUES, call_s=60)],
        [Seat(name="thinker", standin=fallback, capabilities=CALLS_TOOLS, call_s=60)],
    )
    # Whoever accepts turns and follows them needs no pools of its own.
    async with ground.house(topology, pools=False) as house:
        async with worker(ground, tmp_path, topology) as process:
            primary.script(PULL)
            fallback.script(Reply(text=TEXT, hold_after=3))
            handed_on = await house.begin("handed on", effort=8)
            await fallback.arrived()
            primary.script(Reply(text=TEXT, hold_after=4))
            broken = await house.begin("broken")
            for told in (broken, handed_on):
                while told.text != " ".join(TEXT.split()[: 4 if told is broken else 3]):
                    await house.follow(told, until=EventKind.TOKEN)
            process.kill()
            await process.wait()
        primary.default = fallback.default = Reply(text=TEXT)
        async with worker(ground, tmp_path, topology):
            await asyncio.gather(*(house.follow(told) for told in (broken, handed_on)))
            await asyncio.gather(*(house.closed(told) for told in (broken, handed_on)))
        answers = await house.rows("select turn_id, step from aither.answers where tenant_id = $1")

    assert broken.text == broken.answer == TEXT
    assert broken.route == ["front answered"]
    assert primary.calls[-1].body["messages"][-1] == {"role": "assistant", "content": "one two three four"}
    assert EventKind.HOP_RESTARTED not in broken.kinds()

    assert handed_on.text == handed_on.answer == TEXT
    assert handed_on.route == ["front escalated", "thinker answered"]
    assert handed_on.kinds().count(EventKind.HOP_RESTARTED) == 1
    assert primary.count("handed on") == 1
    assert (primary.count("broken"), fallback.count("handed on")) == (2, 2)
    assert sorted((row["turn_id"], row["step"]) for row in answers) == sorted(
        [(broken.turn_id, 1), (handed_on.turn_id, 1), (handed_on.turn_id, 2)]
    )
