"""Users of an identity provider: each is a key of its tenant, that is made with the first token."""

import msgspec

from activities.contracts.policy import Bounds
from activities.errors import AitherError
from infra.postgres.database import Database
from infra.postgres.keys import Caller, Role

USER_PREFIX = "jwt:"
"""What the id of a user's key starts with; the provider's id of the user follows."""

_bounds = msgspec.json.Decoder(Bounds)


class UserNotAdmitted(AitherError):
    """The tenant does not exist, or the user was shut out; says what would change it."""

    code = "forbidden"


class PostgresUsers:
    """Admits users whose tokens are good."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def admit(
        self, tenant_id: str, subject: str, *, name: str, role: Role, person: str | None
    ) -> Caller:
        """The caller that the user is. Raises `UserNotAdmitted` and `StoreUnavailable`.

        Role, name and person are the provider's word; bounds, priority and revocation are the house's own.
        """
        key_id = USER_PREFIX + subject
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select * from aither.admit_user($1, $2, $3, $4, $5)",
                tenant_id,
                key_id,
                name,
                role.value,
                person,
            ),
            patience=5.0,
        )
        if row is None:
            raise UserNotAdmitted(
                f"there is no tenant {tenant_id}; `aither tenant create {tenant_id}` makes it"
            )
        if row["revoked"]:
            raise UserNotAdmitted("this user's access was revoked, which `aither key list` shows")
        return Caller(
            tenant_id=tenant_id,
            key_id=key_id,
            priority_ceiling=row["priority_ceiling"],
            tenant_bounds=_bounds.decode(row["tenant_policy"]),
            key_bounds=_bounds.decode(row["policy"]),
            ladder=row["ladder"],
            role=role,
            fairness_weight=row["fairness_weight"],
            person=person,
        )
