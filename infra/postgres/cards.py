"""Snapshots of GPU cards: what each has told of itself last, for those who do not want to ask its workflow."""

import msgspec

from activities.contracts.cards import CardView
from infra.postgres.database import Connection, Database

PATIENCE_S = 5.0

_view = msgspec.json.Decoder(CardView)


class PostgresCards:
    """Implements `activities.cards.CardShelf`, and reads it. Of no tenant."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def publish(self, view: CardView) -> None:
        """Keeps this view unless a newer one is there: late and repeated ones change nothing."""

        async def query(connection: Connection) -> None:
            await connection.execute(
                "insert into aither.cards as c (card, revision, view, at)"
                " values ($1, $2, $3, coalesce($4, clock_timestamp()))"
                " on conflict (card) do update set revision = excluded.revision, view = excluded.view,"
                " at = excluded.at, updated_at = clock_timestamp()"
                " where (excluded.revision, excluded.at) > (c.revision, c.at)",
                view.card,
                view.revision,
                msgspec.json.encode(view).decode(),
                view.at,
            )

        await self._db.run(query, patience=PATIENCE_S)

    async def views(self) -> tuple[CardView, ...]:
        """All cards that have ever told of themselves, by name."""
        rows = await self._db.run(lambda c: c.fetch("select view from aither.cards order by card"))
        return tuple(_view.decode(row["view"]) for row in rows)
