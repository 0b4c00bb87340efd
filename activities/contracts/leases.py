"""Rented boxes: what the market offers, what a lease needs of it, what was ordered, and what the market says of it.

Prices are in US dollars as the market quotes them (an hour of 3600 s, a gigabyte of 1e9 bytes, a month of 730
hours); what was spent is counted elsewhere, in nano-dollars. Ids are the market's own, as text. Everything here
but a `BoxOrder` may stand in a workflow history: an order's environment carries the box's secrets.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Purpose(StrEnum):
    """What a box is rented for, which decides how offers are weighed."""

    REASONING = "reasoning"
    IMAGES = "images"


class LeaseState(StrEnum):
    """Where a lease is. GONE, FAILED and DENIED are ends: nothing of theirs may be at the market."""

    ASKED = "asked"
    APPROVED = "approved"
    RENTING = "renting"
    BOOTING = "booting"
    JOINING = "joining"
    SERVING = "serving"
    DRAINING = "draining"
    DESTROYING = "destroying"
    GONE = "gone"
    FAILED = "failed"
    DENIED = "denied"

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self in {LeaseState.GONE, LeaseState.FAILED, LeaseState.DENIED}

    @property
    def may_have_a_box(self) -> bool:
        """Whether an instance with the lease's label has a right to be there, or may be about to appear."""
        return not self.ended and self not in {LeaseState.ASKED, LeaseState.APPROVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a purpose needs of a box, and what it may cost.

    `vram_mib` is over all `gpus` together, `cuda` the newest version that the image needs. `image_gb` and
    `model_gb` are what a fresh box downloads; `load` is from the model's files to the first answer, `boot` what
    the market takes besides. `hours`, above 0, is for how long a lease is expected to be of use: what is paid
    once, the download, is spread over it. `usd_per_hour` is the most that the real price may be, all told.
    `regions` are country codes ("SE") or parts of the market's own words; empty for anywhere. `machines_out`
    are machines that failed before.
    """

    purpose: Purpose
    vram_mib: int
    usd_per_hour: float
    image_gb: float
    model_gb: float
    gpus: int = 1
    disk_gb: float = 100.0
    cuda: float = 12.4
    reliability: float = 0.98
    inet_down_mbps: float = 1000.0
    regions: tuple[str, ...] = ()
    regions_out: tuple[str, ...] = ()
    gpu_names: tuple[str, ...] = ()
    machines_out: tuple[str, ...] = ()
    direct_ports: int = 1
    hours: float = 2.0
    load: timedelta = timedelta(seconds=90)
    boot: timedelta = timedelta(seconds=60)

    @property
    def lasts(self) -> timedelta:
        """How long an offer must be there for, at the least."""
        return timedelta(hours=self.hours)


class OfferOrder(StrEnum):
    """What a search puts first, where the market has more offers than `BoxSpec.limit`."""

    FASTEST = "fastest"
    CHEAPEST = "cheapest"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxSpec:
    """One search. It narrows only by what makes an offer useless for the purpose; the ranking judges the rest."""

    gpus: int
    vram_mib: int
    disk_gb: float
    order: OfferOrder
    gpu_names: tuple[str, ...] = ()
    limit: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One offer. `vram_mib` is of one GPU; `usd_per_hour` is without storage.

    `region` is the market's own text, such as "Sweden, SE". `lasts` is for how long the host lets it, None
    where that is not said.
    """

    id: str
    machine: str
    gpu: str
    gpus: int
    vram_mib: int
    usd_per_hour: float
    storage_usd_per_gb_month: float
    inet_down_mbps: float
    inet_down_usd_per_gb: float
    disk_gb: float
    cuda: float
    reliability: float
    inet_up_mbps: float = 0.0
    inet_up_usd_per_gb: float = 0.0
    region: str = ""
    host: str = ""
    direct_ports: int = 0
    lasts: timedelta | None = None

    @property
    def vram_in_all_mib(self) -> int:
        """The VRAM of all its GPUs."""
        return self.vram_mib * self.gpus


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedOffer:
    """An offer that will do, and what it comes to.

    `storage_usd_per_hour` is billed from the rental until the box is destroyed; `download_usd` once.
    `real_usd_per_hour` is GPU, storage and the download's share of an hour. `useful_in` is from the rental to
    the first answer. `usd_per_useful_hour` is all that the lease will have cost, for each hour that it serves.
    """

    offer: Offer
    storage_usd_per_hour: float
    download_usd: float
    real_usd_per_hour: float
    useful_in: timedelta
    usd_per_useful_hour: float


class Drop(StrEnum):
    """Why an offer will not do."""

    EXCLUDED = "excluded"
    GPU = "gpu"
    VRAM = "vram"
    CUDA = "cuda"
    DISK = "disk"
    PORTS = "ports"
    REGION = "region"
    RELIABILITY = "reliability"
    NETWORK = "network"
    ENDS_SOON = "ends_soon"
    PRICE = "price"
    SAME_MACHINE = "same_machine"
    ODD = "odd"


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedOffer:
    """An offer that will not do; `why` says it to a person, with the figures."""

    offer: Offer
    drop: Drop
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """A search, judged: the best first, and everything else with its reason."""

    ranked: tuple[RankedOffer, ...]
    dropped: tuple[DroppedOffer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOrder:
    """What is rented. The host of the box can read all of it: no secret that outlives the lease.

    `label` finds the instance again when the answer to the order was lost, so it is unique to one attempt.
    With `args` the image's entrypoint runs with them; with `onstart` a shell runs that instead. `ports` are TCP
    ports of the box that the market maps to public ones.
    """

    image: str
    label: str
    disk_gb: float
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ports: tuple[int, ...] = ()
    onstart: str = field(default="", repr=False)
    args: tuple[str, ...] = ()


class InstanceState(StrEnum):
    """What the market says of an instance. What it says nothing of yet is CREATED, in a new word LOADING."""

    CREATED = "created"
    LOADING = "loading"
    RUNNING = "running"
    STOPPED = "stopped"
    FROZEN = "frozen"
    EXITED = "exited"
    REBOOTING = "rebooting"
    OFFLINE = "offline"
    UNKNOWN = "unknown"

    @property
    def failed_boot(self) -> bool:
        """Whether a box that has not joined yet will not: waiting longer only costs."""
        return self in {
            InstanceState.STOPPED,
            InstanceState.FROZEN,
            InstanceState.EXITED,
            InstanceState.OFFLINE,
            InstanceState.UNKNOWN,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance as the market tells of it. It bills for storage from its creation until it is destroyed.

    `usd_per_hour` is what the GPU costs now, which the host may have raised, `storage_usd_per_hour` what is
    billed besides; None where the market does not say: then what was agreed on counts. `ports` are pairs of the
    box's own TCP port and the public one at `address`, empty until it runs. `created_at` is the market's word.
    """

    id: str
    label: str
    state: InstanceState
    machine: str = ""
    gpu: str = ""
    usd_per_hour: float | None = None
    storage_usd_per_hour: float | None = None
    status_message: str = ""
    address: str | None = None
    ports: tuple[tuple[int, int], ...] = ()
    created_at: datetime | None = None

    @property
    def failed_boot(self) -> bool:
        """Whether it will never come up: by its state, or by what its runtime said of the container."""
        return self.state.failed_boot or "OCI runtime create failed" in self.status_message

    def public_port(self, port: int) -> int | None:
        """The public port that leads to the box's own; None where it is not mapped (yet)."""
        return dict(self.ports).get(port)
