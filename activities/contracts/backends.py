"""What may be asked: backends, and the rungs and ladders that they stand on."""

from dataclasses import dataclass
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
    each other; without one a backend is alone in its own. `resident` names what must be on its card for it to
    serve.
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
    resident: str | None = None

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
    (start-to-close), after which the ladder moves on. `exact` says that only this backend may serve it, no other
    member of the pool. With a `card` the turn holds `resident` on it before it asks.
    """

    name: str
    pool: str
    backend: str
    model: str
    patience: timedelta
    call_timeout: timedelta
    locality: Locality = Locality.LOCAL
    exact: bool = False
    card: str | None = None
    resident: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Two chains of rungs: `answer` serves every turn, `reason` the ones that ask for more."""

    name: str
    answer: tuple[Rung, ...]
    reason: tuple[Rung, ...] = ()
