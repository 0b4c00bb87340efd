"""Who turns are for, in PostgreSQL."""

from activities.contracts.agreement import Asker
from activities.errors import TurnNotFound
from infra.postgres.database import Database
from infra.postgres.turns import PATIENCE_S


class PostgresAskers:
    """Implements `activities.agreeing.Askers`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def asker(self, tenant_id: str, turn_id: str) -> Asker:
        """See `Askers`."""
        row = await self._db.in_tenant(
            tenant_id,
            lambda c: c.fetchrow(
                "select t.key_id, k.name as key_name, t.agent, t.conversation_id, t.job_id, ("
                "   select coalesce(sum(h.input_bytes + a.text_bytes), 0)::bigint from aither.turns h"
                "   join aither.answers a on a.tenant_id = h.tenant_id and a.turn_id = h.id and a.step = h.answer_step"
                "   where h.tenant_id = t.tenant_id and h.conversation_id = t.conversation_id and h.seq < t.seq"
                " ) as history_bytes"
                " from aither.turns t join aither.api_keys k on k.tenant_id = t.tenant_id and k.id = t.key_id"
                " where t.tenant_id = $1 and t.id = $2",
                tenant_id,
                turn_id,
            ),
            patience=PATIENCE_S,
        )
        if row is None:
            raise TurnNotFound(f"there is no turn {turn_id}")
        return Asker(**row)
