from dataclasses import replace

from activities.contracts.cards import (
    Denial,
    HostKind,
    Inventory,
    MoveDone,
    Posture,
    Residency,
)
from tests.policy.cards import (
    CARD,
    Bench,
    awake,
    denials,
    footprints,
    found,
    granted,
    hold,
    resident,
    spec,
)
from workflows.policy.card_moves import pause
from workflows.policy.card_state import (
    Repair,
    Report,
    Uninspected,
)
from workflows.policy.card_view import line, view

A, B = resident("a", 60), resident("b", 60)
AWAKE, ABSENT, ASLEEP, UNKNOWN = Residency.AWAKE, Residency.ABSENT, Residency.ASLEEP, Residency.UNKNOWN


def test_residents_rest_after_their_idle_time_and_those_that_stay_come_by_themselves() -> None:
    always = resident("always", 30, on_demand=False)
    bench = Bench.of(spec(A, always))
    assert bench.moving == ("always", AWAKE)
    bench.move()
    awake(bench, "a")
    bench.release("first")
    bench.after(299)
    assert bench.moving is None
    bench.after(1)
    assert bench.moving == ("a", ABSENT)
    bench.move()
    bench.after(10_000)
    assert bench.moving is None


def test_a_failed_move_denies_who_waited_and_is_tried_again_only_after_growing_pauses() -> None:
    bench = Bench.of(spec(A))
    bench.do(hold("x", "a"))
    assert denials(bench.move(ok=False, residency=ABSENT)) == {"x": Denial.MOVE_FAILED}
    assert "a" in bench.state.problem
    (told,) = bench.do(hold("y", "a"))
    assert told.decision.denial is Denial.MOVE_FAILED
    assert "scripted" in told.decision.why
    assert bench.moving is None
    bench.after(5)
    bench.do(hold("z", "a"))
    assert bench.moving == ("a", AWAKE)
    bench.move(ok=False, residency=ABSENT)
    bench.after(9)
    assert denials(bench.do(hold("z2", "a"))) == {"z2": Denial.MOVE_FAILED}
    bench.after(1)
    bench.do(hold("z3", "a"))
    assert granted(bench.move()) == ["z3"]
    assert bench.state.problem == ""


def test_pauses_double_up_to_a_bound() -> None:
    assert [pause(n).total_seconds() for n in (1, 2, 3, 7, 99)] == [5, 10, 20, 300, 300]


def test_of_an_unknown_resident_the_host_is_asked_and_what_it_cannot_tell_is_brought_to_rest() -> None:
    bench = Bench.of(spec(A, B))
    bench.do(hold("x", "a"))
    bench.move(ok=False)
    assert granted(bench.do(hold("j", 50))) == [], "what is unknown counts whole"
    assert not bench.looks
    bench.after(5)
    bench.look()
    assert bench.moving == ("a", ABSENT)
    assert granted(bench.move()) == ["j"]
    assert bench.state.problem == ""


def test_repair_takes_the_hosts_word_and_clears_the_problem() -> None:
    always = resident("always", 30, on_demand=False)
    bench = Bench.of(spec(always, A))
    bench.move(ok=False, residency=ABSENT)
    assert bench.state.problem
    bench.truth["a"] = AWAKE
    bench.do(Repair())
    bench.look()
    assert bench.state.problem == ""
    assert bench.state.shareable("a")
    assert bench.moving == ("always", AWAKE)


def test_repair_waits_for_the_move_under_way() -> None:
    bench = Bench.of(spec(A))
    bench.do(hold("x", "a"))
    bench.do(Repair())
    assert not bench.looks
    bench.move()
    assert len(bench.looks) == 1


def test_a_host_that_cannot_look_is_asked_again_later_and_the_card_says_so() -> None:
    bench = Bench.of(spec(A), looked=False)
    bench.looks.clear()
    bench.do(Uninspected(why="no such file"))
    assert "no such file" in bench.state.problem
    assert not bench.looks
    bench.after(5)
    assert len(bench.looks) == 1
    bench.look()
    assert bench.state.problem == ""


def test_a_host_that_does_not_answer_is_a_problem_that_is_said() -> None:
    bench = Bench.of(spec(A), looked=False)
    bench.after(31)
    assert "does its worker run" in bench.state.problem
    bench.look()
    assert bench.state.problem == ""
    bench.do(hold("x", "a"))
    bench.after(331)
    assert "does its host's worker run" in bench.state.problem


def test_holders_of_what_is_gone_lose_their_leases_and_it_is_loaded_again_for_new_ones() -> None:
    bench = Bench.of(spec(A))
    awake(bench, "a")
    bench.after(60)
    assert denials(bench.do(found("a", ABSENT))) == {"first": Denial.LEASE_LOST}
    bench.do(hold("next", "a"))
    assert bench.moving == ("a", AWAKE)
    assert granted(bench.move()) == ["next"]


def test_another_process_under_the_same_name_ends_the_leases_of_the_first() -> None:
    bench = Bench.of(spec(A))
    awake(bench, "a")
    bench.after(60)
    assert not bench.do(found("a", AWAKE, "one"))
    assert denials(bench.do(found("a", AWAKE, "two"))) == {"first": Denial.LEASE_LOST}


def test_one_that_stays_comes_back_and_one_that_keeps_dying_is_given_pauses() -> None:
    bench = Bench.of(spec(resident("always", 30, on_demand=False)))
    bench.move()
    bench.after(60)
    bench.do(found("always", ABSENT))
    assert bench.moving == ("always", AWAKE)
    bench.move()
    bench.after(6)
    bench.do(found("always", ABSENT))
    assert bench.moving is None
    assert bench.state.problem
    bench.after(5)
    assert bench.moving == ("always", AWAKE)


def test_a_report_that_may_be_older_than_a_move_is_checked_first() -> None:
    bench = Bench.of(spec(A))
    awake(bench, "a")
    assert not bench.do(found("a", ABSENT))
    assert "first" in bench.state.leases
    assert not bench.look()
    bench.do(found("a", ABSENT))
    bench.truth["a"] = ABSENT
    assert denials(bench.look()) == {"first": Denial.LEASE_LOST}


def test_more_than_fits_is_said_and_brought_back_below() -> None:
    bench = Bench.of(spec(A, B), looked=False)
    bench.truth = {"a": AWAKE, "b": AWAKE}
    bench.look()
    assert bench.moving == ("a", ABSENT)
    bench.move()
    assert footprints(bench.state) == 60


def test_what_is_measured_is_compared_with_what_is_counted() -> None:
    bench = Bench.of(spec(A))
    report = Inventory(card=CARD, residents=(), free_mib=40, total_mib=100)
    bench.do(Report(inventory=report))
    assert "40 MiB free" in bench.state.problem
    bench.do(Report(inventory=replace(report, free_mib=100)))
    assert bench.state.problem == ""
    bench.do(Report(inventory=replace(report, free_mib=100, total_mib=90)))
    assert "90 MiB in all" in bench.state.problem


def test_the_word_of_an_earlier_move_counts_for_nothing() -> None:
    bench = Bench.of(spec(A))
    bench.do(hold("x", "a"))
    number = bench.moves[-1].number
    assert not bench.do(MoveDone(resident="a", number=number - 1, residency=AWAKE, ok=True))
    assert bench.state.move is not None


# --- postures and configuration


def test_a_parked_card_lets_running_holds_end_and_rests_everybody_one_at_a_time() -> None:
    always = resident("always", 30, on_demand=False, kind=HostKind.VLLM, asleep_mib=5)
    bench = Bench.of(spec(always, A))
    bench.move()
    awake(bench, "a", ttl_s=60)
    bench.do(hold("wait", 50))
    assert denials(bench.do(Posture.ASLEEP)) == {"wait": Denial.CARD_ASLEEP}
    assert denials(bench.do(hold("new", "a"))) == {"new": Denial.CARD_ASLEEP}
    assert bench.moving == ("always", ASLEEP)
    bench.move()
    assert bench.moving is None
    bench.renew("first")
    assert denials(bench.after(60)) == {"first": Denial.LEASE_LOST}
    assert bench.moving == ("a", ABSENT)
    bench.move()
    bench.do(Posture.AWAKE)
    assert bench.moving == ("always", AWAKE)
    bench.move()
    assert bench.moving is None


def test_residents_that_stay_are_woken_one_at_a_time() -> None:
    both = (resident("one", 30, on_demand=False), resident("two", 30, on_demand=False))
    bench = Bench.of(spec(*both))
    assert bench.moving == ("one", AWAKE)
    assert len(bench.moves) == 1
    bench.move()
    assert bench.moving == ("two", AWAKE)


def test_a_resident_that_is_configured_away_leaves_when_nobody_holds_it() -> None:
    bench = Bench.of(spec(A))
    awake(bench, "a")
    bench.do(hold("w", 50))
    told = bench.do(spec(B))
    assert not told
    assert denials(bench.do(hold("late", "a"))) == {"late": Denial.NEVER_FITS}
    assert footprints(bench.state) == 120, "b is unknown yet"
    bench.look()
    assert footprints(bench.state) == 60
    bench.release("first")
    assert bench.moving == ("a", ABSENT)
    assert granted(bench.move()) == ["w"]
    assert set(bench.state.seats) == {"b"}


def test_the_same_configuration_again_changes_nothing() -> None:
    bench = Bench.of(spec(A))
    awake(bench, "a")
    before = bench.state
    bench.do(spec(A))
    assert bench.state == before
    assert not bench.looks


def test_waiters_that_fit_no_more_are_told() -> None:
    bench = Bench.of(spec(A))
    bench.do(hold("j", 90), hold("k", 90))
    assert denials(bench.do(spec(A, vram_mib=80))) == {"k": Denial.NEVER_FITS}


def test_a_card_tells_of_itself() -> None:
    bench = Bench.of(spec(A, reserve_mib=10))
    awake(bench, "a")
    bench.do(hold("j", 40))
    shown = view(bench.state)
    assert shown.free_mib == 30
    assert [each.lease for each in shown.leases] == ["first"]
    assert [each.lease for each in shown.waiters] == ["j"]
    one = shown.resident("a")
    assert one is not None
    assert (one.residency, one.holders) == (AWAKE, 1)
    assert "a awake, 30 MiB free" in line(bench.state)


def test_revisions_are_of_residents_posture_and_problems_not_of_holds() -> None:
    bench = Bench.of(spec(A))
    awake(bench, "a")
    revision, changes = bench.state.revision, bench.state.changes
    bench.do(hold("x", "a"))
    bench.release("x")
    assert bench.state.revision == revision
    assert bench.state.changes > changes
    bench.do(Posture.ASLEEP)
    assert bench.state.revision == revision + 1
