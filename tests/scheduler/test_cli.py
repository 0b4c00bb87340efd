"""`aither pools`, `aither queue` and `aither gpu`: what they print where, how they end, and what they wait for."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from typer.testing import CliRunner

from activities.contracts.cards import CardView
from activities.contracts.pools import EngineFigures, MemberHealth
from api.cli.gpu_progress import Ended, doing, followed, reached
from api.cli.main import app
from infra.settings import settings
from tests.scheduler.cards import CARD, VIEW, played_card
from tests.scheduler.conftest import FRONT, PATIENCE_S, Desk
from tests.scheduler.test_pools import UP, front
from tests.scheduler.waiting import ask, cancel_all, queue

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def variables(desk: Desk, key: str) -> dict[str, str]:
    return {
        "AITHER_API_URL": desk.url,
        "AITHER_API_KEY": key,
        "AITHER_DATA_DIR": "/nonexistent",
        "COLUMNS": "200",
    }


async def aither(desk: Desk, *words: str, key: str | None = None, **env: str) -> Done:
    """The command, run in a thread of this process while the API serves it from this one."""
    settings.cache_clear()
    await desk.forget()
    try:
        done = await asyncio.to_thread(
            CliRunner().invoke,
            app,
            words,
            env=variables(desk, key or desk.operator) | env,
            prog_name="aither",
        )
    finally:
        settings.cache_clear()
    return Done(done.exit_code, done.stdout, done.stderr)


async def told(card: WorkflowHandle[Any, Any], revision: int) -> None:
    """Returns once the card has heard what is wanted of it."""
    async with asyncio.timeout(PATIENCE_S):
        while (await card.query("card", result_type=CardView)).revision < revision:
            await asyncio.sleep(0.02)


async def test_pools_show_their_members(desk: Desk) -> None:
    engine = EngineFigures(running=3, waiting=2, kv_used=0.5)
    down = replace(
        UP,
        backend="spare",
        health=MemberHealth.BARRED,
        why="3 [failures] in a row",
        breaker="open",
        share=0,
        used=0,
    )
    await desk.pools.say("one", (front(replace(UP, engine=engine), down),))
    done = await aither(desk, "pools")
    assert (done.code, done.err) == (0, "")
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert lines[FRONT].split()[1:4] == ["1/2", "1", "worker"]
    assert lines["front"].startswith("  front")
    assert "1/2 of 4" in lines["front"]
    assert "engine runs 3 +2 waiting · KV 50%" in lines["front"]
    assert "3 [failures] in a row · breaker open" in lines["spare"]
    assert "0 workers" in lines["llm-back"]
    assert "\x1b" not in done.out
    # What stands below each other is of one kind.
    assert lines["front"].index("up") == lines["spare"].index("barred")
    one = await aither(desk, "pools", FRONT, "--json")
    assert [pool["name"] for pool in json.loads(one.out)["pools"]] == [FRONT]
    nowhere = await aither(desk, "pools", "llm-nowhere")
    assert (nowhere.code, "there is no pool 'llm-nowhere'" in nowhere.err) == (2, True)


async def test_pools_are_watched_until_they_are_told_to_stop(desk: Desk) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.cli.main", "pools", FRONT, "--watch", "--every", "0.2", "--json"),
        cwd=ROOT,
        env=os.environ | variables(desk, desk.operator),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        first = json.loads(await process.stdout.readline())
        assert first["pools"][0]["used"] == 0
        await desk.pools.say("one", (front(UP),))
        while json.loads(await process.stdout.readline())["pools"][0]["used"] != 1:
            pass
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")


async def test_the_queue_is_shown_and_cancelled(desk: Desk) -> None:
    empty = await aither(desk, "queue", key=await desk.key("nobody"))
    assert (empty.code, empty.out) == (0, "nothing waits\n")
    key = await desk.key("typing")
    async with desk.client(key) as client:
        one, other = await ask(client, priority=4), await ask(client, priority=2)
        try:
            await queue(desk, client, {one, other})
            shown = await aither(desk, "queue", key=key)
            rows = [line.split() for line in shown.out.splitlines()]
            assert [row[:5] for row in rows[1:]] == [
                [other, "turn", FRONT, "2", "typing"],
                [one, "turn", FRONT, "4", "typing"],
            ]
            short = await aither(desk, "queue", "--limit", "1", key=key)
            assert "there may be more" in short.out
            listed = await aither(desk, "queue", "--pool", FRONT, "--kind", "turn", "--json", key=key)
            assert [call["id"] for call in json.loads(listed.out)["data"]] == [other, one]
            ended = await aither(desk, "queue", "cancel", one, key=key)
            assert ended.code == 0
            assert ended.out in {f"cancelled {one}\n", f"{one} is stopping\n"}
            await queue(desk, client, {other})
            again = await aither(desk, "queue", "cancel", one, key=key)
            assert (again.code, "does not wait any more" in again.err) == (2, True)
        finally:
            await cancel_all(client, {one, other})


async def test_cards_are_listed_and_shown(desk: Desk) -> None:
    async with played_card(desk, replace(VIEW, problem="swap [was] lost")):
        listed = await aither(desk, "gpu", "list")
        (row,) = listed.out.splitlines()[1:]
        for part in (CARD, "4500 MiB", "24000 MiB", "swap awake", "swap [was] lost"):
            assert part in row
        shown = await aither(desk, "gpu", "show", CARD)
        for part in (
            "4400 MiB when last measured",
            "an image for left",
            "holder-right-2",
            "when held",
            "lost",
        ):
            assert part in shown.out
        others = await aither(desk, "gpu", "show", CARD, key=await desk.key("left"))
        assert "another tenant's" in others.out
        assert "right" not in others.out
        assert json.loads((await aither(desk, "gpu", "show", CARD, "--json")).out)["granted"] == 7


async def test_a_card_is_parked_and_the_way_there_is_told(desk: Desk) -> None:
    async with played_card(desk, replace(VIEW, leases=()), at_once=False) as card:
        quick = await aither(desk, "gpu", "sleep", CARD, "--no-wait")
        assert (quick.code, "aither gpu show box/0" in quick.out) == (0, True)
        late = await aither(desk, "gpu", "sleep", CARD, "--timeout", "0.1")
        assert (late.code, late.out) == (5, "box/0: swap is going to be absent\n")
        going = asyncio.create_task(aither(desk, "gpu", "sleep", CARD, "--timeout", "60"))
        await told(card, VIEW.revision + 3)
        await card.signal("go-on", "")
        done = await going
        assert (done.code, done.err) == (0, "")
        assert done.out.splitlines()[-1] == "box/0 is parked (swap absent)"
        woken = json.loads((await aither(desk, "gpu", "wake", CARD, "--no-wait", "--json")).out)
        assert woken["posture"] == "awake"


async def test_a_move_that_fails_is_1_and_says_why(desk: Desk) -> None:
    async with played_card(desk, replace(VIEW, leases=()), at_once=False) as card:
        going = asyncio.create_task(aither(desk, "gpu", "sleep", CARD, "--timeout", "60"))
        await told(card, VIEW.revision + 1)
        await card.signal("go-on", "swap: it kept 9 GiB")
        done = await going
        assert done.code == 1
        assert "swap: it kept 9 GiB" in done.err
        repaired = await aither(desk, "gpu", "repair", CARD, "--timeout", "0.5")
        # Nothing is wrong any more, but nobody can say where the resident is.
        assert repaired.code == 5


async def test_every_other_way_to_fail_has_its_code(desk: Desk) -> None:
    for words, code, said in (
        (("gpu", "show", "box"), 2, "one is HOST/NUMBER"),
        (("gpu", "sleep", "nowhere/0"), 2, "there is no card"),
        (("gpu", "wake", "box/x"), 2, "one is HOST/NUMBER"),
        (("queue", "--limit", "0"), 2, "limit"),
        (("queue", "--pool", "llm-nowhere"), 2, "is not a pool"),
        (("queue", "cancel", "turn_x"), 2, "nothing of that id waits"),
        (("pools", "--every", "0"), 2, "every"),
    ):
        done = await aither(desk, *words)
        assert (done.code, done.out) == (code, ""), words
        assert said in done.err, words
    async with played_card(desk):
        refused = await aither(desk, "gpu", "sleep", CARD, key=await desk.key("acme"))
        assert refused.code != 0
        assert "an operator's key" in refused.err
    away = await aither(desk, "pools", AITHER_API_URL="http://127.0.0.1:1")
    assert (away.code, "aither up" in away.err) == (3, True)


@pytest.mark.parametrize(
    "words",
    ["pools", "queue", "queue cancel", "gpu", "gpu list", "gpu show", "gpu sleep", "gpu wake", "gpu repair"],
)
async def test_every_command_explains_itself(desk: Desk, words: str) -> None:
    done = await aither(desk, *words.split(), "--help")
    assert done.code == 0
    assert "Usage: aither" in done.out
    assert words == "gpu" or "Example: aither" in done.out


def card(posture: str, residency: str, **other: Any) -> dict[str, Any]:
    resident = {"name": "swap", "residency": residency, "moving_to": None, "on_demand": False}
    there = {"card": CARD, "posture": posture, "stale": False, "looking": False, "problem": "", "leases": []}
    return there | {"residents": [resident | other.pop("resident", {})]} | other


@pytest.mark.parametrize(
    ("wish", "seen", "there"),
    [
        ("sleep", card("asleep", "absent"), True),
        ("sleep", card("asleep", "asleep"), True),
        ("sleep", card("awake", "absent"), False),
        ("sleep", card("asleep", "unknown"), False),
        ("sleep", card("asleep", "absent", resident={"moving_to": "awake"}), False),
        ("wake", card("awake", "awake"), True),
        ("wake", card("awake", "absent"), False),
        ("wake", card("awake", "absent", resident={"on_demand": True}), True),
        ("wake", card("asleep", "awake"), False),
        ("wake", card("awake", "awake", stale=True, why_stale="gone"), False),
        ("repair", card("awake", "awake"), True),
        ("repair", card("awake", "awake", looking=True), False),
        ("repair", card("awake", "unknown"), False),
        ("repair", card("awake", "awake", problem="lost"), False),
    ],
)
def test_what_counts_as_there(wish: str, seen: dict[str, Any], there: bool) -> None:
    assert reached(seen, wish) is there


def test_what_moves_is_not_given_up() -> None:
    problem = card("asleep", "awake", problem="lost", resident={"moving_to": "absent"})
    looks = iter([problem] * 3 + [card("asleep", "absent")])
    assert followed(lambda: next(looks), problem, "sleep", timeout=60, quiet=True)[0] is Ended.REACHED
    assert doing(problem) == "swap is going to be absent"
    assert doing(card("asleep", "awake", leases=[{}])) == "waits for 1 hold to end"
