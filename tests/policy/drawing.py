"""Plans drawn at random: small ladders whose rungs share models and backends, under any policy."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from activities.contracts.backends import Ladder, Price, Rung
from activities.contracts.policy import (
    ApproveCloud,
    BackendTerms,
    Caps,
    ClimbPlan,
    RepeatRules,
    TurnPolicy,
)
from tests.policy.climbing import rung

USD = st.none() | st.sampled_from([0.0, 0.001, 0.02, 1.0])


@st.composite
def chains(draw: st.DrawFn, prefix: str, least: int) -> tuple[Rung, ...]:
    size = draw(st.integers(least, 4))
    return tuple(
        replace(
            rung(
                f"{prefix}{n}",
                cloud=draw(st.booleans()),
                model=draw(st.sampled_from(["m1", "m2", "m3", "m4"])),
                backend=draw(st.sampled_from(["b1", "b2", "b3", "b4", "b5"])),
            ),
            exact=draw(st.integers(0, 4)) == 0,
        )
        for n in range(size)
    )


@st.composite
def plans(draw: st.DrawFn) -> ClimbPlan:
    allowed = st.none() | st.lists(st.sampled_from(["m1", "m2", "m3"]), max_size=3).map(tuple)
    policy = TurnPolicy(
        local_only=draw(st.booleans()),
        allowed_models=draw(allowed),
        caps=Caps(turn_usd=draw(USD), tenant_day_usd=draw(USD), tenant_month_usd=draw(USD)),
        approve_cloud=draw(st.sampled_from(ApproveCloud)),
        approve_above_usd=draw(USD),
        compose=draw(st.booleans()),
    )
    terms = tuple(
        BackendTerms(
            backend=f"b{n}",
            window_tokens=draw(st.sampled_from([2_000, 8_192, 100_000])),
            price=draw(st.none() | st.just(Price(input_usd=1.5, output_usd=6.0, read_on="2026-11-01"))),
        )
        for n in range(1, 6)
    )
    return ClimbPlan(
        ladder=Ladder(name="any", answer=draw(chains("a", 1)), reason=draw(chains("r", 0))),
        effort=draw(st.integers(1, 10)),
        terms=terms,
        policy=policy,
        repeats=RepeatRules(times=draw(st.integers(0, 3)), first=timedelta(seconds=0.5)),
    )
