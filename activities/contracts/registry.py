"""The registry: which services there are, told by their heartbeats."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from activities.contracts.backends import Backend

HEARTBEAT_EVERY = timedelta(seconds=30)
MISSED = 3
"""Heartbeats that a service may miss before it counts as offline."""


class ServiceKind(StrEnum):
    """What a service is. A BACKEND becomes a member of its pool for as long as it is online."""

    API = "api"
    WORKER = "worker"
    POOL = "pool"
    CARD = "card"
    BACKEND = "backend"
    OTHER = "other"


class ServiceStatus(StrEnum):
    """ONLINE until `MISSED` heartbeats are missed. DRAINING takes no new work; LEFT said goodbye."""

    ONLINE = "online"
    DRAINING = "draining"
    OFFLINE = "offline"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as the registry knows it. `load` is 0 (idle) to 1 (full), None where it does not say.

    `age_s` is how long ago it was last heard of, by the database's clock. `backend` is how a BACKEND is asked.
    """

    name: str
    kind: ServiceKind
    status: ServiceStatus
    first_seen: datetime
    last_seen: datetime
    version: str = ""
    capabilities: tuple[str, ...] = ()
    load: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    age_s: float = 0.0
    backend: Backend | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A heartbeat: all that a service says of itself. `backend` is needed for a BACKEND, and for no other."""

    name: str
    kind: ServiceKind
    version: str = ""
    capabilities: tuple[str, ...] = ()
    load: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    draining: bool = False
    backend: Backend | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedBackend:
    """A backend that joined by heartbeat, ready to be a member of `backend.pool`."""

    backend: Backend
    draining: bool = False
