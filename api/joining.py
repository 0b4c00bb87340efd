"""What a heartbeat may say, and how a backend joins by one: only where it can stand in for who is there already."""

import re
from typing import Annotated

import orjson
from pydantic import Field

from activities.contracts.backends import Backend, BackendKind, Capability, Dialect, Locality
from activities.contracts.registry import Beat, ServiceKind
from activities.contracts.topology import Topology
from api.problems import invalid
from api.shapes import JsonObject, Taken
from infra.config.addresses import locality_of, objection, vendor_of

MOST_METADATA_BYTES = 8 * 1024
MOST_NAME_CHARS = 100
_OF_THE_SERVER = frozenset({Capability.PREFILL, Capability.LOGPROBS, Capability.TOKENIZE})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]*(/[A-Za-z0-9][A-Za-z0-9._:@-]*)*", re.ASCII)


class JoinBody(Taken):
    """The model server that joins. It serves the pool's model in no smaller a window, and is asked without a key."""

    pool: str = Field(
        min_length=1, max_length=100, description="A configured pool.", examples=["llm-reasoner"]
    )
    base_url: str = Field(min_length=1, max_length=2000, examples=["http://gpu-7.lan:8000/v1"])
    model: str = Field(min_length=1, max_length=200, description="As the pool's configured backends name it.")
    slots: int = Field(ge=1, le=10_000, description="Calls that it runs at once.")
    window_tokens: int = Field(ge=1, le=2**31 - 1, description="Tokens of one call, prompt and answer.")
    dialect: Dialect = Dialect.GENERIC
    kind: BackendKind = BackendKind.OPENAI
    capabilities: tuple[Capability, ...] | None = Field(
        default=None, max_length=32, description="Unless given: what the pool's model can do."
    )
    locality: Locality | None = Field(default=None, description="Unless given: as the address tells.")


class HeartbeatBody(Taken):
    """A heartbeat. It says all that is known of the service: what it leaves out is no longer so."""

    service: str = Field(min_length=1, description="Its name.", examples=["gpu-7"])
    kind: ServiceKind
    capabilities: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        default=(), max_length=64
    )
    version: str = Field(default="", max_length=100)
    load: float | None = Field(default=None, ge=0, le=1, description="0 is idle, 1 is full.")
    metadata: JsonObject = Field(
        default_factory=dict, description="What operators should see; 8 KiB of JSON at most."
    )
    draining: bool = Field(default=False, description="Finishes what it has, and takes nothing new.")
    backend: JoinBody | None = Field(
        default=None,
        description="For the kind `backend`, and only there: it joins its pool while it is online.",
    )


def beat_of(body: HeartbeatBody, topology: Topology) -> Beat:
    """The heartbeat to keep. Raises a 422 `Problem` that names the field."""
    if len(body.service) > MOST_NAME_CHARS or not _NAME.fullmatch(body.service):
        raise invalid(
            "service",
            "must be letters, digits and . _ : @ -, in parts between slashes that begin with a letter or digit,"
            f" {MOST_NAME_CHARS} characters at most",
        )
    _check_metadata(body.metadata)
    backend = None
    if body.kind is ServiceKind.BACKEND:
        if body.backend is None:
            raise invalid("backend", "is needed for a service of the kind backend")
        backend = _backend(body.service, body.backend, topology)
    elif body.backend is not None:
        raise invalid("backend", f"belongs to the kind backend, and this is of the kind {body.kind}")
    return Beat(
        name=body.service,
        kind=body.kind,
        version=body.version,
        capabilities=body.capabilities,
        load=body.load,
        metadata=body.metadata,
        draining=body.draining,
        backend=backend,
    )


def _check_metadata(metadata: JsonObject) -> None:
    try:
        size = len(orjson.dumps(metadata))
    except TypeError:
        raise invalid("metadata", "holds a number beyond 64 bits, or is nested too deeply") from None
    if size > MOST_METADATA_BYTES:
        raise invalid("metadata", f"holds {size} bytes of JSON, and {MOST_METADATA_BYTES} are the most")


def _backend(name: str, body: JoinBody, topology: Topology) -> Backend:
    """Backends of one pool stand in for each other unseen, so they must be alike."""
    if any(name == backend.name for backend in topology.backends):
        raise invalid("service", f"a configured backend has the name {name}; join under another")
    pools = topology.pools()
    if not pools.get(body.pool):
        raise invalid("backend.pool", f"there is no pool {body.pool}; there are {', '.join(sorted(pools))}")
    like = pools[body.pool][0]
    if body.model != like.model:
        raise invalid("backend.model", f"the pool serves the model {like.model}")
    if body.window_tokens < like.window_tokens:
        raise invalid(
            "backend.window_tokens", f"the pool's turns may need {like.window_tokens}; that is the least"
        )
    if body.kind is BackendKind.ANTHROPIC and body.dialect is not Dialect.GENERIC:
        raise invalid("backend.dialect", "only backends of the kind openai have a dialect")
    return Backend(
        name=name,
        kind=body.kind,
        dialect=body.dialect,
        thinking=like.thinking,
        base_url=_url(body),
        model=body.model,
        slots=body.slots,
        window_tokens=body.window_tokens,
        locality=_locality(body, like),
        capabilities=_like(body, like) if body.capabilities is None else body.capabilities,
        pool=body.pool,
    )


def _like(body: JoinBody, like: Backend) -> tuple[Capability, ...]:
    """What the pool's model can do; and its server, where this one is of the same make."""
    same = body.dialect is like.dialect and body.kind is like.kind
    return tuple(each for each in like.capabilities if same or each not in _OF_THE_SERVER)


def _url(body: JoinBody) -> str:
    """The base URL. It is never quoted, for it may hold a secret."""
    url = body.base_url.rstrip("/")
    if wrong := objection(url):
        # What the configuration is told about keys does not hold here.
        raise invalid("backend.base_url", wrong.partition("; name the key's")[0])
    if body.kind is BackendKind.ANTHROPIC and url.endswith("/v1"):
        raise invalid("backend.base_url", "Anthropic's client adds /v1 itself: leave it out")
    return url


def _locality(body: JoinBody, like: Backend) -> Locality:
    """As it is said, else as the URL tells; never so that a call leaves the building that the pool keeps inside."""
    locality = body.locality or locality_of(body.base_url)
    if locality is Locality.LOCAL and (vendor := vendor_of(body.base_url)):
        raise invalid("backend.locality", f"{vendor} is not in the building: it is cloud")
    if locality is not like.locality:
        said = "" if body.locality else "; if the address is misleading, say which it is"
        raise invalid("backend.locality", f"the pool is {like.locality}, and this would be {locality}{said}")
    return locality
