"""Fifty who decide at once, over REST, by webhook and as Telegram does: one wins, all others are told, one effect.

`AITHER_TEST_ROUNDS=500` runs as many rounds.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import httpx2
import pytest

from infra.postgres.keys import Role
from tests.approvals.desk import Api, Desk, message
from tests.approvals.gate import Gate
from workflows.approval_starts import wake_approval

ROUNDS = int(os.environ.get("AITHER_TEST_ROUNDS", "3"))
REST, BY_MESSAGE, TAPS = 20, 15, 15

pytestmark = pytest.mark.timeout(120 + 5 * ROUNDS)

Told = tuple[str, dict[str, Any]]
"""What came of a choice, and the decision that whoever made it was told."""


async def test_one_of_fifty_wins_and_all_others_are_told(api: Api, gate: Gate, operator: Desk) -> None:
    keys = [await api.key(gate, f"op{n}", role=Role.OPERATOR) for n in range(4)]
    keys.append(await api.key(gate, "anna's", person="anna"))
    endpoints = [await gate.webhooks.add(gate.tenant_id, None, ["*"]) for _ in range(3)]
    wins = Counter[str]()
    async with httpx2.AsyncClient(base_url=api.url, timeout=60) as http:
        for number in range(ROUNDS):
            wins[await one_round(number, gate, http, keys, [(e.id, secret) for e, secret in endpoints])] += 1
    assert wins.total() == ROUNDS
    print(f"{ROUNDS} rounds of {REST + BY_MESSAGE + TAPS}: won over {dict(wins)}")


async def one_round(
    number: int,
    gate: Gate,
    http: httpx2.AsyncClient,
    keys: list[str],
    endpoints: list[tuple[str, str]],
) -> str:
    """One approval, for which a workflow waits; the surface that won."""
    ask = gate.ask()
    handle = await gate.asked(ask)
    ref = gate.ref(ask.id)
    await gate.attended(ref)

    async def over_rest(n: int) -> Told:
        reply = await http.post(
            f"/v1/approvals/{ask.id}/decision",
            json={"option": "deny" if n % 2 else "approve"},
            headers={"Authorization": f"Bearer {keys[n % len(keys)]}"},
        )
        return told_of(reply)

    async def by_message(n: int) -> Told:
        endpoint, secret = endpoints[n % len(endpoints)]
        body = {"approval_id": ask.id, "option": "approve", "by": ("anna", "ben")[n % 2]}
        # Two of three come twice.
        reply = await message(http, endpoint, secret, body, message_id=f"m{number}-{n // 6}-{n % 3}")
        return told_of(reply)

    async def tap(n: int) -> Told:
        answer = await gate.decide(ref, ("anna", "ben")[n % 2], ("approve", "deny")[n % 2])
        if answer.verdict == "decided":
            # As every surface does.
            await wake_approval(gate.ground.client, ref)
        assert answer.decision is not None
        return answer.verdict, {"by": answer.decision.by, "decided_at": answer.decision.decided_at}

    choices = [*map(over_rest, range(REST)), *map(by_message, range(BY_MESSAGE)), *map(tap, range(TAPS))]
    chance = random.Random(number)

    async def at_some_time(choice: Coroutine[Any, Any, Told]) -> Told:
        # A tap makes no way over HTTP here: without this it would always be first.
        await asyncio.sleep(chance.uniform(0, 0.1))
        return await choice

    said = await asyncio.gather(*map(at_some_time, choices))
    counts = Counter(verdict for verdict, _ in said)
    assert counts["decided"] == 1, counts
    assert set(counts) <= {"decided", "closed", "replayed"}, counts
    (decision,) = await gate.told_what(handle)
    assert {decision["by"] for _, decision in said} == {decision.by}, "all are told the same, and who"
    events = Counter(event for event, _, _ in await gate.audit(ref))
    assert events == {"opened": 1, "decided": 1, "closed": counts["closed"]}
    return decision.surface


def told_of(reply: httpx2.Response) -> Told:
    body = reply.json()
    if reply.status_code == 200:
        return "replayed" if "webhook-replayed" in reply.headers else body["verdict"], body["decision"]
    assert reply.status_code == 409, reply.text
    decision = body["decision"]
    assert decision["by"] in body["detail"]
    assert decision["decided_at"][:10] in body["detail"]
    # A message that has come before is answered as it was, and is no line of the trail.
    return "replayed" if "webhook-replayed" in reply.headers else "closed", decision
