"""Which backends, pools and ladders there are: the configured ones, or the embedded default."""

from datetime import timedelta

from activities.contracts.backends import Backend, Capability, Dialect, Ladder, Rung
from activities.contracts.topology import Topology
from infra.config.assembly import assembled
from infra.config.document import opened
from infra.settings import Settings

EMBEDDED_CHAT_MODEL = "smollm2-135m-instruct"
EMBEDDED_EMBEDDING_MODEL = "all-minilm-l6-v2"


def load_topology(settings: Settings) -> Topology:
    """What the configuration file says, laid over the embedded default, which stands where there is no file.

    Raises `infra.config.mistakes.ConfigError`, with every mistake in the file.
    """
    default = embedded_topology(settings)
    file = settings.configuration
    return default if file is None else assembled(opened(file), default)


def embedded_chat_url(settings: Settings) -> str:
    """Where `aither up` serves its small chat model."""
    return f"http://{settings.host}:{settings.orchestrator_port}/v1"


def embedded_topology(settings: Settings) -> Topology:
    """One orchestrator (the small model that `up` serves) and a ladder that has nothing above it."""
    orchestrator = Backend(
        name="orchestrator",
        pool="llm-orchestrator",
        dialect=Dialect.LLAMACPP,
        base_url=embedded_chat_url(settings),
        model=EMBEDDED_CHAT_MODEL,
        slots=settings.orchestrator_slots,
        window_tokens=settings.orchestrator_window_tokens,
        capabilities=(
            Capability.JSON_SCHEMA,
            Capability.PREFILL,
            Capability.LOGPROBS,
            Capability.TOKENIZE,
        ),
    )
    rung = Rung(
        name="orchestrator",
        pool=orchestrator.queue,
        backend=orchestrator.name,
        model=orchestrator.model,
        patience=timedelta(minutes=10),
        call_timeout=timedelta(minutes=10),
    )
    return Topology(
        backends=(orchestrator,),
        ladders=(Ladder(name="auto", answer=(rung,)),),
        embedding_model=(settings.embedding_model if settings.embeddings_url else None)
        or EMBEDDED_EMBEDDING_MODEL,
    )
