"""Whatever rungs do, and whatever a turn may do: what a climb keeps to."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from activities.contracts.backends import Locality
from activities.contracts.policy import (
    ApproveCloud,
    Barred,
    ClimbPlan,
    Spending,
    TurnPolicy,
)
from tests.policy.drawing import plans
from workflows.policy.budget import reserve, settle, to_nano
from workflows.policy.climb import (
    Agreed,
    Answered,
    Ask,
    Chain,
    Compose,
    Decision,
    Fail,
    Failed,
    Finish,
    Pause,
    Pulled,
    SeekAgreement,
    Seen,
    Sight,
    Skip,
)
from workflows.policy.ladder import begin, decide, rungs_of
from workflows.policy.seen import MORE_TRIES, observe

LASTING = ("backend_refused_key", "backend_rejected", "model_missing", "context_too_long", "answer_empty")
CODES = (*LASTING, "backend_unavailable", "backend_timed_out", "backend_rate_limited", "no_room", "brand_new")
TOO_DEAR = 10_000_000_000
SEEN = st.one_of(
    st.just(Failed(code="too_dear", needs_nano=TOO_DEAR)),
    st.just(Pulled()),
    st.builds(Answered, flaw=st.sampled_from([None, "cut", "malformed"])),
    st.builds(Answered, flaw=st.just("empty"), usable=st.just(False)),
    st.builds(
        Failed,
        code=st.sampled_from(CODES),
        retry_after_s=st.none() | st.floats(0, 20),
        elsewhere=st.booleans(),
        backend=st.sampled_from(["one", "two", "three", "four"]),
    ),
)


Step = tuple[Decision, Seen | None, Sight]


@dataclass(slots=True)
class Story:
    plan: ClimbPlan
    spending: Spending = field(default_factory=Spending)
    steps: list[tuple[Decision, Seen | None, Sight]] = field(
        default_factory=list[tuple[Decision, Seen | None, Sight]]
    )

    @property
    def calls(self) -> list[tuple[Ask | Compose, Seen]]:
        return [(d, s) for d, s, _ in self.steps if isinstance(d, Ask | Compose) and s is not None]


def tell(plan: ClimbPlan, data: st.DataObject) -> Story:
    """Climbs with drawn observations, keeping the turn's books as the platform would."""
    story, climb = Story(plan), begin(plan)
    rungs = len(plan.ladder.answer) + len(plan.ladder.reason)
    for _ in range(8 * (1 + MORE_TRIES) * (rungs + plan.repeats.times + 2)):
        barred = data.draw(st.lists(st.sampled_from(["b1", "b2", "b3"]), unique=True, max_size=2))
        sight = Sight(
            prompt_tokens=data.draw(st.sampled_from([0, 500, 7_900])),
            spending=story.spending,
            barred=tuple(Barred(backend=name, why="open", retry_in_s=1.0) for name in barred),
        )
        decision = decide(plan, climb, sight)
        assert decision == decide(plan, climb, sight)
        seen: Seen | None = None
        if isinstance(decision, Ask | Compose):
            seen = data.draw(SEEN)
            spent = data.draw(st.integers(0, decision.reserve_nano)) if isinstance(seen, Answered) else 0
            story.spending = settle(
                reserve(story.spending, decision.reserve_nano), decision.reserve_nano, spent
            )
        elif isinstance(decision, SeekAgreement):
            seen = Agreed(yes=data.draw(st.booleans()))
        story.steps.append((decision, seen, sight))
        if isinstance(decision, Finish | Fail):
            return story
        climb = observe(plan, climb, decision, seen)
    raise AssertionError("the climb does not end")


@settings(max_examples=250, deadline=None)
@given(plan=plans(), data=st.data())
def test_what_a_climb_keeps_to(plan: ClimbPlan, data: st.DataObject) -> None:
    story = tell(plan, data)
    keeps_to_policy(story)
    keeps_to_the_money(story)
    never_repeats_a_rejection(story)
    asks_within_bounds(story)
    passes_nothing_over_in_silence(story)
    ends_with_an_answer_that_was_given(story)
    numbers_its_steps(story)
    asks_a_rung_again_only_of_another_member(story)


def keeps_to_policy(story: Story) -> None:
    policy = story.plan.policy
    agreed: set[str] = set()
    agreed_dear: set[str] = set()
    priced: set[str] = set()
    sought: list[tuple[str, bool]] = []
    for decision, seen, sight in story.steps:
        if isinstance(decision, SeekAgreement):
            sought.append((decision.rung.name, decision.dear))
            limit = policy.approve_above_usd
            dear = limit is not None and decision.reserve_nano > to_nano(limit)
            leaves = decision.rung.locality is Locality.CLOUD and policy.approve_cloud != "never"
            assert (dear, leaves) != (False, False), "nobody is bothered for nothing"
            assert decision.dear == dear
            assert decision.anew == (leaves and policy.approve_cloud == "always")
            if isinstance(seen, Agreed) and seen.yes:
                agreed.add(decision.rung.name)
                agreed_dear |= {decision.rung.name} if dear else set()
        if not isinstance(decision, Ask | Compose):
            continue
        cloud = decision.rung.locality is Locality.CLOUD
        assert not (cloud and policy.local_only)
        asks = policy.approve_cloud is not ApproveCloud.NEVER
        assert not (cloud and asks) or decision.rung.name in agreed
        limit = policy.approve_above_usd
        assert limit is None or decision.reserve_nano <= to_nano(limit) or decision.rung.name in agreed_dear
        assert decision.rung.name in agreed_dear or decision.rung.name not in priced
        assert decision.most_nano is None or decision.most_nano == to_nano(limit or 0)
        if isinstance(seen, Failed) and seen.needs_nano and decision.most_nano is not None:
            priced.add(decision.rung.name)
        assert policy.allowed_models is None or decision.rung.model in policy.allowed_models
        assert decision.rung.backend not in {barred.backend for barred in sight.barred}
    assert len(sought) == len(set(sought)), (
        "once a rung and turn, and once for its price where that comes out later"
    )


def keeps_to_the_money(story: Story) -> None:
    caps, spending = story.plan.policy.caps, story.spending
    for usd, spent in (
        (caps.turn_usd, spending.turn_spent),
        (caps.tenant_day_usd, spending.day_spent),
        (caps.tenant_month_usd, spending.month_spent),
    ):
        assert usd is None or spent <= to_nano(usd)
    assert spending.turn_reserved == 0


def never_repeats_a_rejection(story: Story) -> None:
    models: set[str] = set()
    backends: set[str] = set()
    for call, seen in story.calls:
        assert call.rung.model not in models
        assert call.rung.backend not in backends
        if isinstance(call, Ask) and isinstance(seen, Failed):
            models |= {call.rung.model} if seen.code == "backend_rejected" else set()
            # Where another member of the pool may serve, or come back, the rung is not ruled out.
            final = seen.code == "backend_refused_key" and not seen.elsewhere and not call.avoid
            backends |= {call.rung.backend} if final else set()


def asks_within_bounds(story: Story) -> None:
    pauses = [decision for decision, _, _ in story.steps if isinstance(decision, Pause)]
    assert len(pauses) <= story.plan.repeats.times
    assert all(pause.seconds <= story.plan.repeats.longest.total_seconds() for pause in pauses)
    pulls = sum(
        isinstance(seen, Pulled) and isinstance(call, Ask) and call.offer_reason for call, seen in story.calls
    )
    assert pulls <= 1
    made = [call for call, seen in story.calls if not waits_for_a_price(call, seen)]
    firsts = [call for call in made if not call.avoid]
    asked = [(call.chain, call.place) for call in firsts if isinstance(call, Ask)]
    assert len(asked) <= len(set(asked)) + len(pauses) + pulls
    assert sum(isinstance(call, Compose) for call in firsts) <= 1
    assert len(made) <= (1 + MORE_TRIES) * max(1, len(firsts))
    rungs = {call.rung.name for call, _ in story.calls}
    assert len(story.calls) - len(made) <= len(rungs)


def waits_for_a_price(call: Ask | Compose, seen: Seen) -> bool:
    return isinstance(seen, Failed) and seen.needs_nano is not None and call.most_nano is not None


def passes_nothing_over_in_silence(story: Story) -> None:
    """Every rung before one that was asked, and every rung of a failed turn's chains, has its entry."""
    told = {(d.chain, d.place) for d, _, _ in story.steps if isinstance(d, Ask | Skip)}
    for chain in Chain:
        reached = [place for of, place in told if of is chain]
        assert set(reached) == set(range(len(reached)))
    end = story.steps[-1][0]
    if isinstance(end, Fail):
        assert {place for of, place in told if of is Chain.ANSWER} == set(
            range(len(story.plan.ladder.answer))
        )
        for chain, place in told:
            assert rungs_of(story.plan, chain)[place].name in end.why
    assert all(d.why and d.code for d, _, _ in story.steps if isinstance(d, Skip))


def ends_with_an_answer_that_was_given(story: Story) -> None:
    end = story.steps[-1][0]
    usable = {call.step for call, seen in story.calls if isinstance(seen, Answered) and seen.usable}
    if isinstance(end, Finish):
        assert end.answer_step in usable
    else:
        assert not usable, "an answer that could have gone out was thrown away"


def numbers_its_steps(story: Story) -> None:
    """Steps key answers: no two calls, and no two entries of the route, share one."""
    numbers = [d.step for d, _, _ in story.steps if isinstance(d, Ask | Skip | Compose)]
    assert numbers == list(range(1, len(numbers) + 1))


def asks_a_rung_again_only_of_another_member(story: Story) -> None:
    made = [(call, seen) for call, seen in story.calls if not waits_for_a_price(call, seen)]
    for (before, seen), (call, _) in pairwise(made):
        if call.avoid:
            assert isinstance(seen, Failed)
            assert seen.elsewhere
            assert call.rung is before.rung
            assert call.avoid == (*before.avoid, seen.backend)
            assert len(set(call.avoid)) == len(call.avoid) <= MORE_TRIES
            assert not call.rung.exact
            assert seen.code not in {"backend_rejected", "context_too_long"}


@settings(max_examples=50, deadline=None)
@given(plan=plans(), data=st.data())
def test_a_final_ask_is_believed(plan: ClimbPlan, data: st.DataObject) -> None:
    """Whoever records an answer by `final` and `climb_if_flawed` alone ends the turn as the ladder does."""
    steps = tell(plan, data).steps
    for (decision, seen, _), (after, _, _) in pairwise(steps):
        if isinstance(decision, Ask) and isinstance(seen, Answered) and seen.usable:
            ends = decision.final if seen.flaw is None else decision.final and not decision.climb_if_flawed
            assert isinstance(after, Finish) or not ends


@settings(max_examples=50, deadline=None)
@given(plan=plans())
def test_a_healthy_ladder_always_answers(plan: ClimbPlan) -> None:
    free = replace(plan, policy=TurnPolicy(compose=plan.policy.compose))
    climb = begin(free)
    for _ in range(20):
        decision = decide(free, climb, Sight())
        if isinstance(decision, Finish):
            return
        assert isinstance(decision, Ask | Compose)
        climb = observe(free, climb, decision, Answered())
    raise AssertionError("no answer")
