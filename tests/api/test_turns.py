"""Asking, looking, listing, cancelling: what a client of the REST surface may rely on."""

import asyncio
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from activities.contracts.events import EventKind
from activities.contracts.turn import TurnInput
from api.models import TurnAccepted, TurnPage, TurnView, TurnWithInput
from tests.api.conftest import Api, ask
from tests.api.playing import TEXT, PlayedRuns, answers, fails, never, shown


async def test_waiting_gives_the_ended_turn(api: Api, client: httpx2.AsyncClient) -> None:
    reply = await client.post("/v1/turns", json={"input": "Why?"}, headers={"Prefer": "wait=10"})
    assert reply.status_code == 200
    turn = reply.json()
    TurnView.model_validate(turn)
    assert turn["answer"]["text"] == TEXT
    assert reply.headers["preference-applied"] == "wait=10"
    assert reply.headers["location"] == f"/v1/turns/{turn['id']}"
    assert turn["links"]["trace"].endswith(f"/namespaces/default/workflows/turn%2F{turn['id']}")


async def test_not_waiting_gives_202_with_links(api: Api, client: httpx2.AsyncClient) -> None:
    reply = await client.post("/v1/turns", json={"input": "Why?"})
    assert reply.status_code == 202
    turn = reply.json()
    TurnAccepted.model_validate(turn)
    assert (await client.get(turn["links"]["self"])).status_code == 200


async def test_a_wait_that_is_over_changes_nothing(api: Api, client: httpx2.AsyncClient) -> None:
    api.runs.play = never
    turn = await ask(client, wait=0)
    assert turn["status"] == "running"
    async with api.state.events.writer(turn["id"]) as writer:
        await api.runs.finish(api.runs.started[0], writer)
    assert (await client.get(turn["links"]["self"])).json()["status"] == "completed"


async def test_a_failed_turn_is_a_result_too(api: Api, client: httpx2.AsyncClient) -> None:
    api.runs.play = fails
    turn = await ask(client)
    assert turn["status"] == "failed"
    assert turn["answer"] is None
    assert turn["error"] == {"code": "backend_unavailable", "message": "nobody is there; try again later"}


async def test_the_view_keeps_what_was_asked(api: Api, client: httpx2.AsyncClient) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look it up"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "name": "find", "arguments": "{}"}]},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
    ]
    body = {"input": messages, "effort": 7, "priority": 4, "metadata": {"ticket": "4711", "é": "💡"}}
    turn = await ask(client, body)
    seen = (await client.get(f"/v1/turns/{turn['id']}")).json()
    TurnWithInput.model_validate(seen)
    assert (seen["effort"], seen["effort_why"], seen["priority"]) == (7, "asked for", 4)
    assert seen["metadata"] == body["metadata"]
    assert [m["role"] for m in seen["input"]] == ["system", "user", "assistant", "tool"]
    assert {k: v for k, v in seen.items() if k != "input"} == turn


async def test_only_a_short_line_of_the_text_reaches_the_trace(api: Api, client: httpx2.AsyncClient) -> None:
    await ask(client, {"input": "first line\n\tsecond   line " + "x" * 1000})
    preview = api.runs.started[0].preview
    assert preview.startswith("first line second line xxx")
    assert len(preview) == 48


async def test_turns_of_one_conversation_are_answered_in_order(api: Api, client: httpx2.AsyncClient) -> None:
    go = asyncio.Event()

    async def when_told(runs: PlayedRuns, turn: TurnInput) -> None:
        await go.wait()
        await answers(runs, turn)

    api.runs.play = when_told
    first = await ask(client, wait=None)
    conversation = first["conversation_id"]
    others = [
        await ask(client, {"input": f"and {n}?", "conversation_id": conversation}, wait=None)
        for n in range(3)
    ]
    assert [turn["status"] for turn in others] == ["queued"] * 3
    assert len(api.runs.started) == 1
    go.set()
    wanted = [first["id"], *(turn["id"] for turn in others)]
    for turn_id in wanted:
        view = await api.state.turns.wait(await _caller(api), turn_id, 10)
        assert view is not None
        assert view["status"] == "completed"
    assert [turn.turn_id for turn in api.runs.started] == wanted


async def test_a_repeated_request_is_the_same_turn(api: Api, client: httpx2.AsyncClient) -> None:
    first = await ask(client, {"input": "once", "effort": 2}, Idempotency_Key="repeat-1")
    reply = await client.post(
        "/v1/turns",
        content='{ "effort": 2,\n"input": "once"}',
        headers={"Idempotency-Key": "repeat-1", "Content-Type": "application/json"},
    )
    assert reply.status_code == 200
    assert reply.headers["idempotency-replayed"] == "true"
    assert reply.json() == first
    other = await client.post("/v1/turns", json={"input": "twice"}, headers={"Idempotency-Key": "repeat-1"})
    assert other.status_code == 409
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_one_key_at_once_makes_one_turn(api: Api, client: httpx2.AsyncClient) -> None:
    turns, conversations = await api.stores.count("turns"), await api.stores.count("conversations")
    body, headers = {"input": "all at once"}, {"Idempotency-Key": "at-once", "Prefer": "wait=10"}
    replies = await asyncio.gather(
        *(client.post("/v1/turns", json=body, headers=headers) for _ in range(12)),
        *(client.post("/v1/turns", json={"input": "other"}, headers=headers) for _ in range(3)),
    )
    served = {reply.json()["id"] for reply in replies if reply.status_code == 200}
    assert len(served) == 1
    assert {reply.status_code for reply in replies} == {200, 409}
    assert await api.stores.count("turns") == turns + 1
    assert await api.stores.count("conversations") == conversations + 1


async def test_one_tenants_key_is_free_for_another(api: Api, client: httpx2.AsyncClient) -> None:
    mine = await ask(client, Idempotency_Key="shared")
    async with api.client(await api.new_key("rival")) as rival:
        theirs = await ask(rival, {"input": "something else"}, Idempotency_Key="shared")
    assert mine["id"] != theirs["id"]


async def test_pages_show_every_turn_once(api: Api) -> None:
    async with api.client(await api.new_key("pager")) as client:
        made = [(await ask(client, {"input": f"question {n}"}, wait=None))["id"] for n in range(7)]
        seen: list[str] = []
        address: str | None = "/v1/turns?limit=3"
        pages = 0
        while address:
            page = (await client.get(address)).json()
            TurnPage.model_validate(page)
            seen += [turn["id"] for turn in page["data"]]
            address = page["links"]["next"]
            pages += 1
            if address:
                assert dict(parse_qsl(urlsplit(address).query))["limit"] == "3"
            # A turn that comes while somebody turns the pages must not shift them.
            await ask(client, {"input": "in between"}, wait=None)
        assert pages == 3
        assert seen == sorted(made, reverse=True)


async def test_lists_are_filtered(api: Api) -> None:
    async with api.client(await api.new_key("filterer")) as client:
        done = await ask(client)
        api.runs.play = fails
        failed = await ask(client)
        for query, wanted in (
            ("status=completed", done),
            ("status=failed", failed),
            (f"conversation_id={failed['conversation_id']}", failed),
        ):
            page = (await client.get(f"/v1/turns?{query}")).json()
            assert [turn["id"] for turn in page["data"]] == [wanted["id"]]


async def test_cancelling_stops_a_turn_and_starts_the_next(api: Api, client: httpx2.AsyncClient) -> None:
    api.runs.play = never
    running = await ask(client, wait=None)
    body = {"input": "next", "conversation_id": running["conversation_id"]}
    queued, last = await ask(client, body, wait=None), await ask(client, body, wait=None)
    reply = await client.post(queued["links"]["cancel"])
    assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")
    assert api.runs.cancelled == []
    api.runs.play = answers
    reply = await client.post(running["links"]["cancel"])
    assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")
    assert api.runs.cancelled == [running["id"]]
    ended = await api.state.turns.wait(await _caller(api), last["id"], 10)
    assert ended is not None
    assert ended["status"] == "completed"
    again = await client.post(running["links"]["cancel"])
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    assert api.runs.cancelled == [running["id"]]


async def test_a_turn_that_takes_its_time_to_stop_is_202(
    api: Api, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.turns.CANCEL_PATIENCE_S", 0.05)
    api.runs.play, api.runs.stops_on_cancel = never, False
    turn = await ask(client, wait=None)
    reply = await client.post(turn["links"]["cancel"])
    assert (reply.status_code, reply.json()["status"]) == (202, "running")


async def test_without_temporal_turns_are_accepted_and_can_be_cancelled(
    api: Api, client: httpx2.AsyncClient
) -> None:
    api.runs.up = False
    turn = await ask(client, wait=None)
    assert turn["status"] == "running"
    waiting = asyncio.create_task(api.state.turns.wait(await _caller(api), turn["id"], 10))
    reply = await client.post(turn["links"]["cancel"])
    assert reply.json()["status"] == "cancelled"
    ended = await waiting
    assert ended is not None
    assert ended["status"] == "cancelled"


async def test_cancelling_a_turn_that_never_started_starts_who_waits(
    api: Api, client: httpx2.AsyncClient
) -> None:
    api.runs.up = False
    lost = await ask(client, wait=None)
    api.runs.up = True
    waiting = await ask(client, {"input": "x", "conversation_id": lost["conversation_id"]}, wait=None)
    assert waiting["status"] == "queued"
    await client.post(lost["links"]["cancel"])
    ended = await api.state.turns.wait(await _caller(api), waiting["id"], 10)
    assert ended is not None
    assert ended["status"] == "completed"


async def test_a_client_waits_through_a_stream_of_tokens_and_wakes_once(
    api: Api, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    real = api.state.events.read_end

    async def counted(turn_id: str, *, block_ms: int) -> object:
        nonlocal reads
        reads += 1
        return await real(turn_id, block_ms=block_ms)

    async def chatty(runs: PlayedRuns, turn: TurnInput) -> None:
        async with runs.events.writer(turn.turn_id) as writer:
            writer.emit(EventKind.HOP_STARTED, shown(turn))
            for n in range(50):
                writer.emit(EventKind.TOKEN, {"text": "x", "offset": n})
                await asyncio.sleep(0)
            await runs.finish(turn, writer, "x" * 50)

    monkeypatch.setattr(api.state.events, "read_end", counted)
    api.runs.play = chatty
    assert (await ask(client))["answer"]["text"] == "x" * 50
    assert reads == 1


async def _caller(api: Api):
    caller = await api.state.keys.authenticate(api.key)
    assert caller is not None
    return caller
