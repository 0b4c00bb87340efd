"""Sees to it that every configured card has its workflow."""

from temporalio.client import Client

from activities.contracts.topology import Topology
from workflows.starts import ensure_card


async def ensure_cards(client: Client, topology: Topology) -> None:
    """Starts the cards' workflows, or brings those that run up to date. Safe to run by many workers at once."""
    for spec in topology.cards:
        await ensure_card(client, spec)
