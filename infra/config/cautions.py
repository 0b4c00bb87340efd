"""What a configuration may well be meant to say, and is worth a second look."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from activities.contracts.backends import Locality, Price
from activities.contracts.topology import Topology
from infra.config.mistakes import Finding

STALE = timedelta(days=90)
"""A price that was read longer ago has probably changed."""


def cautions(topology: Topology, env: Mapping[str, str], today: date) -> Iterator[Finding]:
    """Keys that are not set, prices that are old or missing."""
    for backend in topology.backends:
        path = ("backends", backend.name)
        variable = backend.api_key_env
        if variable and not env.get(variable, "").strip():
            text = f"the environment variable {variable} is not set here"
            yield Finding((*path, "api_key_env"), text)
        if backend.price:
            yield from _dated(backend.price, (*path, "price"), today)
        elif backend.locality is Locality.CLOUD:
            yield Finding(path, "without a price, a turn whose money is capped passes this backend over")
    if topology.reference and all(backend.price != topology.reference.price for backend in topology.backends):
        yield from _dated(topology.reference.price, ("money", "reference"), today)


def _dated(price: Price, path: tuple[str, ...], today: date) -> Iterator[Finding]:
    age = today - date.fromisoformat(price.read_on)
    if age > STALE:
        yield Finding(path, f"this price was read {age.days} days ago, on {price.read_on}: read it again")
    elif age < timedelta(days=-1):
        # A day of grace, for it may be tomorrow already where the price was read.
        yield Finding(path, f"this price was read on {price.read_on}, which is yet to come")
