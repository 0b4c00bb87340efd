"""A climb in data: what has been seen so far, what the ladder may decide next, and what can come of it.

All of it is frozen and holds only names, numbers and short reasons, so it may stand in a workflow's history.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from activities.contracts.backends import Rung
from activities.contracts.policy import Barred, Spending


class Chain(StrEnum):
    """The ladder's two chains."""

    ANSWER = "answer"
    REASON = "reason"


class SkipCode(StrEnum):
    """Why a rung is passed over unasked, in the order of the questions."""

    ALREADY_REFUSED = "already_refused"
    LOCAL_ONLY = "local_only"
    NOT_ALLOWED = "not_allowed"
    PRICE_UNKNOWN = "price_unknown"
    OVER_BUDGET = "over_budget"
    NOT_AGREED = "not_agreed"
    WINDOW_TOO_SMALL = "window_too_small"
    BREAKER_OPEN = "breaker_open"
    NOBODY_UP = "backend_unavailable"
    CARD_ASLEEP = "card_asleep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known at the moment of a decision.

    `prompt_tokens` is what cannot be trimmed away (an upper bound), `answer_tokens` what the answer may take.
    """

    prompt_tokens: int = 0
    answer_tokens: int = 1024
    spending: Spending = field(default_factory=Spending)
    barred: tuple[Barred, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A rung that gave no answer. `again_in_s` is set where trying it again could help."""

    step: int
    chain: Chain
    place: int
    rung: str
    asked: bool
    code: str
    why: str
    again_in_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer that may go out if nothing better comes."""

    step: int
    rung: str
    flawed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreed:
    """A rung that nobody agreed to in time, or somebody did not: who and when, in words."""

    rung: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A rung of which it has turned out what it could cost, in nano-dollars, when it was about to be called."""

    rung: str
    nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """Where a turn is on its ladder. `place` is the next rung of `chain`.

    `resume` is where the answer chain goes on once the reason chain gave nothing; `front` the place of the
    answer rung that handed the question on, and composes. `only` says that one rung alone is tried again,
    `climbed` that the supervisor has had its one climb. `repeats` counts waits, and `tried` are the members of
    the present rung's pool that have failed it. `agreed` are the rungs that somebody has agreed to, `agreed_dear`
    those of them whose price was a reason to ask.
    """

    step: int = 1
    chain: Chain = Chain.ANSWER
    place: int = 0
    resume: int = 0
    reasoned: bool = False
    reason_why: str = ""
    front: int | None = None
    climbed: bool = False
    only: bool = False
    repeats: int = 0
    passed: tuple[Passed, ...] = ()
    best: Kept | None = None
    to_compose: Kept | None = None
    done: bool = False
    agreed: tuple[str, ...] = ()
    agreed_dear: tuple[str, ...] = ()
    priced: tuple[Priced, ...] = ()
    disagreed: tuple[Disagreed, ...] = ()
    rejected_models: tuple[str, ...] = ()
    refused_backends: tuple[str, ...] = ()
    outgrown_tokens: int = 0
    tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask this rung for an answer of at most `max_tokens`, `reserve_nano` nano-dollars set aside for it.

    `mandatory` asks it to pull `reason`; `final` says that a good answer ends the turn, and
    `climb_if_flawed` that a flawed one does not, so that whoever records the answer can end the turn with it.
    `avoid` are the members of the rung's pool that have failed it. Should it turn out that the call could cost more
    than `most_nano`, it is not to be made before somebody agrees.
    """

    step: int
    chain: Chain
    place: int
    rung: Rung
    offer_reason: bool
    mandatory: bool
    final: bool
    climb_if_flawed: bool
    max_tokens: int
    reserve_nano: int
    why: str
    avoid: tuple[str, ...] = ()
    most_nano: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compose:
    """Have the rung put the answer of `answer_step` into its own words. Always final."""

    step: int
    rung: Rung
    answer_step: int
    max_tokens: int
    reserve_nano: int
    avoid: tuple[str, ...] = ()
    most_nano: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Record that a rung is passed over, and why. `composing`: it was wanted for that only."""

    step: int
    chain: Chain
    place: int
    rung: Rung
    code: SkipCode
    why: str
    again_in_s: float | None = None
    composing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeekAgreement:
    """Someone must agree before this rung is asked, as `step`, for an answer of at most `max_tokens`.

    `dear`: what it may cost is a reason. `anew`: no earlier yes will do. `why` completes "agreement is needed as …".
    """

    step: int
    rung: Rung
    max_tokens: int
    reserve_nano: int
    why: str
    dear: bool = False
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Wait, then try the rung at this place of the chain again: nothing else is left."""

    chain: Chain
    place: int
    rung: Rung
    seconds: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The answer of this step goes out."""

    answer_step: int
    rung: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """No answer. `why` tells the whole route; it is never cut."""

    code: str
    why: str


Decision = Ask | Compose | Skip | SeekAgreement | Pause | Finish | Fail


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The rung answered; the supervisor found a flaw or not, and an unusable answer must not go out."""

    flaw: str | None = None
    usable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """The rung asked for `reason`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The call failed, with a code of `activities.errors` or `NO_ROOM`.

    `elsewhere` says that another member of the pool may do what `backend` did not. With `needs_nano` it was not
    made, as it could cost so much and somebody must agree to that.
    """

    code: str
    why: str = ""
    retry_after_s: float | None = None
    elsewhere: bool = False
    backend: str = ""
    needs_nano: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """Someone agreed, or did not (in time), and then `why` says who and when."""

    yes: bool
    why: str = "nobody agreed"


Seen = Answered | Pulled | Failed | Agreed
