"""GPU cards: who is resident, who holds, who waits; and the moves that put models on a card and take them off.

A card's id is `<host>/<index>`, its VRAM is counted in MiB. Everything here may stand in a workflow history.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class HostKind(StrEnum):
    """How a resident gets on and off its card.

    PROCESS: we start and stop it. VLLM: it runs by itself, and sleeps or wakes when told. COMFYUI: it runs by
    itself, and frees its models when told.
    """

    PROCESS = "process"
    VLLM = "vllm"
    COMFYUI = "comfyui"


class Residency(StrEnum):
    """Where a resident is. ASLEEP keeps `asleep_mib` and comes back quickly.

    UNKNOWN: a move did not do what it promised, or nobody can tell; it is counted with all that it may hold.
    """

    ABSENT = "absent"
    ASLEEP = "asleep"
    AWAKE = "awake"
    UNKNOWN = "unknown"


class Posture(StrEnum):
    """What an operator wants of a card. ASLEEP parks it: every resident rests and nobody gets a hold."""

    AWAKE = "awake"
    ASLEEP = "asleep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A model (or another tenant of VRAM) that may live on a card, as it is configured.

    `mib` is what it takes while it is awake, `asleep_mib` while it rests. `base_url` is the root of its server,
    under which its health is asked for. `command` starts a PROCESS; `sleep_level` is a VLLM's (1 keeps the
    weights in main memory, 2 drops them). One that is `on_demand` comes when it is held and rests once nobody
    has held it for `idle`; any other comes with its card and leaves only when that is parked. While idle it may
    be evicted for a hold of the same priority or a more urgent one (1 is the most urgent).
    """

    name: str
    card: str
    kind: HostKind
    mib: int
    base_url: str
    asleep_mib: int = 0
    command: tuple[str, ...] = ()
    sleep_level: int = 1
    priority: int = 5
    on_demand: bool = True
    idle: timedelta = timedelta(minutes=5)
    start_timeout: timedelta = timedelta(minutes=5)

    @property
    def rest(self) -> Residency:
        """What it is after it has left: a process ends, a server that runs by itself sleeps."""
        return Residency.ABSENT if self.kind is HostKind.PROCESS else Residency.ASLEEP

    def footprint(self, residency: Residency) -> int:
        """The MiB that are counted for it."""
        match residency:
            case Residency.ABSENT:
                return 0
            case Residency.ASLEEP:
                return self.asleep_mib
            case Residency.AWAKE | Residency.UNKNOWN:
                return self.mib


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSpec:
    """A card as it is configured. `vram_mib` less `reserve_mib` is what residents and jobs may take.

    `hog` bounds for how long holders of one resident may keep letting others in while somebody waits whom they
    are in the way of. A waiter becomes more urgent by one for each `aging` that it has waited.
    """

    card: str
    vram_mib: int
    reserve_mib: int = 0
    hog: timedelta = timedelta(seconds=30)
    aging: timedelta = timedelta(minutes=1)
    residents: tuple[Resident, ...] = ()

    @property
    def host(self) -> str:
        """The host's name."""
        return self.card.rpartition("/")[0]

    @property
    def index(self) -> int:
        """The card's number on its host, as NVML counts."""
        return int(self.card.rpartition("/")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldAsk:
    """Asks a card for a hold. `lease` is the asker's own id of it: asking twice is asking once.

    With a `resident` the hold is of that model, shared with its other holders, and `mib` is not looked at; with
    none it is a job's own `mib`. `holder` is the id of the workflow that is told (by the signal
    `lease-decided`); `holder_run` its run. `priority` is 1 (most urgent) to 5. `what` names it for people.
    """

    lease: str
    holder: str
    holder_run: str
    priority: int
    ttl: timedelta
    resident: str | None = None
    mib: int = 0
    what: str = ""
    tenant_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A hold that was granted. `token` fences: it grows with every grant of the card, and work that brings one
    whose lease is over is turned away. `waited_ms` is how long it took, loading included.
    """

    lease: str
    card: str
    token: int
    expires_at: datetime
    resident: str | None = None
    mib: int = 0
    waited_ms: int = 0


class Denial(StrEnum):
    """Why there is no hold, or no more. These stand in routes as the codes of rungs that were left."""

    NEVER_FITS = "never_fits"
    CARD_ASLEEP = "card_asleep"
    CARD_UNKNOWN = "card_unknown"
    MOVE_FAILED = "move_failed"
    NO_ROOM = "no_room"
    LEASE_LOST = "lease_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseDecision:
    """What a card tells a holder: its lease, or why there is none (any more)."""

    lease: str
    granted: Lease | None = None
    denial: Denial | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRef:
    """Names a lease, to renew or to release it (a waiting one is withdrawn).

    With a `holder`, a renewal of a lease that the card does not know is answered to it: that lease is lost.
    """

    lease: str
    token: int | None = None
    holder: str = ""
    holder_run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAsk:
    """Asks the card's host to bring a resident to a residency. Safe to run twice.

    `number` grows with every move of the card: a host that has seen a higher one does nothing. `vram_mib` is the
    declared size, for hosts that cannot measure; `before_mib` what the card counts as taken by everything else
    that is on it.
    """

    card: str
    resident: Resident
    to: Residency
    number: int
    vram_mib: int
    before_mib: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveDone:
    """What came of a move: where the resident is now. Not `ok`: it is not where it was to be, and `why`.

    `free_mib` is what was measured on the card afterwards; None where nothing can be measured.
    """

    resident: str
    number: int
    residency: Residency
    ok: bool
    why: str = ""
    free_mib: int | None = None
    took_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a host finds of one resident. `generation` changes when its process is another one."""

    resident: str
    residency: Residency
    why: str = ""
    generation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectAsk:
    """Asks a host what is true of a card."""

    spec: CardSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What is true of a card, by its host's own look. `free_mib` is None where it cannot be measured."""

    card: str
    residents: tuple[Found, ...]
    free_mib: int | None = None
    total_mib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentView:
    """A resident, as a card tells of it. `moving_to` while a move is under way."""

    name: str
    residency: Residency
    mib: int
    asleep_mib: int
    on_demand: bool
    moving_to: Residency | None = None
    holders: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """A hold. `token` is None while it waits."""

    lease: str
    holder: str
    what: str
    priority: int
    resident: str | None
    mib: int
    since: datetime
    token: int | None = None
    expires_at: datetime | None = None
    tenant_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """A card, as it tells of itself. `free_mib` is counted, `measured_free_mib` what its host last measured.

    `problem` says in a line what does not fit together, until it is repaired. `revision` grows with each change
    of residents, posture or problem.
    """

    card: str
    posture: Posture
    vram_mib: int
    reserve_mib: int
    free_mib: int
    measured_free_mib: int | None = None
    residents: tuple[ResidentView, ...] = ()
    leases: tuple[LeaseView, ...] = ()
    waiters: tuple[LeaseView, ...] = ()
    granted: int = 0
    problem: str = ""
    revision: int = 0
    at: datetime | None = None
    more: int = 0
    """Leases and waiters that were left out to keep the view small."""
    looking: bool = False
    """Its host is asked what is true; what the view says may change with the answer."""

    def resident(self, name: str) -> ResidentView | None:
        """The resident of that name."""
        return next((each for each in self.residents if each.name == name), None)
