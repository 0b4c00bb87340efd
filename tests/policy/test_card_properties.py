"""What holds of a card whatever happens to it, in whatever order, and whatever its clock does."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from activities.contracts.cards import (
    CardSpec,
    Found,
    HostKind,
    Inventory,
    LeaseRef,
    MoveDone,
    Posture,
    Residency,
)
from tests.policy.cards import CARD, Bench, footprints, hold, resident, spec
from workflows.policy.card_room import budget
from workflows.policy.card_state import Repair, Report, Uninspected, lease_valid
from workflows.policy.card_view import view

RESIDENTS = (
    resident("always", 20, on_demand=False, kind=HostKind.VLLM, asleep_mib=4),
    resident("swap-a", 60, idle=timedelta(seconds=20)),
    resident("swap-b", 50, priority=2, kind=HostKind.VLLM, asleep_mib=6, idle=timedelta(seconds=40)),
    resident("small", 10, priority=4),
)
SPECS = (
    spec(*RESIDENTS, hog_s=10),
    spec(*RESIDENTS[:3], vram_mib=110, reserve_mib=5, hog_s=10),
    spec(*RESIDENTS[1:], vram_mib=90, hog_s=0),
)
WANTS = st.sampled_from(["always", "swap-a", "swap-b", "small", "stranger", 5, 20, 60, 74, 1000])


class Card(RuleBasedStateMachine):
    """Holders ask, renew and vanish; the host obeys, fails, dies and lies; the clock jumps."""

    @initialize(which=st.sampled_from(SPECS))
    def start(self, which: CardSpec) -> None:
        self.bench = Bench.of(which, looked=False)
        self.count = 0
        self.open: set[str] = set()
        self.tokens: dict[str, int] = {}
        self.ended: dict[str, int | None] = {}
        self.heard = 0
        self.looked = False
        self.meddled = False  # something has come onto the card, but not by our moves

    @rule(of=WANTS, priority=st.integers(-1, 7), ttl=st.sampled_from([0.0, 5.0, 60.0]))
    def ask(self, of: str | int, priority: int, ttl: float) -> None:
        self.count += 1
        lease = f"l{self.count}"
        self.open.add(lease)
        self._do(hold(lease, of, priority=priority, ttl_s=ttl))

    @precondition(lambda self: self.count)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        lease = self._some(data)
        before = self.bench.state
        tells = self.bench.do(hold(lease, 20))
        if lease in before.waiters:
            return self._hear()
        (told,) = [each for each in tells if each.decision.lease == lease][:1]
        if lease in before.leases and told.decision.granted:
            assert told.decision.granted.token == self.tokens[lease]
        return self._hear()

    @precondition(lambda self: self.count)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        self.bench.renew(self._some(data))
        self._hear()

    @precondition(lambda self: self.count)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        lease = self._some(data)
        self.bench.release(lease)
        self._over(lease)
        self._hear()

    @rule(seconds=st.sampled_from([0.5, 3, 11, 70]))
    def time_passes(self, seconds: float) -> None:
        self.bench.after(seconds)
        self._hear()

    @rule(seconds=st.sampled_from([-3600, -5, 600]))
    def the_clock_jumps(self, seconds: float) -> None:
        held = set(self.bench.state.leases)
        self.bench.now += timedelta(seconds=seconds)
        self._do()
        if seconds < 0:
            assert set(self.bench.state.leases) >= held, "a jump back shortened a lease"

    @precondition(lambda self: self.bench.moves)
    @rule(how=st.sampled_from(["ok", "ok", "ok", "stayed", "lost", "unknown"]))
    def the_move_ends(self, how: str) -> None:
        origin = self.bench.state.move.origin if self.bench.state.move else Residency.ABSENT
        there = {"stayed": origin, "lost": Residency.ABSENT, "unknown": Residency.UNKNOWN}.get(how)
        self.bench.move(ok=how == "ok", residency=there)
        self._hear()

    @rule(number=st.integers(0, 3), residency=st.sampled_from(Residency))
    def word_of_an_old_move(self, number: int, residency: Residency) -> None:
        self._do(MoveDone(resident="swap-a", number=number, residency=residency, ok=True))

    @precondition(lambda self: self.bench.looks)
    @rule(answers=st.booleans())
    def the_host_looks(self, answers: bool) -> None:
        if answers:
            self.bench.look()
            self.looked = True
        else:
            self.bench.looks.pop()
            self.bench.do(Uninspected(why="scripted"))
        self._hear()

    @rule(name=st.sampled_from(["always", "swap-a", "swap-b"]), generation=st.sampled_from(["", "1", "2"]))
    def a_resident_dies(self, name: str, generation: str) -> None:
        self.bench.truth[name] = Residency.ABSENT
        self._report(name, Residency.ABSENT, generation)

    @rule(name=st.sampled_from(["swap-a", "swap-b"]), residency=st.sampled_from(Residency))
    def a_resident_moves_by_itself(self, name: str, residency: Residency) -> None:
        self.meddled = True
        self.bench.truth[name] = residency
        self._report(name, residency, "")

    @rule(posture=st.sampled_from(Posture))
    def a_wish(self, posture: Posture) -> None:
        self._do(posture)

    @rule()
    def a_repair(self) -> None:
        self._do(Repair())

    @rule(which=st.sampled_from(SPECS))
    def a_new_configuration(self, which: CardSpec) -> None:
        if which != self.bench.state.spec:
            self.meddled = True
        self._do(which)

    @invariant()
    def all_is_well(self) -> None:
        if not hasattr(self, "bench"):
            return
        state = self.bench.state
        assert set(state.waiters).isdisjoint(state.leases)
        assert self.open == set(state.waiters) | set(state.leases), "an ask has no end, or two"
        for held in state.leases.values():
            assert held.expires_at > state.at
            if held.ask.resident is not None:
                assert state.shareable(held.ask.resident), "a hold of what is not there"
        for lease, token in self.ended.items():
            assert not lease_valid(state, LeaseRef(lease=lease, token=token))
            assert not lease_valid(state, LeaseRef(lease=lease))
        assert len(self.bench.moves) == (state.move is not None), "one move at a time"
        if self.looked and not self.meddled:
            assert footprints(state) <= budget(state), "over VRAM"
        assert view(state).free_mib >= 0

    def teardown(self) -> None:
        """An honest host, and holders that let go: then every ask comes to its end."""
        if not hasattr(self, "bench"):
            return
        self._do(Posture.AWAKE, Repair())
        for _ in range(400):
            if self.bench.looks:
                self.bench.look()
            elif self.bench.moves:
                self.bench.move()
            elif self.bench.state.leases:
                self.bench.release(*self.bench.state.leases)
            elif self.bench.state.waiters:
                self.bench.after(30)
            self._hear()
            if not (self.bench.state.leases or self.bench.state.waiters or self.bench.moves):
                break
        assert not self.bench.state.waiters, "somebody waits for good"
        self.bench.after(3600)
        for _ in range(20):
            if self.bench.looks:
                self.bench.look()
            if self.bench.moves:
                self.bench.move()
        assert self.bench.state.problem == "" or footprints(self.bench.state) > budget(self.bench.state)

    def _do(self, *events: object) -> None:
        self.bench.do(*events)  # pyright: ignore[reportArgumentType]
        self._hear()

    def _hear(self) -> None:
        """Takes in what was told; anything given in this step must be within the card's room."""
        for told in self.bench.told[self.heard :]:
            decision = told.decision
            if decision.granted is None:
                self._over(decision.lease)
                continue
            token = decision.granted.token
            if decision.lease not in self.tokens:
                assert token > max(self.tokens.values(), default=0), "a token that does not grow"
                self.tokens[decision.lease] = token
                if decision.granted.resident is None:
                    assert footprints(self.bench.state) <= budget(self.bench.state)
            assert self.tokens[decision.lease] == token
        self.heard = len(self.bench.told)
        for lease in self.open - set(self.bench.state.waiters) - set(self.bench.state.leases):
            self._over(lease)

    def _over(self, lease: str) -> None:
        self.open.discard(lease)
        self.ended[lease] = self.tokens.get(lease)

    def _some(self, data: st.DataObject) -> str:
        return f"l{data.draw(st.integers(1, self.count))}"

    def _report(self, name: str, residency: Residency, generation: str) -> None:
        seen = Found(resident=name, residency=residency, generation=generation)
        self._do(Report(inventory=Inventory(card=CARD, residents=(seen,))))


TestCard = Card.TestCase
TestCard.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


@given(
    newcomers=st.lists(
        st.tuples(st.sampled_from(["a", "b", 10, 45]), st.integers(1, 3), st.integers(1, 3)),
        min_size=1,
        max_size=4,
    ),
    wants=st.sampled_from(["c", 90]),
)
@settings(max_examples=60, deadline=None)
def test_nobody_starves_under_endless_newcomers(
    newcomers: list[tuple[str | int, int, int]], wants: str | int
) -> None:
    """Every two seconds the same newcomers, all more urgent, each holding for a while; one waits for the whole."""
    card = spec(resident("a", 40), resident("b", 50), resident("c", 90, idle=timedelta(0)), hog_s=10)
    bench = Bench.of(replace(card, aging=timedelta(seconds=8)))
    ends: list[tuple[float, str]] = []
    seen = 0
    for tick in range(300):
        if tick == 3:
            bench.do(hold("patient", wants, priority=5))
        for n, (of, priority, _) in enumerate(newcomers):
            bench.do(hold(f"t{tick}-{n}", of, priority=priority))
        for told in bench.told[seen:]:
            lease = told.decision.lease
            if lease == "patient":
                assert told.decision.granted
                return
            if told.decision.granted:
                n = int(lease.rpartition("-")[2])
                ends.append((tick + newcomers[n][2], lease))
        seen = len(bench.told)
        bench.release(*(lease for end, lease in ends if end <= tick))
        ends = [(end, lease) for end, lease in ends if end > tick]
        if bench.moves and tick % 2:
            bench.move()
        bench.after(2)
    raise AssertionError(f"it waited for ten minutes: {view(bench.state)}")


@given(load_ticks=st.integers(1, 5), hold_ticks=st.integers(1, 6), urgent=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_hog_bounds_how_long_one_model_keeps_another_out(
    load_ticks: int, hold_ticks: int, urgent: int
) -> None:
    """Endless askers of a, of any priority; whoever wants b has it after hog, one hold, and the two moves."""
    bench = Bench.of(spec(resident("a", 60), resident("b", 60), hog_s=10))
    bench.do(hold("first", "a"))
    bench.move()
    bench.do(hold("b", "b", priority=5))
    ends = {"first": hold_ticks}
    under_way = 0
    bound = 10 + hold_ticks + 2 * load_ticks + 3
    for tick in range(bound):
        lease = f"a{tick}"
        if any(told.decision.granted for told in bench.do(hold(lease, "a", priority=urgent))):
            ends[lease] = tick + hold_ticks
        bench.release(*(each for each, end in ends.items() if end <= tick))
        ends = {each: end for each, end in ends.items() if end > tick}
        under_way = under_way + 1 if bench.moves else 0
        if under_way >= load_ticks:
            bench.move()
            under_way = 0
        if "b" in bench.state.leases:
            return
        bench.after(1)
    raise AssertionError(f"b is not there after {bound} s: {view(bench.state)}")
