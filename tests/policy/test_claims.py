"""Claims as a state machine: whoever comes when, a task is finished once, and a late token never wins."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from activities.contracts.swarm import Claim, Task, TaskStatus
from workflows.policy import claims

TTL = timedelta(seconds=600)
OPEN = Task(id="task_1", goal_id="g", tenant_id="acme", place=0, title="t", text="t")


class Claims(RuleBasedStateMachine):
    """One task, any number of workers, all of whose claims may come back at any later time."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.task = OPEN
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.ends = 0
        self.newest = 0
        self.owners = list[str]()

    @rule(target=held, owner=st.sampled_from("abc"), ttl=st.sampled_from((TTL, timedelta(0))))
    def claim(self, owner: str, ttl: timedelta) -> object:
        before = self.task
        after = claims.claimed(before, owner, self.now, ttl)
        free = before.status is TaskStatus.OPEN or (
            before.status is TaskStatus.CLAIMED
            and before.expires_at is not None
            and before.expires_at <= self.now
        )
        assert isinstance(after, Task) == free
        if not isinstance(after, Task):
            assert after.why
            return multiple()
        assert after.token > self.newest, "every claim fences off all before"
        assert after.attempts == before.attempts + 1
        self.task, self.newest = after, after.token
        return claims.claim_of(after)

    @rule(claim=held)
    def renew(self, claim: Claim) -> None:
        after = claims.renewed(self.task, claim.token, self.now, TTL)
        if self._take(claim, after):
            assert self.task.expires_at is not None and self.task.expires_at >= self.now + TTL

    @rule(claim=held, findings=st.integers(0, 3))
    def complete(self, claim: Claim, findings: int) -> None:
        before = self.task
        if self._take(claim, claims.completed(self.task, claim.token, findings)) and before != self.task:
            self.ends += 1
            assert self.task.findings == findings

    @rule(claim=held)
    def fail(self, claim: Claim) -> None:
        before = self.task
        if self._take(claim, claims.failed(self.task, claim.token, "why")) and before != self.task:
            self.ends += 1

    @rule(claim=held)
    def release(self, claim: Claim) -> None:
        self._take(claim, claims.released(self.task, claim.token, ""))

    @rule(share=st.sampled_from((0.5, 1.0, 2.0)))
    def time_passes(self, share: float) -> None:
        self.now += TTL * share

    @invariant()
    def ends_once(self) -> None:
        assert self.ends <= 1
        assert (self.task.status in claims.ENDS) == (self.ends == 1)
        assert self.task.token == self.newest

    @invariant()
    def a_reader_sees_who_really_has_it(self) -> None:
        seen = claims.seen(self.task, self.now)
        assert (seen.status in {TaskStatus.OPEN}) == (claims.look(self.task, self.now) is None)

    def _take(self, claim: Claim, after: Task | claims.Refused) -> bool:
        if not isinstance(after, Task):
            return False
        assert claim.token == self.newest, "a late token never wins"
        assert self.task.status not in claims.ENDS or after == self.task, "an end stays as it is"
        self.task = after
        return True


TestClaims = Claims.TestCase


def tasks(count: int) -> list[Task]:
    return [
        Task(id=claims.task_id("g", str(n)), goal_id="g", tenant_id="a", place=n, title="", text="")
        for n in range(count)
    ]


def test_workers_do_not_all_go_for_the_same_task() -> None:
    first = Counter(claims.spread(f"worker-{n}", tasks(20))[0].id for n in range(1000))
    assert len(first) == 20 and max(first.values()) < 120
    looks = sorted(claims.first_look(f"worker-{n}") for n in range(1000))
    assert len({look[0] for look in looks}) == 16


@given(st.text(max_size=20), st.integers(0, 30))
def test_a_worker_tries_every_task_once_in_an_order_of_its_own(owner: str, count: int) -> None:
    order = claims.spread(owner, tasks(count))
    assert sorted(task.id for task in order) == sorted(task.id for task in tasks(count))
    assert order == claims.spread(owner, list(reversed(tasks(count))))


@given(st.text(min_size=1, max_size=60))
def test_a_task_has_one_id_however_it_is_written(text: str) -> None:
    assert claims.task_id("g", text) == claims.task_id("g", f"  {text}\n")
    assert claims.task_id("g", text) != claims.task_id("h", text)
    assert claims.normalised(claims.normalised(text)) == claims.normalised(text)


def test_ids_of_findings_differ_by_task_claim_and_place() -> None:
    ids = {
        claims.finding_id(task, token, place) for task in "ab" for token in range(12) for place in range(12)
    }
    assert len(ids) == 2 * 12 * 12


def test_what_is_asked_twice_is_planned_once() -> None:
    texts = [
        "Find out which pumps leak oil, and where they stand.",
        "  find out WHICH pumps leak oil and where they stand",
        "Read chapter 3 of the manual of the big pump in the north hall",
        "Read chapter 4 of the manual of the big pump in the north hall",
        "Find out which of the pumps leak oil, and also where they stand",
        "",
        " . ",
    ]
    assert claims.distinct(texts) == [0, 2, 3, 4]


@given(st.lists(st.text(max_size=20), max_size=8))
def test_distinct_texts_are_distinct_and_stand_for_all(texts: list[str]) -> None:
    kept = [texts[place] for place in claims.distinct(texts)]
    assert claims.distinct(kept) == list(range(len(kept)))
    for text in texts:
        assert not claims.normalised(text) or any(claims.same(text, each) for each in kept)


_sentences = st.lists(
    st.sampled_from(["the", "pump", "part", "1", "2", "leaks", "oil", "of", "and", "north"]),
    min_size=1,
    max_size=9,
)


@given(st.lists(_sentences.map(" ".join), max_size=12))
def test_no_pair_that_is_alike_is_overlooked(texts: list[str]) -> None:
    kept = list[int]()
    for place, text in enumerate(texts):
        if not any(claims.same(text, texts[earlier]) for earlier in kept):
            kept.append(place)
    assert claims.distinct(texts) == kept
