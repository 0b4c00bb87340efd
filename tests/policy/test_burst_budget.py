"""Money: no cap is passed while prices stay as they are, and by one interval's billing at most when they do not."""

import os
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.contracts.lease_views import Creation, EndCode, LeaseView, Spending
from activities.contracts.leases import LeaseState
from tests.policy.renting import NOON, lease, need, offer
from workflows.policy.burst_budget import BurstCaps, may_rent, outlook, overruns
from workflows.policy.offers import appraise

CHECK, WIND_DOWN = timedelta(seconds=30), timedelta(seconds=60)
AHEAD = CHECK + WIND_DOWN
NOTHING = Spending(day_usd=0, month_usd=0)


@dataclass
class Rented:
    """A box as it is: what it bills by the second, and when it will be gone."""

    usd_per_hour: float
    born: float
    dies: float | None = None
    spent: float = 0.0
    download: float = 0.0


@dataclass
class World:
    """Boxes that bill for each second, and a house that looks every `CHECK` and otherwise knows nothing."""

    caps: BurstCaps
    lease_usd: float
    boxes: dict[str, Rented] = field(default_factory=dict[str, Rented])
    now_s: float = 0.0
    day_usd: float = 0.0
    booked_day: float = 0.0
    billed_to: float = 0.0
    seen_rate: dict[str, float] = field(default_factory=dict[str, float])

    def views(self) -> list[LeaseView]:
        now = NOON + timedelta(seconds=self.now_s)
        return [
            lease(
                name,
                lease_usd=self.lease_usd,
                now=now,
                usd_per_hour=self.seen_rate[name],
                intended_at=NOON + timedelta(seconds=box.born),
                billed_to=NOON + timedelta(seconds=max(self.billed_to, box.born)),
                spent_usd=self.booked[name],
                ending_code=EndCode.DAY_CAP if box.dies is not None else None,
            )
            for name, box in self.boxes.items()
            if box.dies is None or box.dies > self.now_s
        ]

    booked: dict[str, float] = field(default_factory=dict[str, float])

    def pass_time(self, seconds: float) -> None:
        for box in self.boxes.values():
            until = self.now_s + seconds if box.dies is None else min(box.dies, self.now_s + seconds)
            usd = max(0.0, until - self.now_s) * box.usd_per_hour / 3600
            box.spent += usd
            self.day_usd += usd
        self.now_s += seconds

    def check(self, wind_down: float) -> None:
        """Books by the market's prices, and ends what must."""
        self.billed_to, self.booked_day = self.now_s, self.day_usd
        for name, box in self.boxes.items():
            self.booked[name], self.seen_rate[name] = box.spent, box.usd_per_hour
        for name in overruns(self.spending(), self.views(), self.caps, AHEAD):
            self.boxes[name].dies = self.now_s + wind_down

    def spending(self) -> Spending:
        return Spending(day_usd=self.booked_day, month_usd=self.booked_day)

    def rent(self, usd_per_hour: float, download: float) -> bool:
        name = f"lease_{len(self.boxes)}"
        choice = appraise(
            offer(
                usd_per_hour=usd_per_hour, storage_usd_per_gb_month=0.0, inet_down_usd_per_gb=download / 25
            ),
            need(),
        )
        now = NOON + timedelta(seconds=self.now_s)
        mine = lease(name, LeaseState.APPROVED, choices=(choice,), lease_usd=self.lease_usd, now=now)
        if may_rent(self.spending(), [mine, *self.views()], self.caps, AHEAD) is not None:
            return False
        self.boxes[name] = Rented(usd_per_hour, self.now_s, spent=download)
        self.day_usd += download
        # What is paid once is booked with the order.
        self.booked_day += download
        self.booked[name], self.seen_rate[name] = download, usd_per_hour
        return True


RATES = st.floats(0.1, 60)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("rent"), RATES, st.floats(0, 0.5)),
        st.tuples(st.just("raise"), st.integers(0, 5), st.floats(1, 3)),
        st.tuples(st.just("wait"), st.floats(0, 29), st.just(0.0)),
        st.tuples(st.just("check"), st.floats(0, WIND_DOWN.total_seconds()), st.just(0.0)),
    ),
    max_size=60,
)


@settings(max_examples=int(os.environ.get("AITHER_TEST_LEASES", "50")))
@given(EVENTS, st.floats(0.5, 20), st.floats(0.5, 20), st.booleans())
def test_no_cap_is_passed_by_more_than_an_interval(
    events: list[tuple[str, float, float]], day_usd: float, lease_usd: float, prices_rise: bool
) -> None:
    world = World(BurstCaps(day_usd=day_usd), lease_usd)
    since_check = 0.0
    events = [*events, *[("wait", 29.0, 0.0), ("check", 60.0, 0.0)] * 30]
    for what, first, second in events:
        if what == "rent":
            world.rent(first, second)
        elif what == "raise" and prices_rise and world.boxes:
            list(world.boxes.values())[int(first) % len(world.boxes)].usd_per_hour *= second
        elif what == "wait":
            step = min(first, CHECK.total_seconds() - since_check)
            world.pass_time(step)
            since_check += step
        if what == "check" or since_check >= CHECK.total_seconds():
            world.check(first if what == "check" else 60.0)
            since_check = 0.0
        # What nobody could know: a price raised since the last look, for as long as it takes to see it and end.
        raised = sum(
            max(0.0, box.usd_per_hour - world.seen_rate[name]) for name, box in world.boxes.items()
        ) + (sum(box.usd_per_hour for box in world.boxes.values()) if prices_rise else 0.0)
        slack = raised * AHEAD.total_seconds() / 3600 + 1e-9
        assert world.day_usd <= day_usd + slack
        for box in world.boxes.values():
            own = box.usd_per_hour * AHEAD.total_seconds() / 3600 if prices_rise else 0.0
            assert box.spent <= lease_usd + own + 1e-9


def test_what_bills_now_is_counted_up_to_the_end_of_the_next_check() -> None:
    open_lease = lease(usd_per_hour=36.0, billed_to=NOON - timedelta(seconds=100), spent_usd=1.0)
    seen = outlook(Spending(day_usd=1.0, month_usd=5.0), [open_lease], timedelta(seconds=200))
    assert (seen.day_usd, seen.month_usd) == (pytest.approx(4.0), pytest.approx(8.0))
    assert seen.leases == {"lease_1": pytest.approx(4.0)}
    caps = BurstCaps(day_usd=4.01)
    assert not overruns(Spending(day_usd=1.0, month_usd=5.0), [open_lease], caps, timedelta(seconds=200))
    ended = overruns(Spending(day_usd=1.0, month_usd=5.0), [open_lease], caps, timedelta(seconds=201))
    assert ended["lease_1"].code is EndCode.DAY_CAP


def test_an_order_that_may_have_happened_counts_like_one_that_did() -> None:
    lost = lease(
        state=LeaseState.RENTING,
        creation=Creation.INTENDED,
        usd_per_hour=3600.0,
        billed_to=None,
        intended_at=NOON - timedelta(seconds=3),
        offer=appraise(offer(inet_down_usd_per_gb=0.04), need()),
    )
    seen = outlook(NOTHING, [lost], timedelta(seconds=2))
    assert seen.day_usd == pytest.approx(5 + 1)
    gone = replace(lost, creation=Creation.VOID)
    assert outlook(NOTHING, [gone], timedelta(seconds=2)).day_usd == 0


def test_each_cap_has_its_word_and_ends_what_it_covers() -> None:
    dear, cheap = lease("lease_d", usd_per_hour=3600.0, lease_usd=2.0), lease("lease_c", usd_per_hour=0.1)
    both = [dear, cheap]
    assert {
        name: refusal.code
        for name, refusal in overruns(NOTHING, both, BurstCaps(), timedelta(seconds=2)).items()
    } == {"lease_d": EndCode.LEASE_CAP}
    month = overruns(Spending(day_usd=0, month_usd=50), both, BurstCaps(day_usd=99, month_usd=50), CHECK)
    assert {each.code for each in month.values()} == {EndCode.MONTH_CAP} and set(month) == {
        "lease_d",
        "lease_c",
    }
    waiting = lease("lease_w", LeaseState.ASKED)
    assert set(overruns(Spending(day_usd=9, month_usd=9), [waiting], BurstCaps(day_usd=9), CHECK)) == {
        "lease_w"
    }
    over = [replace(cheap, ending_code=EndCode.IDLE), lease("lease_g", LeaseState.GONE)]
    assert overruns(Spending(day_usd=9, month_usd=9), over, BurstCaps(day_usd=9), CHECK) == {}


def test_after_midnight_the_day_begins_anew() -> None:
    night = NOON.replace(day=16, hour=0, minute=0, second=10)
    late = lease(usd_per_hour=3600.0, now=night, billed_to=night - timedelta(seconds=100), spent_usd=0)
    seen = outlook(NOTHING, [late], timedelta(seconds=5))
    assert seen.day_usd == pytest.approx(15)
    assert seen.month_usd == pytest.approx(105)


def test_a_box_that_would_never_be_of_use_is_not_rented() -> None:
    slow = appraise(offer(inet_down_mbps=50.0, usd_per_hour=3.0), need())
    mine = lease(state=LeaseState.APPROVED, choices=(slow,), lease_usd=100.0)
    cost = 3.0 * slow.useful_in.total_seconds() / 3600
    assert cost > 1
    refused = may_rent(NOTHING, [mine], BurstCaps(day_usd=cost), AHEAD)
    assert refused is not None and refused.code is EndCode.DAY_CAP
    assert may_rent(NOTHING, [mine], BurstCaps(day_usd=cost * 2), AHEAD) is None
    small = lease(state=LeaseState.APPROVED, choices=(slow,), lease_usd=cost)
    refused = may_rent(NOTHING, [small], BurstCaps(), AHEAD)
    assert refused is not None and refused.code is EndCode.LEASE_CAP
