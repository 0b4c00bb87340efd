"""Whom to ask next: invariants over every way that rungs can fail."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from activities.contracts.turn import Hop, HopOutcome
from tests.support.turns import rung
from workflows.policy.fallback import ROUNDS, TRANSIENT, Ask, Failure, GiveUp, next_ask

CODES = (*sorted(TRANSIENT), "backend_rejected", "context_too_long", "pool_full", "model_missing")


@given(
    st.integers(1, 5),
    st.lists(st.sampled_from(CODES), min_size=40, max_size=40),
    st.none() | st.integers(0, 100).map(lambda s: timedelta(seconds=s)),
)
def test_every_rung_is_asked_once_before_any_twice_and_rejections_never_repeat(
    rungs: int, codes: list[str], retry_after: timedelta | None
) -> None:
    chain = [rung(f"r{i}", f"q{i}") for i in range(rungs)]
    failures: list[Failure] = []
    route: list[Hop] = []
    asked: list[str] = []
    for code in codes:
        ask = next_ask(chain, failures, route)
        if isinstance(ask, GiveUp):
            break
        if failures and ask.rung.name in asked:
            last = [f for f in failures if f.rung == ask.rung.name][-1]
            assert last.code in TRANSIENT
            assert ask.pause >= (retry_after or timedelta())
            assert set(asked) == {r.name for r in chain}
        asked.append(ask.rung.name)
        failures.append(Failure(rung=ask.rung.name, code=code, retry_after=retry_after))
        route.append(_hop(ask, code))
    else:
        raise AssertionError("it never gave up")
    assert asked[:rungs] == [r.name for r in chain]
    assert len(asked) <= rungs + ROUNDS
    assert all(name in ask.error.message for name in asked)


def _hop(ask: Ask, code: str) -> Hop:
    return Hop(
        step=0,
        rung=ask.rung.name,
        pool=ask.rung.pool,
        backend=ask.rung.backend,
        model=ask.rung.model,
        outcome=HopOutcome.FAILED,
        why=f"{code}: scripted",
    )
