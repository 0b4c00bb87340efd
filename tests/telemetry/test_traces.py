"""One trace a turn, from the request to the model server; nothing of what was said in it."""

import asyncio
import re

from infra.telemetry.trace_ids import trace_id_of
from tests.support.collector import Span
from tests.support.standin import Fault, Reply
from tests.telemetry.installed import Installed

REASON = Reply(tool_calls=(("reason", '{"question": "canary-prompt-marmalade-7431, says the front"}'),))
CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


async def trace_of(installed: Installed, trace: str) -> dict[str, list[Span]]:
    """A trace by the names of its spans, once its workflow and its request have ended."""
    ends = {"RunWorkflow:user-turn", "POST /v1/turns"}
    await installed.collector.until(
        lambda spans: ends <= {span.name for span in spans if span.trace == trace}
    )
    found: dict[str, list[Span]] = {}
    for span in installed.collector.of(trace):
        found.setdefault(span.name, []).append(span)
    return found


async def test_a_turn_that_climbs_is_one_trace_from_the_request_to_both_backends(
    installed: Installed,
) -> None:
    installed.front.script(REASON)
    turn = await installed.ask(effort=8)
    assert [hop["outcome"] for hop in turn["route"]] == ["escalated", "answered"]
    trace = trace_id_of(turn["id"])
    spans = await trace_of(installed, trace)
    of_turn = {span.trace for span in installed.collector.spans if turn["id"] in span.wire}
    assert of_turn == {trace}

    (request,), (start,) = spans["POST /v1/turns"], spans["StartWorkflow:user-turn"]
    (run,) = spans["RunWorkflow:user-turn"]
    asked, calls = spans["StartActivity:chat"], spans["RunActivity:chat"]
    posts = spans["POST /v1/chat/completions"]
    assert request.parent == "" and request.kind == "server" and request.service == "aither-api"
    assert request.attributes["http.route"] == "/v1/turns"
    assert request.attributes["http.response.status_code"] == 200
    assert (start.parent, run.parent) == (request.id, start.id)
    assert run.service == "aither-worker" and "turns" in run.resource["aither.fleets"]
    assert [each.parent for each in asked] == [run.id, run.id]
    assert [each.parent for each in calls] == [each.id for each in asked]
    assert [each.parent for each in posts] == [each.id for each in calls]
    assert {each.kind for each in posts} == {"client"}
    known = {span.id for each in spans.values() for span in each}
    assert all(span.parent in known for each in spans.values() for span in each if span is not request)

    first, second = (each.attributes for each in calls)
    assert (first["aither.rung"], first["aither.backend"], first["aither.outcome"]) == (
        "front",
        "front",
        "escalated",
    )
    assert (second["aither.backend"], second["aither.outcome"]) == ("deep", "answered")
    assert second["gen_ai.request.model"] == second["gen_ai.response.model"] == "deep-model"
    assert second["gen_ai.usage.output_tokens"] == turn["route"][1]["completion_tokens"] > 0
    assert second["aither.cost_nano_usd"] == round(turn["route"][1]["cost_usd"] * 1e9) > 0
    assert second["aither.turn.id"] == turn["id"]
    assert {"aither.queue_ms", "aither.first_token_ms", "aither.run_ms"} <= second.keys()

    told = installed.front.calls[-1].headers["traceparent"]
    assert told == f"00-{trace}-{posts[0].id}-01" or told.startswith(f"00-{trace}-{posts[0].id}-")
    assert "traceparent" not in installed.deep.calls[-1].headers


async def test_no_span_tells_what_was_said_or_any_key(installed: Installed) -> None:
    """Also where a backend refuses in the prompt's own words, and where it breaks off."""
    quoting = Reply(status=400, error="you said: what is canary-prompt-marmalade-7431, and a marmalade it is")
    installed.front.script(quoting, Reply(fault=Fault.RESET, fault_after=2))
    for _ in range(2):
        async with installed.client() as client:
            reply = await client.post(
                "/v1/turns", json={"input": "canary-prompt-marmalade-7431?"}, headers={"Prefer": "wait=30"}
            )
        turn = reply.json()
        spans = await trace_of(installed, trace_id_of(turn["id"]))
        assert spans["RunActivity:chat"][0].attributes["aither.outcome"] == "failed"
        assert spans["RunActivity:chat"][0].attributes["error.type"].startswith("backend_")
    for span in installed.collector.spans:
        for canary in installed.canaries:
            assert canary not in span.wire, span
        for name, attributes in span.events:
            assert name != "exception" or attributes.keys() == {"exception.type"}


async def test_a_callers_trace_goes_on(installed: Installed) -> None:
    turn = await installed.ask(headers={"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01"})
    spans = await trace_of(installed, CALLER)
    (request,) = spans["POST /v1/turns"]
    assert request.parent == "00f067aa0ba902b7"
    assert spans["RunWorkflow:user-turn"][0].attributes["aither.turn.id"] == turn["id"]
    assert trace_id_of(turn["id"]) not in {span.trace for span in installed.collector.spans}


async def test_a_repeated_request_joins_the_trace_of_its_turn(installed: Installed) -> None:
    key = {"Idempotency-Key": "trace-me-once"}
    turn = await installed.ask(headers=key)
    assert (await installed.ask(headers=key))["id"] == turn["id"]
    trace = trace_id_of(turn["id"])
    await installed.collector.until(
        lambda spans: [s.name for s in spans if s.trace == trace].count("POST /v1/turns") == 2
    )
    first, second = (span for span in installed.collector.of(trace) if span.name == "POST /v1/turns")
    assert (first.parent, second.parent) == ("", first.id)


async def test_the_next_turn_of_a_conversation_has_a_trace_of_its_own(installed: Installed) -> None:
    """It is started by the end of the one before it, in another trace; its request was the root."""
    installed.front.script(Reply(tokens=3, hold_after=1))
    before = installed.front.total
    async with installed.client() as client:
        first = (await client.post("/v1/turns", json={"input": "first"})).json()
        await installed.front.arrived(before + 1, within_s=30)
        body = {"input": "second", "conversation_id": first["conversation_id"]}
        second = (await client.post("/v1/turns", json=body)).json()
        assert second["status"] == "queued"
        async with client.stream("GET", f"/v1/turns/{first['id']}/events") as events:
            async for line in events.aiter_lines():
                if "token" in line:
                    installed.front.release()
                    break
    spans = await trace_of(installed, trace_id_of(second["id"]))
    (request,), (start,) = spans["POST /v1/turns"], spans["StartWorkflow:user-turn"]
    assert start.parent == request.id and start.service == "aither-worker"
    before = await trace_of(installed, trace_id_of(first["id"]))
    linked = {link for span in before["RunActivity:start-turn"] for link in span.links}
    assert linked == {(request.trace, request.id)}


async def test_sweeps_scrapes_and_polls_begin_no_traces(installed: Installed) -> None:
    async with installed.client(installed.operator) as client:
        for path in ("/metrics", "/v1/scheduler", "/v1/gpu/cards", "/v1/turns", "/nothing-here"):
            await client.get(path)
    turn = await installed.ask()
    await trace_of(installed, trace_id_of(turn["id"]))
    # What was begun before that turn has been sent before it, or with it.
    assert not [s.name for s in installed.collector.spans if re.search(r"sweep|GET |gpu-card|Query", s.name)]


async def test_a_collector_that_is_away_costs_nothing_but_its_traces(installed: Installed) -> None:
    await installed.collector.close()
    before = len(installed.worker.lines)
    turns = await asyncio.gather(*(installed.ask() for _ in range(5)))
    assert {turn["status"] for turn in turns} == {"completed"}
    await installed.collector.open()
    # Until the processes have found out, and found it back, there is a line of each for each.
    told = ("traces are lost", "takes traces again")
    async with asyncio.timeout(60):
        while True:
            turn = await installed.ask()
            if any(turn["id"] in span.wire for span in installed.collector.spans):
                break
            await asyncio.sleep(0.1)
    lines = [line for line in installed.worker.lines[before:] if "opentelemetry" in line["logger"]]
    assert not [line for line in lines if line["level"] in {"warning", "error", "critical"}]
    ours = [line for line in installed.worker.lines[before:] if line["message"].startswith(told[0])]
    assert len(ours) <= 1
