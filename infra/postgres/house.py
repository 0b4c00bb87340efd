"""What in the database belongs to the house, hence to no tenant: short lists, each entry with its reason.

Every other table in the schema `aither` is bound by a tenant's policy. `aither db check` goes by these lists, and the
tests of tenant isolation do: what is new and neither bound nor listed is a fault.
"""

from collections.abc import Mapping
from dataclasses import dataclass

APP_ROLE = "aither_app"
"""What the API and the workers connect as, or are members of; row-level security binds it."""
SCHEMAS = ("aither", "aither_ops")


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseTable:
    """A table of the house's own: why it is bound to no tenant, and what the application may do there."""

    why: str
    may: frozenset[str]


def _may(why: str, privileges: str) -> HouseTable:
    return HouseTable(why=why, may=frozenset(privileges.split()))


_ALL = "SELECT INSERT UPDATE DELETE"

HOUSE: Mapping[str, HouseTable] = {
    "shares": _may("slots of pools by worker process", _ALL),
    "services": _may("heartbeats of processes and model servers", _ALL),
    "cards": _may("what GPU cards tell; shown to tenants without others' holders", "SELECT INSERT UPDATE"),
    "leases": _may("rented boxes, which operators ask for", "SELECT INSERT UPDATE"),
    "lease_audit": _may("what happened to them", "SELECT INSERT"),
    "lease_spend": _may("what they cost", "SELECT INSERT"),
    "boxes": _may("how boxes proved themselves", "SELECT INSERT UPDATE"),
    "box_nonces": _may("nonces that were used", _ALL),
    "box_refusals": _may("attempts to speak as a box", "SELECT INSERT UPDATE"),
    "telegram_updates": _may("of which tenant an update is, is known once it is read", _ALL),
    "telegram_chats": _may("how fast Telegram lets a chat be written to", _ALL),
    "telegram_leads": _may("which process reads a bot's updates", _ALL),
}

DEFINERS: Mapping[str, str] = {
    "authenticate": "finds whose a key is, by a digest that only its holder can make",
    "tenant_list": "names and bounds of all tenants, for the command line",
    "due_turns": "ids of turns of all tenants whose workflow is missing, for the sweep",
    "due_jobs": "the same of jobs",
    "due_approvals": "the same of approvals",
    "webhook_endpoint": "whose an endpoint is, by its random id: a signed message names no tenant",
    "telegram_bind": "binds whoever sends a code, by its digest",
    "telegram_button": "what a button means, by its random id",
    "telegram_reply": "which approval a message was about",
    "telegram_bound": "as whom a Telegram account is bound",
}
"""The functions that see more than one tenant, as the owner of the schema."""

DELETES = frozenset(
    {"approval_waiters", "people", "telegram_bindings", "telegram_groups", "telegram_codes", "model_files"}
)
"""Tables of tenants from which the application may delete rows."""
APPENDS = frozenset({"answers", "agents", "spend", "approval_audit", "telegram_buttons", "telegram_codes"})
"""Tables of tenants whose rows the application never changes."""

TENANT_COLUMNS: Mapping[str, str] = {"tenants": "id", "model_files": "scope"}
"""The column that says whose a row is, where it is not `tenant_id`."""


def tenant_column(table: str) -> str:
    """The column of a tenant's table that says whose a row is."""
    return TENANT_COLUMNS.get(table, "tenant_id")
