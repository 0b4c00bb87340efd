from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from activities.contracts.policy import BreakerRules
from workflows.policy.breaker import Block, Breaker, Let, Phase, abandon, admit, look, report

RULES = BreakerRules()
DOWN = "backend_unavailable"


def fail(breaker: Breaker, now: float, rules: BreakerRules = RULES) -> Breaker:
    breaker, let = admit(breaker, rules, now)
    assert isinstance(let, Let)
    return report(breaker, rules, now, let.ticket, code=DOWN)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(RULES.failures_in_row):
        breaker = fail(breaker, now)
    assert breaker.phase is Phase.OPEN
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_does_not() -> None:
    breaker = fail(fail(Breaker(), 0), 0)
    breaker = report(breaker, RULES, 0, breaker.ticket)
    assert fail(fail(breaker, 0), 0).phase is Phase.CLOSED


def test_a_rate_of_failures_opens_it() -> None:
    breaker, rules = Breaker(), replace(RULES, failures_in_row=99)
    for n in range(rules.rate_least):
        assert breaker.phase is Phase.CLOSED
        breaker = report(breaker, rules, 0, breaker.ticket, code=DOWN if n % 2 else None)
    assert breaker.phase is Phase.OPEN


@pytest.mark.parametrize("code", ["backend_rejected", "context_too_long", "answer_empty"])
def test_a_refused_request_shows_that_the_backend_is_there(code: str) -> None:
    breaker = Breaker()
    for _ in range(20):
        breaker = report(breaker, RULES, 0, breaker.ticket, code=code)
    assert breaker.phase is Phase.CLOSED


def test_one_probe_at_a_time_and_its_success_closes() -> None:
    breaker, let = admit(opened(), RULES, 1.0)
    assert isinstance(let, Let)
    assert let.probe
    assert isinstance(admit(breaker, RULES, 1.1)[1], Block)
    assert report(breaker, RULES, 1.2, let.ticket).phase is Phase.CLOSED


def test_open_times_double_up_to_the_cap_and_calm_forgets_them() -> None:
    breaker, now, waits = opened(), 0.0, list[float]()
    for _ in range(8):
        waits.append(breaker.until - now)
        now = breaker.until
        breaker = fail(breaker, now)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    breaker, let = admit(breaker, RULES, breaker.until)
    assert isinstance(let, Let)
    breaker = report(breaker, RULES, now, let.ticket)
    flapping = breaker
    for _ in range(3):
        flapping = fail(flapping, now + 1)
    assert flapping.until - (now + 1) == RULES.max_open_s
    later = now + RULES.calm_s
    for _ in range(3):
        breaker = fail(breaker, later)
    assert breaker.until - later == RULES.first_open_s


def test_a_recovered_backend_is_back_within_the_longest_open_time() -> None:
    breaker, recovers_at, now = opened(), 500.0, 0.0
    while True:
        now = max(now + 0.25, 0)
        breaker, let = admit(breaker, RULES, now)
        if isinstance(let, Let):
            breaker = report(breaker, RULES, now, let.ticket, code=DOWN if now < recovers_at else None)
        if breaker.phase is Phase.CLOSED:
            break
    assert now <= recovers_at + RULES.max_open_s + 0.25


def test_retry_after_opens_until_then_and_never_shortens() -> None:
    breaker = report(Breaker(), RULES, 10, 0, code="backend_rate_limited", retry_after_s=20)
    assert isinstance(admit(breaker, RULES, 29.9)[1], Block)
    assert isinstance(admit(breaker, RULES, 30)[1], Let)
    shorter = report(breaker, RULES, 11, 0, code="backend_rate_limited", retry_after_s=1)
    assert shorter.until == 30
    forever = report(Breaker(), RULES, 0, 0, code="backend_rate_limited", retry_after_s=1e12)
    assert forever.until == RULES.max_retry_after_s


def test_late_reports_say_nothing_about_now() -> None:
    _, early = admit(Breaker(), RULES, 0)
    assert isinstance(early, Let)
    breaker = opened()
    assert report(breaker, RULES, 0.5, early.ticket) == breaker
    probing, probe = admit(breaker, RULES, 1)
    assert isinstance(probe, Let)
    assert report(probing, RULES, 1.1, early.ticket) == probing
    closed = report(probing, RULES, 1.2, probe.ticket)
    assert report(closed, RULES, 1.3, early.ticket, code=DOWN) == closed


def test_a_lost_or_abandoned_probe_does_not_block_for_good() -> None:
    breaker, let = admit(opened(), RULES, 1)
    assert isinstance(let, Let)
    assert isinstance(admit(breaker, RULES, 1 + RULES.probe_s)[1], Let)
    assert isinstance(admit(abandon(breaker, 2, let.ticket), RULES, 2)[1], Let)
    assert abandon(breaker, 2, let.ticket - 1) == breaker


def test_looking_moves_nothing() -> None:
    breaker = opened()
    assert isinstance(look(breaker, RULES, 0.5), Block)
    assert look(breaker, RULES, 1.0) is None
    assert breaker.phase is Phase.OPEN


@pytest.mark.parametrize(
    "wrong", [{"failures_in_row": 0}, {"rate": 0}, {"first_open_s": 99}, {"rate_calls": 61}]
)
def test_rules_that_cannot_be_kept_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        replace(RULES, **wrong)


class Calls(RuleBasedStateMachine):
    """Calls come, end well or badly, get lost or are given up, at any time."""

    @initialize(
        row=st.integers(1, 4), first=st.floats(0.1, 2), longest=st.floats(2, 10), calm=st.floats(0, 20)
    )
    def start(self, row: int, first: float, longest: float, calm: float) -> None:
        self.kept = BreakerRules(
            failures_in_row=row, first_open_s=first, max_open_s=longest, calm_s=calm, probe_s=5.0
        )
        self.breaker, self.now = Breaker(), 0.0
        self.flying: list[Let] = []
        self.shut_until = 0.0
        self.probes: list[tuple[int, float]] = []

    @rule(seconds=st.floats(0, 12))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        before = self.breaker
        self.breaker, let = admit(before, self.kept, self.now)
        blocked = look(before, self.kept, self.now)
        assert (blocked is None) == isinstance(let, Let)
        if isinstance(let, Block):
            assert self.breaker == before
            assert before.phase is not Phase.CLOSED
            assert let.why
            return
        assert self.now >= self.shut_until, "admitted before its time"
        assert let.probe == (before.phase is not Phase.CLOSED)
        if let.probe:
            current = [at for ticket, at in self.probes if ticket == before.ticket]
            assert all(self.now - at >= self.kept.probe_s for at in current), "two probes at once"
            self.probes.append((let.ticket, self.now))
        self.flying.append(let)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), code=st.sampled_from([None, DOWN, "backend_rejected"]))
    def ends(self, data: st.DataObject, code: str | None) -> None:
        let, before = self._land(data), self.breaker
        self.breaker = report(before, self.kept, self.now, let.ticket, code=code)
        if let.probe and let.ticket == before.ticket and before.phase is Phase.HALF_OPEN:
            assert self.breaker.phase is (Phase.OPEN if code == DOWN else Phase.CLOSED)
        if self.breaker.phase is Phase.OPEN and before.phase is not Phase.OPEN:
            self._opened()

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), seconds=st.floats(0.1, 30))
    def is_rate_limited(self, data: st.DataObject, seconds: float) -> None:
        let = self._land(data)
        self.breaker = report(
            self.breaker, self.kept, self.now, let.ticket, code="backend_rate_limited", retry_after_s=seconds
        )
        self.shut_until = max(self.shut_until, self.now + seconds)
        assert self.breaker.phase is Phase.OPEN
        assert self.breaker.until >= self.now + seconds

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def is_given_up(self, data: st.DataObject) -> None:
        self.breaker = abandon(self.breaker, self.now, self._land(data).ticket)

    @invariant()
    def some_time_always_admits(self) -> None:
        if not hasattr(self, "breaker"):
            return
        later = self.now + 40 + self.kept.probe_s
        assert look(self.breaker, self.kept, later) is None
        assert self.breaker.recent < 1 << self.kept.rate_calls

    def _land(self, data: st.DataObject) -> Let:
        return self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))

    def _opened(self) -> None:
        open_s = self.breaker.until - self.now
        assert self.kept.first_open_s * 0.999 <= open_s <= self.kept.max_open_s * 1.001
        self.shut_until = max(self.shut_until, self.breaker.until)


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
