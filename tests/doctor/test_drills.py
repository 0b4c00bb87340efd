"""The drills pass on what is built here, and fail on what is not: a scorecard that cannot fail says nothing."""

import asyncio
from dataclasses import replace

import pytest

from activities.contracts.backends import Backend, Capability, Dialect, Ladder
from activities.contracts.policy import Barred, BreakerRules
from activities.contracts.topology import Topology
from workers.breakers import BreakerBoard
from workers.doctor.drills import DRILLS
from workers.doctor.ground import Drill, score

LIKE = Backend(
    name="spark",
    dialect=Dialect.VLLM,
    base_url="http://spark.invalid/v1",
    model="spark-model",
    capabilities=(Capability.PREFILL, Capability.TOKENIZE),
)
TOPOLOGY = Topology(
    backends=(LIKE,),
    ladders=(Ladder(name="auto", answer=()),),
    breaker=BreakerRules(first_open_s=0.2, max_open_s=1.0),
)


@pytest.mark.parametrize("dialect", [Dialect.VLLM, Dialect.DEEPSEEK])
async def test_every_fault_is_survived(dialect: Dialect) -> None:
    like = replace(LIKE, dialect=dialect)
    scored = await asyncio.gather(*(score(drill, TOPOLOGY, like) for drill in DRILLS))
    assert {each.name: each.happened for each in scored if not each.passed} == {}


async def test_a_breaker_that_never_opens_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: BreakerBoard) -> tuple[Barred, ...]:
        return ()

    monkeypatch.setattr(BreakerBoard, "barred", nothing)
    scored = await score(_drill("503 for long"), TOPOLOGY, LIKE)
    assert not scored.passed
    assert "breaker is closed" in scored.happened


async def test_a_replaced_model_that_passes_for_the_asked_one_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def believe(backend: Backend, served: str) -> None:
        del backend, served

    monkeypatch.setattr("activities.rulings.check_served", believe)
    scored = await score(_drill("another model than asked"), TOPOLOGY, LIKE)
    assert not scored.passed


def _drill(name: str) -> Drill:
    return next(drill for drill in DRILLS if drill.name == name)
