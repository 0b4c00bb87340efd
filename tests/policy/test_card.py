from datetime import timedelta

import pytest

from activities.contracts.cards import (
    Denial,
    HostKind,
    LeaseRef,
    Residency,
)
from tests.policy.cards import START, Bench, awake, denials, footprints, granted, hold, resident, spec
from workflows.policy.card import step
from workflows.policy.card_state import (
    MAX_WAITERS,
    CardState,
    Release,
    Renew,
    Tell,
    lease_valid,
)
from workflows.policy.card_view import SHOWN, view

A, B = resident("a", 60), resident("b", 60)
AWAKE, ABSENT, ASLEEP, UNKNOWN = Residency.AWAKE, Residency.ABSENT, Residency.ASLEEP, Residency.UNKNOWN


def test_a_hold_loads_what_is_absent_and_others_share_it_at_once() -> None:
    bench = Bench.of(spec(A))
    awake(bench, "a")
    assert granted(bench.do(hold("second", "a"))) == ["second"]
    assert footprints(bench.state) == 60


def test_a_job_takes_its_own_room_and_the_next_waits_for_it() -> None:
    bench = Bench.of(spec(vram_mib=100, reserve_mib=10))
    assert granted(bench.do(hold("j1", 50))) == ["j1"]
    assert granted(bench.do(hold("j2", 50))) == []
    assert granted(bench.release("j1")) == ["j2"]


@pytest.mark.parametrize(
    ("of", "why"),
    [(91, "never fit"), (0, "1 MiB"), (-5, "1 MiB"), ("stranger", "not a resident"), ("big", "never fit")],
)
def test_what_could_never_fit_is_refused_at_once(of: int | str, why: str) -> None:
    bench = Bench.of(spec(resident("big", 95), reserve_mib=10))
    (told,) = bench.do(hold("x", of))
    assert told.decision.denial is Denial.NEVER_FITS
    assert why in told.decision.why


def test_residents_that_stay_and_what_sleepers_keep_leave_less_for_others() -> None:
    always = resident("always", 40, on_demand=False)
    sleeper = resident("sleeper", 50, kind=HostKind.VLLM, asleep_mib=10)
    bench = Bench.of(spec(always, sleeper))
    assert denials(bench.do(hold("x", 51))) == {"x": Denial.NEVER_FITS}
    # Also before it has come up: its room is kept.
    assert bench.moving == ("always", AWAKE)
    assert granted(bench.do(hold("y", 50))) == ["y"]


def test_the_room_of_one_that_stays_is_kept_while_it_cannot_come() -> None:
    bench = Bench.of(spec(resident("always", 40, on_demand=False)))
    bench.move(ok=False, residency=ABSENT)
    assert granted(bench.do(hold("j", 30), hold("k", 31))) == ["j"]


def test_room_is_free_only_once_the_resident_has_left() -> None:
    bench = Bench.of(spec(A))
    awake(bench, "a")
    bench.do(hold("j", 50))
    assert granted(bench.release("first")) == []
    assert granted(bench.do()) == []
    assert granted(bench.move()) == ["j"]


def test_more_urgent_waiters_come_first_and_equals_by_arrival() -> None:
    bench = Bench.of(spec())
    bench.do(hold("j", 100))
    for name, priority in (("low", 5), ("mid1", 3), ("top", 1), ("mid2", 3)):
        bench.do(hold(name, 100, priority=priority))
    order: list[str] = []
    last = "j"
    for _ in range(4):
        (last,) = granted(bench.release(last))
        order.append(last)
    assert order == ["top", "mid1", "mid2", "low"]


def test_a_waiter_becomes_more_urgent_as_it_waits() -> None:
    bench = Bench.of(spec())
    bench.do(hold("j", 100, ttl_s=3600))
    bench.do(hold("old", 100, priority=5))
    bench.after(4 * 60)
    bench.do(hold("new", 100, priority=1))
    assert granted(bench.release("j")) == ["old"]


def test_a_small_job_may_go_first_only_where_it_holds_nobody_up() -> None:
    bench = Bench.of(spec())
    bench.do(hold("j", 50, ttl_s=3600))
    assert granted(bench.do(hold("large", 80), hold("fits-beside", 20), hold("would-hold-up", 30))) == [
        "fits-beside"
    ]
    assert granted(bench.release("j")) == ["large"]


# --- eviction and collation


def test_an_idle_resident_is_evicted_for_another_the_longest_unused_first_and_only_as_needed() -> None:
    bench = Bench.of(spec(resident("a", 30), resident("b", 30), resident("c", 30), resident("d", 40)))
    for name in ("b", "a", "c"):
        awake(bench, name, lease=name)
        bench.after(1)
        bench.release(name)
    bench.do(hold("d", "d"))
    assert bench.moving == ("b", ABSENT)
    bench.move()
    assert bench.moving == ("d", AWAKE)
    assert granted(bench.move()) == ["d"]
    assert bench.state.shareable("a")
    assert bench.state.shareable("c")


def test_nobody_is_evicted_whose_room_is_not_needed_after_all() -> None:
    bench = Bench.of(spec(resident("a", 10), resident("b", 50), resident("c", 80)))
    for name in ("a", "b"):
        awake(bench, name, lease=name)
        bench.after(1)
        bench.release(name)
    bench.do(hold("c", "c"))
    assert bench.moving == ("b", ABSENT), "a has been unused for longer, but does not help"
    bench.move()
    assert granted(bench.move()) == ["c"]
    assert bench.state.shareable("a")


def test_nothing_is_loaded_into_room_that_is_only_going_to_be_free() -> None:
    bench = Bench.of(spec(resident("a", 60), resident("b", 40), resident("s", 30)))
    awake(bench, "a")
    bench.do(hold("j", 30, ttl_s=3600))
    bench.do(hold("b", "b"), hold("s", "s"))
    assert bench.moving is None
    bench.release("first")
    bench.move()
    assert bench.moving == ("b", AWAKE)


def test_hog_also_bounds_those_who_keep_somebody_out_only_together() -> None:
    bench = Bench.of(spec(resident("a", 40), resident("c", 40), hog_s=30))
    awake(bench, "a", lease="a")
    awake(bench, "c", lease="c")
    bench.do(hold("j", 50, priority=5))
    assert granted(bench.do(hold("a2", "a", priority=1), hold("c2", "c", priority=1))) == ["a2", "c2"]
    bench.after(30)
    assert granted(bench.do(hold("a3", "a", priority=1), hold("c3", "c", priority=1))) == ["c3"]
    bench.release("a", "a2")
    assert granted(bench.move()) == ["j"]


def test_a_queue_of_background_jobs_goes_before_urgent_holds_one_job_at_a_time() -> None:
    bench = Bench.of(spec(resident("a", 60), hog_s=30))
    jobs = [f"job{n}" for n in range(50)]
    assert granted(bench.do(*(hold(job, 80, priority=5, ttl_s=3600) for job in jobs))) == ["job0"]
    bench.after(60)
    bench.do(hold("u1", "a", priority=1, ttl_s=3600))
    assert granted(bench.release("job0")) == []
    assert bench.moving == ("a", AWAKE), "nobody has kept the other jobs out but a job"
    assert granted(bench.move()) == ["u1"]
    bench.after(31)
    assert granted(bench.do(hold("u2", "a", priority=1))) == []
    bench.release("u1")
    assert granted(bench.move()) == ["job1"]
    assert granted(bench.release("job1")) == []
    assert bench.moving == ("a", AWAKE), "one turn is enough"
    assert granted(bench.move()) == ["u2"]


def test_an_idle_resident_stays_for_those_less_urgent_than_it_until_they_have_aged() -> None:
    bench = Bench.of(spec(resident("a", 60, priority=2, idle=timedelta(hours=1)), B))
    awake(bench, "a")
    bench.release("first")
    bench.do(hold("b", "b", priority=4))
    assert bench.moving is None
    bench.after(119)
    assert bench.moving is None
    bench.after(1)
    assert bench.moving == ("a", ABSENT)


def test_a_held_resident_is_never_evicted() -> None:
    bench = Bench.of(spec(A, B))
    awake(bench, "a")
    bench.do(hold("b", "b", priority=1))
    bench.after(3000)
    assert bench.moving is None
    bench.release("first")
    assert bench.moving == ("a", ABSENT)


def test_holders_let_others_in_until_hog_and_then_all_that_wait_come_together() -> None:
    bench = Bench.of(spec(A, B, hog_s=30))
    awake(bench, "a")
    bench.after(100)
    bench.do(hold("b1", "b"))
    bench.after(29)
    assert granted(bench.do(hold("a2", "a"))) == ["a2"]
    bench.after(1)
    assert granted(bench.do(hold("a3", "a", priority=1))) == []
    bench.do(hold("b2", "b", priority=5))
    assert granted(bench.release("first", "a2")) == []
    assert bench.moving == ("a", ABSENT)
    bench.move()
    assert bench.moving == ("b", AWAKE)
    assert granted(bench.move()) == ["b1", "b2"]
    # a3 waits, but not for long enough yet since b is awake: b's door is open again, unless to less urgent ones.
    assert granted(bench.do(hold("b3", "b", priority=1))) == ["b3"]
    assert granted(bench.do(hold("b4", "b", priority=2))) == []


def test_more_urgent_waiters_close_the_door_at_once() -> None:
    bench = Bench.of(spec(A, B))
    awake(bench, "a")
    bench.do(hold("b", "b", priority=1))
    assert granted(bench.do(hold("a2", "a", priority=2))) == []
    assert granted(bench.do(hold("a3", "a", priority=1))) == ["a3"]


# --- leases


def test_a_lease_ends_at_its_ttl_and_renewal_extends_it() -> None:
    bench = Bench.of(spec())
    bench.do(hold("j", 100, ttl_s=10))
    token = bench.lease("j").token
    bench.after(9)
    bench.renew("j")
    assert not bench.after(9)
    assert lease_valid(bench.state, LeaseRef(lease="j", token=token))
    assert denials(bench.after(1)) == {"j": Denial.LEASE_LOST}
    assert not lease_valid(bench.state, LeaseRef(lease="j", token=token))
    assert denials(list(bench.renew("j"))) == {"j": Denial.LEASE_LOST}


def test_asking_twice_is_asking_once() -> None:
    bench = Bench.of(spec())
    first = bench.do(hold("j", 60))
    assert bench.do(hold("j", 60)) == first
    bench.do(hold("k", 60))
    bench.do(hold("k", 60))
    assert granted(bench.release("j")) == ["k"]
    assert denials(bench.do(hold("j", 60))) == {"j": Denial.LEASE_LOST}
    over = bench.do(hold("huge", 1000))
    assert bench.do(hold("huge", 1000)) == over


def test_a_withdrawal_counts_before_and_after_the_ask() -> None:
    bench = Bench.of(spec())
    bench.do(hold("j", 100), hold("k", 100))
    assert bench.release("k") == []
    assert bench.release("j") == []
    bench.release("early")
    assert denials(bench.do(hold("early", 10))) == {"early": Denial.LEASE_LOST}


def test_only_the_token_of_the_lease_is_valid() -> None:
    bench = Bench.of(spec())
    bench.do(hold("j", 10))
    token = bench.lease("j").token
    assert lease_valid(bench.state, LeaseRef(lease="j", token=token))
    assert not lease_valid(bench.state, LeaseRef(lease="j", token=token - 1))
    bench.do(Release(ref=LeaseRef(lease="j", token=token - 1)))
    assert lease_valid(bench.state, LeaseRef(lease="j"))


def test_a_card_that_began_anew_answers_renewals_of_what_it_does_not_know_and_gives_higher_tokens() -> None:
    old = Bench.of(spec())
    old.do(hold("j", 10))
    later = START + timedelta(seconds=5)
    new = step(CardState(spec=spec()), later)
    ref = LeaseRef(lease="j", token=old.lease("j").token, holder="somebody", holder_run="run")
    done = step(new.state, later, [Renew(ref=ref), hold("k", 10)])
    lost, again = [each.decision for each in done.effects if isinstance(each, Tell)]
    assert lost.denial is Denial.LEASE_LOST
    assert again.granted is not None
    assert again.granted.token > old.lease("j").token
    assert done.state.revision > old.state.revision
    assert done.state.number > old.state.number


def test_a_clock_that_jumps_back_shortens_no_lease_and_time_goes_on_from_there() -> None:
    bench = Bench.of(spec())
    bench.do(hold("j", 100, ttl_s=10))
    bench.after(5)
    bench.now -= timedelta(hours=1)
    bench.do()
    assert not bench.after(4)
    assert denials(bench.after(1)) == {"j": Denial.LEASE_LOST}
    bench.do(hold("k", 100, ttl_s=10))
    assert bench.lease("k").expires_at == bench.now + timedelta(seconds=10)


def test_the_queue_is_bounded() -> None:
    bench = Bench.of(spec())
    state = bench.state
    asks = [hold(f"j{n}", 100) for n in range(MAX_WAITERS + 2)]
    state = step(state, START, asks[:1]).state
    done = step(state, START, asks[1:])
    (told,) = [each for each in done.effects if isinstance(each, Tell)]
    assert told.decision.denial is Denial.NO_ROOM
    assert len(done.state.waiters) == MAX_WAITERS
    shown = view(done.state)
    assert len(shown.waiters) == SHOWN
    assert shown.more == MAX_WAITERS - SHOWN
