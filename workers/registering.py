"""What a worker process tells the registry: itself, the pools that it serves, the cards that it is the host of."""

from collections.abc import Callable, Sequence
from importlib.metadata import version

from activities.contracts.cards import CardSpec
from activities.contracts.pools import PoolView
from activities.contracts.registry import Beat, ServiceKind
from workers.pools.identity import process_name


def told_by_worker(
    fleets: Sequence[str],
    pools: Callable[[], Sequence[PoolView]] = tuple,
    cards: Sequence[CardSpec] = (),
) -> Callable[[], Sequence[Beat]]:
    """What to beat, this process first. Its pools are looked at anew for every beat."""
    ours = version("aither")

    def tell() -> Sequence[Beat]:
        served = pools()
        return [
            Beat(
                name=f"worker/{process_name()}",
                kind=ServiceKind.WORKER,
                version=ours,
                capabilities=tuple(fleets),
                load=_share(served),
                metadata={"pools": [pool.pool for pool in served]},
            ),
            *(
                Beat(
                    name=f"pool/{pool.pool}",
                    kind=ServiceKind.POOL,
                    version=ours,
                    capabilities=tuple(dict.fromkeys(member.model for member in pool.members)),
                    load=_share([pool]),
                )
                for pool in served
            ),
            *(
                Beat(
                    name=f"card/{card.card}",
                    kind=ServiceKind.CARD,
                    version=ours,
                    capabilities=tuple(resident.name for resident in card.residents),
                    metadata={"vram_mib": card.vram_mib, "reserve_mib": card.reserve_mib},
                )
                for card in cards
            ),
        ]

    return tell


def _share(pools: Sequence[PoolView]) -> float | None:
    """Slots in use, of those there are; None without any."""
    slots = sum(pool.slots for pool in pools)
    return min(1.0, sum(pool.used for pool in pools) / slots) if slots else None
