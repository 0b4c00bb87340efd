"""Snapshots of cards: the newest stays, whatever comes late."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from activities.contracts.cards import CardView, LeaseView, Posture, Residency, ResidentView
from infra.postgres.cards import PostgresCards
from infra.postgres.database import Database

AT = datetime(2026, 1, 1, tzinfo=UTC)


def shown(card: str, revision: int, seconds: int = 0) -> CardView:
    return CardView(
        card=card,
        posture=Posture.AWAKE,
        vram_mib=100,
        reserve_mib=0,
        free_mib=40,
        residents=(
            ResidentView(
                name="a", residency=Residency.AWAKE, mib=60, asleep_mib=0, on_demand=True, holders=1
            ),
        ),
        leases=(
            LeaseView(
                lease="l",
                holder="h",
                what="w",
                priority=1,
                resident="a",
                mib=0,
                since=AT,
                token=7,
                expires_at=AT,
            ),
        ),
        revision=revision,
        at=AT + timedelta(seconds=seconds),
    )


async def test_the_newest_view_of_each_card_stays(database: Database) -> None:
    cards = PostgresCards(database)
    before = {view.card for view in await cards.views()}
    one, other = shown("shelf/0", 5), shown("shelf/1", 1)
    await cards.publish(one)
    await cards.publish(other)
    await cards.publish(shown("shelf/0", 4, seconds=9))
    assert [view for view in await cards.views() if view.card not in before] == [one, other]
    later = replace(shown("shelf/0", 5, seconds=1), granted=3)
    await cards.publish(later)
    await cards.publish(one)
    await cards.publish(later)
    assert [view for view in await cards.views() if view.card not in before] == [later, other]
