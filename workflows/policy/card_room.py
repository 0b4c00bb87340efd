"""Arithmetic of a card's VRAM, in MiB: what is taken, what may be taken, what could never fit."""

from activities.contracts.cards import Posture, Residency, Resident
from workflows.policy.card_state import CardState, Seat


def budget(card: CardState) -> int:
    """What residents and jobs may take together."""
    return card.spec.vram_mib - card.spec.reserve_mib


def stays(card: CardState, resident: Resident) -> bool:
    """Whether its room is kept for it whether it is there or not."""
    return not resident.on_demand and card.posture is Posture.AWAKE and resident in card.spec.residents


def leaves(card: CardState, resident: Resident) -> bool:
    """Whether it may be brought to rest while nobody holds it."""
    return not stays(card, resident)


def footprint(card: CardState, resident: Resident) -> int:
    """What is counted for it where it is; on its way, the larger of both ends."""
    move = card.move
    if move is not None and move.resident.name == resident.name:
        return max(move.resident.footprint(move.origin), move.resident.footprint(move.to))
    return resident.footprint(card.seats.get(resident.name, Seat()).residency)


def claim(card: CardState, resident: Resident) -> int:
    """What nobody else may have because of it."""
    here = footprint(card, resident)
    return max(here, resident.mib) if stays(card, resident) else here


def claim_ahead(card: CardState, resident: Resident) -> int:
    """What it will claim once the move under way is done."""
    if card.move is None or not card.moving(resident.name) or stays(card, resident):
        return claim(card, resident)
    return resident.footprint(card.move.to)


def job_mib(card: CardState) -> int:
    """What jobs hold."""
    return sum(held.ask.mib for held in card.leases.values() if held.ask.resident is None)


def taken(card: CardState) -> int:
    """What cannot be given to anybody now."""
    return sum(claim(card, each) for each in card.residents.values()) + job_mib(card)


def standing(card: CardState, *, without: str = "") -> int:
    """What is counted as being on the card, less one resident."""
    there = (footprint(card, each) for name, each in card.residents.items() if name != without)
    return sum(there) + job_mib(card)


def largest(card: CardState, *names: str | None) -> int:
    """The most that holds of these residents (None: of jobs) could ever have beside those that never leave."""
    never = 0
    for each in card.spec.residents:
        if each.name not in names:
            never += each.footprint(each.rest) if each.on_demand else each.mib
    return budget(card) - never


def may_come(card: CardState, resident: Resident) -> bool:
    """Whether it could be awake now without the card being over."""
    return standing(card, without=resident.name) + resident.footprint(Residency.AWAKE) <= budget(card)
