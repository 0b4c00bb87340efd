"""Plans to climb by, and a walk over a ladder whose rungs behave as told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from activities.contracts.backends import Ladder, Locality, Price, Rung
from activities.contracts.policy import BackendTerms, ClimbPlan, EffortBands, RepeatRules, TurnPolicy
from workflows.policy.climb import (
    Agreed,
    Answered,
    Ask,
    Climb,
    Compose,
    Decision,
    Fail,
    Finish,
    SeekAgreement,
    Seen,
    Sight,
)
from workflows.policy.ladder import begin, decide
from workflows.policy.seen import observe

PRICE = Price(input_usd=2.0, output_usd=10.0, read_on="2026-11-01")
Behaviour = Callable[[Ask | Compose], Seen]


def rung(name: str, *, cloud: bool = False, model: str | None = None, backend: str | None = None) -> Rung:
    return Rung(
        name=name,
        pool=f"llm-{name}",
        backend=backend or name,
        model=model or f"{name}-model",
        patience=timedelta(seconds=5),
        call_timeout=timedelta(seconds=60),
        locality=Locality.CLOUD if cloud else Locality.LOCAL,
    )


ORCHESTRATOR = rung("orchestrator")
STANDBY = rung("standby")
REASONER = rung("reasoner")
SWAP = rung("swap")
DEEPSEEK = rung("deepseek", cloud=True)
CLAUDE = rung("claude", cloud=True)


def plan(
    effort: int = 5,
    *,
    answer: Iterable[Rung] = (ORCHESTRATOR, STANDBY),
    reason: Iterable[Rung] = (REASONER, SWAP, DEEPSEEK, CLAUDE),
    policy: TurnPolicy | None = None,
    repeats: RepeatRules | None = None,
    windows: dict[str, int] | None = None,
) -> ClimbPlan:
    ladder = Ladder(name="auto", answer=tuple(answer), reason=tuple(reason))
    rungs = {each.backend: each for each in (*ladder.answer, *ladder.reason)}
    return ClimbPlan(
        ladder=ladder,
        effort=effort,
        bands=EffortBands(),
        policy=policy or TurnPolicy(),
        repeats=repeats or RepeatRules(),
        terms=tuple(
            BackendTerms(
                backend=name,
                window_tokens=(windows or {}).get(name, 32_768),
                price=PRICE if each.locality is Locality.CLOUD else None,
            )
            for name, each in rungs.items()
        ),
    )


@dataclass(slots=True)
class Walk:
    """A whole climb: every decision with what came of it."""

    decisions: list[Decision] = field(default_factory=list[Decision])
    climb: Climb = field(default_factory=Climb)

    @property
    def end(self) -> Finish | Fail:
        last = self.decisions[-1]
        assert isinstance(last, Finish | Fail)
        return last

    @property
    def asked(self) -> list[str]:
        return [each.rung.name for each in self.decisions if isinstance(each, Ask | Compose)]

    @property
    def told(self) -> list[str]:
        """Kinds and rungs, in order."""
        named = (
            f"{type(each).__name__.lower()} {each.rung if isinstance(each, Finish) else each.rung.name}"
            for each in self.decisions
            if not isinstance(each, Fail)
        )
        return [*named, *(["fail"] if isinstance(self.decisions[-1], Fail) else [])]


def scripted(told: dict[str, Seen | list[Seen]]) -> Behaviour:
    queues = {name: list(seen) if isinstance(seen, list) else [seen] for name, seen in told.items()}

    def behave(ask: Ask | Compose) -> Seen:
        queue = queues.get(ask.rung.name, [Answered()])
        return queue.pop(0) if len(queue) > 1 else queue[0]

    return behave


def walk(
    of: ClimbPlan,
    behaviour: Behaviour | dict[str, Seen | list[Seen]],
    *,
    sight: Sight | None = None,
    agree: bool = True,
) -> Walk:
    """Climbs to the end. A list of behaviours is used up in order, its last one for good."""
    walked = Walk(climb=begin(of))
    behave = scripted(behaviour) if isinstance(behaviour, dict) else behaviour
    for _ in range(200):
        decision = decide(of, walked.climb, sight or Sight())
        walked.decisions.append(decision)
        if isinstance(decision, Finish | Fail):
            return walked
        seen: Seen | None = None
        if isinstance(decision, Ask | Compose):
            seen = behave(decision)
        elif isinstance(decision, SeekAgreement):
            seen = Agreed(yes=agree)
        walked.climb = observe(of, walked.climb, decision, seen)
    raise AssertionError("the climb does not end")
