"""Worker processes that divide a member's slots: never more than there are, whoever comes, goes, or stands still."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from workflows.policy.shares import (
    LASTS_S,
    MARGIN_S,
    Share,
    Watched,
    Wish,
    claim,
    fair,
    is_still,
    watch,
)

MEMBER = "reasoner"
NAMES = st.sampled_from(["one", "two", "three", "four"])


@dataclass
class Worker:
    """A process: its share as it knows it, until when it may use it, and its calls."""

    share: int = 0
    rights_until: float = 0.0
    used: int = 0
    beat: int = 0
    frozen: bool = False
    watched: dict[str, Watched] = field(default_factory=dict[str, Watched])

    def may_use(self, now: float) -> int:
        return self.share if now < self.rights_until else 0


class Division(RuleBasedStateMachine):
    """Processes renew, take calls, end them, freeze, thaw, die and come back, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.slots = 7
        self.rows: dict[str, Share] = {}
        self.workers: dict[str, Worker] = {}
        self.born = 0

    @rule(seconds=st.floats(0.0, 4.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=NAMES)
    def renews(self, name: str) -> None:
        if name not in self.workers:
            # One that comes back under its old name counts on from where no earlier life of it has been.
            self.born += 1
            self.workers[name] = Worker(beat=self.born * 1_000_000)
        worker = self.workers[name]
        if worker.frozen:
            return
        seen = {n: watch(worker.watched.get(n), row, self.now) for n, row in self.rows.items() if n != name}
        worker.watched = seen
        for other, watched in seen.items():
            if is_still(watched, self.now):
                del self.rows[other]
        others = {n: row for n, row in self.rows.items() if n != name}
        before = self.rows[name].slots if name in self.rows else 0
        worker.beat += 1
        worker.share = claim(MEMBER, Wish(slots=self.slots, used=worker.used), before, others, name)
        self.rows[name] = Share(slots=worker.share, used=worker.used, beat=worker.beat)
        worker.rights_until = self.now + LASTS_S - MARGIN_S
        # What it has no right to any more it gives up, as one does that was frozen.
        worker.used = min(worker.used, worker.share)

    @rule(name=NAMES)
    def takes_a_call(self, name: str) -> None:
        worker = self.workers.get(name)
        if worker and not worker.frozen and worker.used < worker.may_use(self.now):
            worker.used += 1

    @rule(name=NAMES)
    def ends_a_call(self, name: str) -> None:
        worker = self.workers.get(name)
        if worker and worker.used:
            worker.used -= 1

    @rule(name=NAMES)
    def dies(self, name: str) -> None:
        self.workers.pop(name, None)

    @rule(name=NAMES)
    def freezes_or_thaws(self, name: str) -> None:
        worker = self.workers.get(name)
        if worker:
            worker.frozen = not worker.frozen

    @invariant()
    def what_is_written_never_exceeds_the_slots(self) -> None:
        assert sum(row.slots for row in self.rows.values()) <= self.slots

    @invariant()
    def what_may_be_used_never_exceeds_the_slots(self) -> None:
        """A frozen process takes no calls; when it thaws, its rights are over before another has them."""
        rights = sum(worker.may_use(self.now) for worker in self.workers.values())
        assert rights <= self.slots

    @invariant()
    def calls_never_exceed_the_slots(self) -> None:
        """But for those that a process left standing when it froze, and its share was taken."""
        alive = [worker for worker in self.workers.values() if self.now < worker.rights_until]
        assert sum(worker.used for worker in alive) <= self.slots


Division.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestDivision = Division.TestCase


def test_shares_come_to_what_is_fair_and_use_every_slot() -> None:
    names = ["one", "two", "three"]
    rows = {"one": Share(slots=7, used=0, beat=1)}
    for beat in range(2, 6):
        for name in names:
            others = {n: row for n, row in rows.items() if n != name}
            mine = rows[name].slots if name in rows else 0
            share = claim(MEMBER, Wish(slots=7, used=0), mine, others, name)
            rows[name] = Share(slots=share, used=0, beat=beat)
    assert {name: row.slots for name, row in rows.items()} == {n: fair(MEMBER, 7, names, n) for n in names}
    assert sum(row.slots for row in rows.values()) == 7


def test_calls_in_hand_are_kept_until_they_are_over() -> None:
    other = {"two": Share(slots=0, used=0, beat=1)}
    assert claim(MEMBER, Wish(slots=4, used=4), 4, other, "one") == 4
    assert claim(MEMBER, Wish(slots=4, used=1), 4, other, "one") == 2


def test_what_does_not_divide_goes_to_another_for_another_member() -> None:
    workers = ["one", "two"]
    lucky = {fair(member, 1, workers, "one") for member in ("a", "b", "c", "d")}
    assert lucky == {0, 1}
