"""Addresses in replies: where to go from a turn, and how a page names the one after it."""

import base64
import binascii
from urllib.parse import quote

from infra.ids import is_id
from infra.settings import Settings
from workflows.names import turn_workflow_id


def links_of(settings: Settings, turn_id: str) -> dict[str, str]:
    """Where to go from a turn."""
    place = f"{settings.api_url}/v1/turns/{turn_id}"
    workflow = quote(turn_workflow_id(turn_id), safe="")
    return {
        "self": place,
        "events": f"{place}/events",
        "cancel": f"{place}/cancel",
        "trace": f"{settings.temporal_ui}/namespaces/{settings.temporal_namespace}/workflows/{workflow}",
    }


def to_cursor(turn_id: str) -> str:
    """An opaque name for the place after this turn."""
    return base64.urlsafe_b64encode(turn_id.encode()).rstrip(b"=").decode()


def from_cursor(cursor: str, prefix: str = "turn") -> str | None:
    """The id of the turn, or of what else has the prefix, that the cursor stands after; None where it is not ours."""
    try:
        turn_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    return turn_id if is_id(prefix, turn_id) else None


def cursor_after(name: str) -> str:
    """An opaque name for the place after what is called so. It tells no place: places count all tenants' rows."""
    return base64.urlsafe_b64encode(f"n{name}".encode()).rstrip(b"=").decode()


def named_by(cursor: str) -> str | None:
    """What such a cursor stands after; None where it is not ours."""
    try:
        said = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    name = said[1:]
    return name if said[:1] == "n" and name.isprintable() and 0 < len(name) <= 128 else None
