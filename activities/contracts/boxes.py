"""Boxes that join: what one is told to do, and what it tells of itself. Nothing here holds a key or a signed URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from activities.contracts.backends import Backend


class BoxPhase(StrEnum):
    """How far a box has got, by its own word. EXPECTED has not joined; FAILED says why and waits for its end."""

    EXPECTED = "expected"
    JOINED = "joined"
    PULLING = "pulling"
    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"
    FAILED = "failed"


class BoxWish(StrEnum):
    """What we want of a box, told with every heartbeat. LEAVE stops its server and ends the agent."""

    SERVE = "serve"
    DRAIN = "drain"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNeed:
    """A file, or with a slash at its end a folder, that the box wants: `aither://models/shared/qwen3/`.

    A required one that cannot be had fails the box; an optional one is told of and left out.
    """

    uri: str
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the box keeps time. `silence` is how long it lives without a word from us.

    `start` bounds the server's start, `connections` and `part_bytes` a file's download; `files` run at once.
    """

    heartbeat: timedelta = timedelta(seconds=30)
    silence: timedelta = timedelta(minutes=15)
    start: timedelta = timedelta(minutes=20)
    files: int = 4
    connections: int = 8
    part_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxPlan:
    """What a box of a lease does once it has joined.

    `command` is run without a shell; in it, and in the values of `env`, `{models}` is the folder of the pulled
    files and `{port}` the port that the server listens on. `backend` is how the pool asks it; its `base_url` is
    used as it stands unless the lease is told of another (`PostgresBoxes.locate`). `external` says that the box
    is outside of the house: it is handed no internal host's name and no token. `tenant_id` is whose files it may
    have beside the shared ones.
    """

    command: tuple[str, ...]
    backend: Backend
    port: int
    models: tuple[ModelNeed, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    health_path: str = "/health"
    metrics_path: str = "/metrics"
    external: bool = True
    tenant_id: str | None = None
    pace: Pace = Pace()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxReport:
    """What a box says in a heartbeat. `idle_s` is how long its server has had nothing to do.

    `missing` names models that could not be had, and why; `detail` says what it is at, or why it failed.
    """

    phase: BoxPhase
    calls: int = 0
    tokens: int = 0
    load: float | None = None
    idle_s: float = 0.0
    pulled_bytes: int = 0
    total_bytes: int = 0
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    detail: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxView:
    """A lease's box as it is known here. `age_s` is how long ago it was last heard of; None before it joined."""

    lease_id: str
    attempt: int
    phase: BoxPhase
    report: BoxReport
    base_url: str
    joins: int
    joined_at: datetime | None = None
    age_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRefusal:
    """Attempts to speak as a box that were refused: how many of one kind within a minute."""

    lease_id: str
    reason: str
    times: int
    minute: datetime
