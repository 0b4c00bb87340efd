"""The commands `ask`, `turn` and `key`: what they print where, and how they end."""

import asyncio
import json
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from activities.contracts.events import EventKind
from activities.contracts.turn import TurnInput
from api.app import create_app
from api.cli.main import app
from infra.settings import settings
from tests.api.conftest import Api, ask, serving
from tests.api.playing import TEXT, WORDS, PlayedRuns, fails, never, shown, speak
from tests.api.stores import HOST, free_port

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def variables(api: Api, key: str | None = None) -> dict[str, str]:
    return {
        "AITHER_API_URL": api.url,
        "AITHER_API_KEY": key or api.key,
        "AITHER_DATABASE_URL": api.stores.app,
        "AITHER_DATA_DIR": "/nonexistent",
        "COLUMNS": "200",
    }


async def aither(api: Api, *words: str, stdin: str | None = None, **env: str) -> Ended:
    """The command, run in a thread of this process while the API serves it from this one."""
    settings.cache_clear()
    try:
        done = await asyncio.to_thread(
            CliRunner().invoke, app, words, input=stdin, env=variables(api) | env, prog_name="aither"
        )
    finally:
        settings.cache_clear()
    return Ended(done.exit_code, done.stdout, done.stderr)


async def started(api: Api, *words: str) -> asyncio.subprocess.Process:
    """The command as a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.cli.main", *words),
        cwd=ROOT,
        env=os.environ | variables(api),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def outcome(process: asyncio.subprocess.Process) -> Ended:
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def test_the_answer_alone_is_printed(api: Api) -> None:
    for flags in ((), ("--stream",), ("--no-stream", "--effort", "5", "--model", "auto")):
        assert await aither(api, "ask", "Why?", *flags) == Ended(0, TEXT + "\n", "")
    assert await aither(api, "ask", "-", stdin="Why?\n") == Ended(0, TEXT + "\n", "")
    assert api.runs.started[-1].preview == "Why?"


async def test_json_is_the_whole_turn(api: Api) -> None:
    turn = json.loads((await aither(api, "ask", "Why?", "--json")).out)
    assert turn["answer"]["text"] == TEXT
    again = await aither(api, "ask", "And?", "--json", "--conversation", turn["conversation_id"])
    assert json.loads(again.out)["conversation_id"] == turn["conversation_id"]
    lines = (await aither(api, "ask", "Why?", "--json", "--stream")).out.splitlines()
    assert [json.loads(line)["event"] for line in lines][-1] == "turn.completed"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("ask", ""), 2, "nothing to ask"),
        (("ask", "Why?", "--effort", "11"), 2, "effort"),
        (("ask", "Why?", "--model", "gpt-17"), 2, "there is no model"),
        (("ask", "Why?", "--conversation", "x"), 2, "there is no conversation"),
        (("ask",), 2, "Missing argument"),
        (("turn", "show", "../../health"), 2, "nothing is served"),
        (("turn", "show", "turn_x"), 2, "no turn"),
        (("turn", "list", "--status", "lost"), 2, "status"),
        (("key", "create", " "), 2, "needs a name"),
        (("key", "create", "x", "--tenant", "Not One"), 2, "is no tenant"),
        (("key", "revoke", "key_x"), 2, "there is no key"),
    ],
)
async def test_bad_input_is_2(api: Api, words: tuple[str, ...], code: int, said: str) -> None:
    ended = await aither(api, *words)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err


async def test_every_way_to_fail_has_its_own_code(api: Api, tmp_path: Path) -> None:
    api.runs.play = fails
    failed = await aither(api, "ask", "Why?")
    assert (failed.code, failed.out) == (1, "")
    assert "nobody is there; try again later" in failed.err
    wrong = await aither(api, "ask", "Why?", AITHER_API_KEY="ak_wrong")
    assert (wrong.code, "revoked" in wrong.err) == (4, True)
    away = await aither(api, "ask", "Why?", AITHER_API_URL="http://127.0.0.1:1")
    assert (away.code, "aither up" in away.err) == (3, True)
    unknown = await aither(
        api, "ask", "Why?", AITHER_API_URL="", AITHER_API_KEY="", AITHER_DATA_DIR=str(tmp_path)
    )
    assert (unknown.code, "aither up" in unknown.err) == (3, True)
    api.runs.play = never
    late = await aither(api, "ask", "Why?", "--timeout", "0.2")
    assert (late.code, "aither turn show turn_" in late.err) == (5, True)


async def test_address_and_key_are_found_in_the_data_directory(api: Api, tmp_path: Path) -> None:
    credentials = {"api_url": api.url, "api_key": api.key}
    (tmp_path / "credentials.json").write_text(json.dumps(credentials))
    nothing = {"AITHER_API_URL": "", "AITHER_API_KEY": "", "AITHER_DATA_DIR": ""}
    asked = await aither(api, "ask", "Why?", "--data-dir", str(tmp_path), **nothing)
    assert asked == Ended(0, TEXT + "\n", "")
    (tmp_path / "credentials.json").write_text("{")
    assert (await aither(api, "ask", "Why?", "--data-dir", str(tmp_path), **nothing)).code == 2


async def test_an_interrupt_cancels_the_turn(api: Api) -> None:
    begun = asyncio.Event()

    async def hangs(runs: PlayedRuns, turn: TurnInput) -> None:
        async with runs.events.writer(turn.turn_id) as writer:
            writer.emit(EventKind.HOP_STARTED, shown(turn))
            speak(writer, WORDS[:2])
        begun.set()

    api.runs.play = hangs
    process = await started(api, "ask", "Why?", "--stream")
    async with asyncio.timeout(20):
        await begun.wait()
        assert process.stdout is not None
        assert await process.stdout.readexactly(4) == b"The "
        process.send_signal(signal.SIGINT)
        ended = await outcome(process)
    assert ended.code == 130
    assert "cancelled" in ended.err
    assert "Traceback" not in ended.err
    assert api.runs.cancelled == [api.runs.started[0].turn_id]


async def test_a_restarted_api_is_gone_on_with(api: Api) -> None:
    """The API that is asked dies in mid-answer; another one on its port serves the rest of the stream."""
    go_on = asyncio.Event()
    spoken = asyncio.Event()

    async def in_two_parts(runs: PlayedRuns, turn: TurnInput) -> None:
        async with runs.events.writer(turn.turn_id) as writer:
            writer.emit(EventKind.HOP_STARTED, shown(turn))
            offset = speak(writer, WORDS[:4])
            spoken.set()
            await go_on.wait()
            speak(writer, WORDS[4:], offset)
            await runs.finish(turn, writer)

    api.runs.play = in_two_parts
    port = free_port()
    elsewhere = api.state.settings.model_copy(update={"api_port": port})

    def another() -> Any:
        return serving(create_app(elsewhere, runs=api.runs), port)

    async with asyncio.timeout(30):
        async with another() as server:
            process = await started(api, "ask", "Why?", "--stream", "--api-url", f"http://{HOST}:{port}")
            await spoken.wait()
            assert process.stdout is not None
            head = await process.stdout.readexactly(len("".join(WORDS[:4])))
            # Cut off rather than told to go: what a killed process looks like from outside.
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            server.config.app.state.closing.set()
        async with another():
            go_on.set()
            ended = await outcome(process)
    assert ended == Ended(0, TEXT[len(head.decode()) :] + "\n", "")
    assert len(api.runs.started) == 1


async def test_show_tells_the_story(api: Api) -> None:
    question = "Why is [bold]the sky[/bold] blue?"
    async with api.client() as client:
        turn = await ask(client, {"input": question, "effort": 7})
    story = (await aither(api, "turn", "show", turn["id"])).out
    for part in (question, TEXT, "orchestrator", "answered", "7 → 9 tokens", turn["links"]["trace"]):
        assert part in story
    assert "effort 7" in story
    assert json.loads((await aither(api, "turn", "show", turn["id"], "--json")).out)["id"] == turn["id"]


async def test_list_and_cancel(api: Api) -> None:
    api.runs.play = never
    async with api.client() as client:
        _, turn = await ask(client, wait=None), await ask(client, wait=None)
    listed = await aither(api, "turn", "list", "--limit", "1", "--status", "running")
    assert turn["id"] in listed.out
    assert "aither turn list --cursor" in listed.out
    page = json.loads((await aither(api, "turn", "list", "--limit", "1", "--json")).out)
    assert [one["id"] for one in page["data"]] == [turn["id"]]
    for _ in range(2):
        cancelled = await aither(api, "turn", "cancel", turn["id"])
        assert (cancelled.code, cancelled.out) == (0, f"cancelled {turn['id']}\n")


async def test_keys_are_made_used_listed_and_revoked(api: Api) -> None:
    made = await aither(api, "key", "create", "for [tests]", "--tenant", "key-tester")
    secret = made.out.strip()
    assert re.fullmatch(r"ak_[\w-]{43}", secret)
    assert secret not in made.err
    assert (await aither(api, "ask", "Why?", AITHER_API_KEY=secret)).code == 0
    as_json = await aither(api, "key", "list", "--tenant", "key-tester", "--json")
    (listed,) = json.loads(as_json.out)
    assert (listed["name"], listed["shown"]) == ("for [tests]", secret[:8])
    assert secret not in as_json.out
    table = await aither(api, "key", "list", "--tenant", "key-tester")
    assert listed["id"] in table.out
    assert "for [tests]" in table.out
    revoked = await aither(api, "key", "revoke", listed["id"], "--tenant", "key-tester")
    assert revoked.code == 0
    assert "revoked" in (await aither(api, "key", "list", "--tenant", "key-tester")).out
    other = await aither(api, "key", "revoke", listed["id"], "--tenant", "someone-else")
    assert other.code == 2


async def test_without_a_database_keys_say_so(api: Api) -> None:
    ended = await aither(api, "key", "list", AITHER_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert (ended.code, "aither up" in ended.err) == (3, True)


@pytest.mark.parametrize(
    "words", ["ask", "turn", "turn show", "turn list", "turn cancel", "key", "key create", "key revoke"]
)
async def test_every_command_explains_itself(api: Api, words: str) -> None:
    ended = await aither(api, *words.split(), "--help")
    assert ended.code == 0
    assert "Usage: aither" in ended.out
    if words not in {"turn", "key"}:
        assert "Example: aither" in ended.out
