"""The database decides as the policy says, choice by choice, ask by ask."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.contracts.approvals import (
    Advance,
    Choice,
    Deciders,
    Escalation,
    Option,
    Scope,
    Surface,
    Verdict,
)
from infra.postgres.grants import PostgresGrants
from tests.approvals.gate import Gate
from workflows.policy.approvals import covers, judged, may_decide

ROLES = {"anna": ("operator",), "ben": ("operator", "finance"), "carol": (), "zoe": ()}
OPTIONS = (
    Option(key="big", label="Big", approves=True),
    Option(key="small", label="Small", approves=True),
    Option(key="deny", label="No", approves=False),
)


async def test_choices_are_worth_what_the_policy_says(gate: Gate) -> None:
    chance = random.Random(7)
    verdicts: set[Verdict] = set()
    for _ in range(40):
        then = (Escalation(after=timedelta(hours=1), people=("carol",), quorum=chance.choice((1, 2))),)
        deciders = Deciders(
            people=chance.choice(((), ("carol",), ("anna",))),
            roles=chance.choice((("operator",), ("finance", "operator"))),
            quorum=chance.choice((1, 2, 3)),
            then=then,
        )
        scopes = chance.choice(((Scope.ONCE,), (Scope.ONCE, Scope.ALWAYS)))
        ref = await gate.opened(
            deciders=deciders,
            options=OPTIONS,
            scopes=scopes,
            agent="a",
            action="b",
            fingerprint=str(chance.random()),
        )
        for _ in range(6):
            if chance.random() < 0.15:
                await gate.store.advance(Advance(ref=ref, stage=1, reminded=0))
            view = await gate.store.view(ref)
            assert view is not None
            who = chance.choice(list(ROLES))
            choice = Choice(
                by=who,
                option=chance.choice(("big", "big", "small", "deny", "huge")),
                scope=chance.choice((Scope.ONCE, Scope.ONCE, Scope.ALWAYS)),
                surface=Surface.TELEGRAM,
            )
            may = who != "zoe" and may_decide(deciders, view.stage, who, ROLES[who])
            expected = judged(view, choice, may=may)
            answer = await gate.store.decide(ref, choice)
            assert answer.verdict is expected, (choice, view)
            verdicts.add(expected)
    assert verdicts == set(Verdict) - {Verdict.NOT_FOUND}


async def test_grants_answer_what_the_policy_says(gate: Gate) -> None:
    chance = random.Random(11)
    given: dict[str, Any] = {
        "agent": "bot",
        "action": "deploy",
        "fingerprint": "f",
        "conversation_id": "c1",
        "scopes": tuple(Scope),
        "grant_most_usd": 1.0,
    }
    ref = await gate.opened(**given)
    answer = await gate.decide(ref, "anna", scope=Scope.CONVERSATION)
    assert answer.decision is not None
    grant = await PostgresGrants(gate.ground.database).get(gate.tenant_id, answer.decision.grant_id)
    outcomes: set[bool] = set()
    for _ in range(40):
        ask = gate.planned(
            agent="bot",
            action=chance.choice(("deploy", "deploy", "deploy", "eat")),
            fingerprint=chance.choice(("f", "f", "f", "g")),
            conversation_id=chance.choice(("c1", "c1", "c1", "c2", None)),
            cost_usd=chance.choice((None, 0.5, 1.0, 2.0)),
            leaves_building=chance.random() < 0.2,
        )
        expected = covers(grant, ask, datetime.now(UTC))
        opened = await gate.store.open(ask, "bot", Surface.WORKFLOW)
        assert (opened.decision is not None) == expected, ask
        outcomes.add(expected)
    assert outcomes == {True, False}
