"""What may be asked: backends, the pools they form, and the ladders that turns climb."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Locality(StrEnum):
    """Whether a call to the backend leaves the building."""

    LOCAL = "local"
    CLOUD = "cloud"


class BackendKind(StrEnum):
    """The protocol that a backend speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Dialect(StrEnum):
    """Whose reading of the OpenAI protocol a backend follows. `GENERIC` is asked only what all understand."""

    GENERIC = "generic"
    VLLM = "vllm"
    LLAMACPP = "llamacpp"
    OPENAI = "openai"
    DEEPSEEK = "deepseek"
    GEMINI = "gemini"


class Thinking(StrEnum):
    """How long a model that can think does so. `DEFAULT` leaves it to the backend."""

    DEFAULT = "default"
    OFF = "off"
    LOW = "low"
    HIGH = "high"
    MAX = "max"


class Capability(StrEnum):
    """What a backend can do beyond plain chat."""

    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    PREFILL = "prefill"
    VISION = "vision"
    LOGPROBS = "logprobs"
    TOKENIZE = "tokenize"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens, and the ISO date on which the price was read."""

    input_usd: float
    output_usd: float
    cached_input_usd: float | None = None
    read_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One model behind one URL. `slots` calls run at once; `window_tokens` holds prompt and answer.

    `model` is the name that the backend itself knows; `name` is ours and unique. The key, if any, is
    read from the environment variable `api_key_env`, never stored here. Backends of one `pool` stand in for
    each other; without one a backend is alone in its own.
    """

    name: str
    kind: BackendKind = BackendKind.OPENAI
    dialect: Dialect = Dialect.GENERIC
    thinking: Thinking = Thinking.DEFAULT
    base_url: str
    model: str
    slots: int = 1
    window_tokens: int = 8192
    locality: Locality = Locality.LOCAL
    capabilities: tuple[Capability, ...] = ()
    api_key_env: str | None = None
    price: Price | None = None
    pool: str | None = None

    @property
    def queue(self) -> str:
        """The pool that the backend serves: the one it shares, else its own."""
        return self.pool or f"llm-{self.name}"

    def can(self, capability: Capability) -> bool:
        """Whether the backend is declared able."""
        return capability in self.capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of a ladder: which pool to ask, how long to wait for room and for the answer.

    `patience` bounds the wait in the pool's queue (schedule-to-start), `call_timeout` the call itself
    (start-to-close), after which the ladder moves on.
    """

    name: str
    pool: str
    backend: str
    model: str
    patience: timedelta
    call_timeout: timedelta
    locality: Locality = Locality.LOCAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Two chains of rungs: `answer` serves every turn, `reason` the ones that ask for more."""

    name: str
    answer: tuple[Rung, ...]
    reason: tuple[Rung, ...] = ()


class RouterKind(StrEnum):
    """Who estimates the effort of a turn that names none: rules, or a small call to a model."""

    RULES = "rules"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The cloud model that spending is compared with: what the same tokens would have cost there."""

    model: str
    price: Price


# Here, as a module, and named only in quotes and lambdas: policy's contracts are made of the ones above, and
# whichever of the two is imported first finds the other half loaded.
# ruff: noqa: PLW0108
from activities.contracts import policy as rules  # noqa: E402


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Everything that is configured: what may be asked, and by which rules. Names are unique in each tuple.

    `turn_policy` is what a turn goes by where its key, its tenant and its request say nothing, and
    `default_effort` its effort where nobody gives or estimates one.
    """

    backends: tuple[Backend, ...]
    ladders: tuple[Ladder, ...]
    default_ladder: str = "auto"
    embedding_model: str | None = None
    router: RouterKind = RouterKind.RULES
    default_effort: int | None = None
    reference: Reference | None = None
    bands: "rules.EffortBands" = field(default_factory=lambda: rules.EffortBands())
    breaker: "rules.BreakerRules" = field(default_factory=lambda: rules.BreakerRules())
    repeats: "rules.RepeatRules" = field(default_factory=lambda: rules.RepeatRules())
    turn_policy: "rules.TurnPolicy" = field(default_factory=lambda: rules.TurnPolicy())

    def backend(self, name: str) -> Backend:
        """The backend of that name; KeyError when there is none."""
        for backend in self.backends:
            if backend.name == name:
                return backend
        raise KeyError(name)

    def pools(self) -> dict[str, tuple[Backend, ...]]:
        """The backends that serve each pool, by pool name: those that rungs name, and those that share it.

        A backend that no rung names is there too: a turn may be pinned to its model.
        """
        members: dict[str, dict[str, Backend]] = {}
        for ladder in self.ladders:
            for rung in (*ladder.answer, *ladder.reason):
                members.setdefault(rung.pool, {})[rung.backend] = self.backend(rung.backend)
        climbed = {name for found in members.values() for name in found}
        for backend in self.backends:
            if backend.name not in climbed:
                members.setdefault(backend.queue, {})[backend.name] = backend
        return {pool: tuple(found.values()) for pool, found in members.items()}
