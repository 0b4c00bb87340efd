"""Texts of others made fit for a card: no control over its layout, bounded, with times that their readers live by."""

import re
import unicodedata
from datetime import datetime
from zoneinfo import ZoneInfo

MESSAGE_UNITS = 4096
"""Telegram's limit of a message, in UTF-16 units."""
_SPACES = re.compile(r"\s+")
_BLANK_LINES = re.compile(r"\n{3,}")
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn"}
"""Categories that are not seen, or turn the text around what they stand in; joiners of emoji are left."""
_LEFT = "\n\u200d"


def units(text: str) -> int:
    """The length as Telegram counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, most: int) -> str:
    """At most so many units; what is cut says so."""
    if units(text) <= most:
        return text
    room = most - 1
    raw = text.encode("utf-16-le", "surrogatepass")[: room * 2]
    return raw.decode("utf-16-le", "ignore").rstrip() + "…"


def visible(text: str) -> str:
    """Without what cannot be seen, or makes other text read otherwise than it stands."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ").replace("\u2028", "\n")
    return "".join(c for c in text if c in _LEFT or unicodedata.category(c) not in _INVISIBLE)


def line(text: str, most: int) -> str:
    """As one line."""
    return cut(_SPACES.sub(" ", visible(text)).strip(), most)


def quoted(text: str, most: int) -> str:
    """As lines that nobody takes for the card's own."""
    plain = _BLANK_LINES.sub("\n\n", visible(text)).strip()
    return cut("\n".join(f"| {each}".rstrip() for each in plain.split("\n")), most) if plain else ""


def pieces(text: str, most_pieces: int) -> list[str]:
    """The text as messages that Telegram takes, cut after so many, broken at ends of lines where there are any."""
    found: list[str] = []
    rest = visible(text).strip()
    while rest and len(found) < most_pieces:
        if units(rest) <= MESSAGE_UNITS:
            return [*found, rest]
        last = len(found) + 1 == most_pieces
        head = cut(rest, MESSAGE_UNITS).removesuffix("…")
        at = head.rfind("\n") if not last else -1
        head = head[:at] if at > len(head) // 2 else head
        found.append(cut(rest, MESSAGE_UNITS) if last else head)
        rest = rest[len(head) :].strip("\n")
    return found


def moment(at: datetime, time_zone: str) -> str:
    """A time as its reader's clock shows it, such as `Tue 24 Nov 2026, 18:00 CET`."""
    local = at.astimezone(zone(time_zone))
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M} {local:%Z}"


def zone(name: str) -> ZoneInfo:
    """The time zone of that name; UTC where this machine knows none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def usd(amount: float) -> str:
    """An amount of money, with as many digits as say something."""
    if amount == 0:
        return "nothing"
    return f"${amount:,.2f}" if amount >= 0.1 else f"${amount:.2g}" if amount >= 0.0001 else "below $0.0001"
