"""An offer book as the market has them: drawn by a seed, in the market's own fields.

Shapes after what is publicly listed: prices scatter by a factor of three round the GPU's usual one, bandwidth is
log-normal with a long tail to 10 Gb/s, most hosts take nothing for traffic and some up to 4 cents a gigabyte, and
a machine with several GPUs is listed once for each number of them that it lets.
"""

import random
from typing import Any

GPUS: tuple[tuple[str, int, float, float], ...] = (
    # name, MB of VRAM, usual $/h, how common
    ("RTX 3090", 24576, 0.16, 14),
    ("RTX 4090", 24564, 0.36, 26),
    ("RTX 5090", 32607, 0.55, 18),
    ("RTX A6000", 49140, 0.45, 8),
    ("L40S", 46068, 0.62, 6),
    ("RTX 6000Ada", 49140, 0.70, 5),
    ("RTX PRO 6000 WS", 97887, 1.10, 6),
    ("A100 SXM4", 81920, 0.85, 6),
    ("H100 SXM", 81559, 1.95, 5),
    ("H200", 143771, 2.50, 2),
    ("RTX 3060", 12288, 0.07, 8),
    ("RTX 4070", 12282, 0.10, 4),
)
PLACES = (
    ("California, US", 14), ("Texas, US", 9), ("Washington, US", 5), ("Quebec, CA", 6), ("Sweden, SE", 6),
    ("Norway, NO", 4), ("Germany, DE", 6), ("France, FR", 4), ("Czechia, CZ", 5), ("Bulgaria, BG", 5),
    ("Poland, PL", 3), ("Ukraine, UA", 3), ("South Korea, KR", 4), ("Taiwan, TW", 6), ("Vietnam, VN", 4),
    ("China, CN", 8), ("Australia, AU", 3), ("United Kingdom, GB", 3),
)  # fmt: skip


def book(seed: int, machines: int = 300) -> list[dict[str, Any]]:
    """The offers of so many machines, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 (drawn, not guessed)
    offers: list[dict[str, Any]] = []
    for machine in range(machines):
        offers.extend(_machine(rng, 10_000 + machine, len(offers)))
    return offers


def offer(identifier: int, **fields: Any) -> dict[str, Any]:
    """One good offer, but for the fields that are given."""
    return {
        "id": identifier,
        "machine_id": 500 + identifier,
        "host_id": 90 + identifier,
        "gpu_name": "RTX 4090",
        "num_gpus": 1,
        "gpu_ram": 24564,
        "cpu_ram": 64_000,
        "cuda_max_good": 12.8,
        "dph_base": 0.4,
        "storage_cost": 0.15,
        "disk_space": 400.0,
        "inet_down": 2000.0,
        "inet_up": 900.0,
        "inet_down_cost": 0.002,
        "inet_up_cost": 0.004,
        "reliability": 0.995,
        "geolocation": "Sweden, SE",
        "direct_port_count": 32,
        "duration": 30 * 86_400.0,
        "verified": True,
        "external": False,
        "rentable": True,
        "rented": False,
        **fields,
    }


def _machine(rng: random.Random, machine: int, first: int) -> list[dict[str, Any]]:
    name, vram, usual, _ = rng.choices(GPUS, weights=[gpu[3] for gpu in GPUS])[0]
    place = rng.choices([name for name, _ in PLACES], weights=[share for _, share in PLACES])[0]
    dear = min(2.6, max(0.55, rng.lognormvariate(0, 0.3)))
    # Half of the hosts sit behind a domestic line, a third in data centres.
    centre = rng.random() < 0.35
    down = rng.lognormvariate(7.6, 0.6) if centre else rng.lognormvariate(6.1, 0.8)
    traffic = 0.0 if rng.random() < 0.35 else min(0.04, rng.lognormvariate(-5.8, 1.0))
    good = rng.random()
    reliability = 0.995 + rng.random() * 0.0049 if good < 0.7 else 0.9 + rng.random() * 0.095
    each = {
        "machine_id": machine,
        "host_id": machine // 4,
        "gpu_name": name,
        "gpu_ram": vram,
        "cpu_ram": rng.choice((32_000, 64_000, 128_000, 256_000)),
        "cuda_max_good": rng.choices((12.2, 12.4, 12.6, 12.8, 13.0), weights=(6, 14, 16, 40, 24))[0],
        "storage_cost": round(rng.choice((0.1, 0.15, 0.15, 0.2, 0.3, 0.5)), 3),
        "inet_down": round(min(9800.0, max(25.0, down)), 1),
        "inet_up": round(min(9800.0, max(10.0, down * rng.uniform(0.2, 1.0))), 1),
        "inet_down_cost": round(traffic, 5),
        "inet_up_cost": round(traffic * 1.5, 5),
        "reliability": round(reliability, 4),
        "geolocation": place,
        "direct_port_count": rng.choices((0, 2, 16, 100), weights=(4, 6, 40, 50))[0],
        "duration": rng.choice((0.5, 3, 14, 30, 90, 180)) * 86_400.0,
    }
    gpus = rng.choices((1, 2, 4, 8), weights=(50, 20, 20, 10))[0]
    disk = rng.choice((80.0, 200.0, 500.0, 1500.0, 4000.0))
    sizes = [size for size in (1, 2, 4, 8) if size <= gpus]
    return [
        offer(
            1_000_000 + first + place_in,
            **each,
            num_gpus=size,
            disk_space=round(disk * size / gpus, 1),
            dph_base=round(usual * dear * size, 4),
        )
        for place_in, size in enumerate(sizes)
    ]
