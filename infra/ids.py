"""Identifiers: a prefix that says what it is, a millisecond clock that sorts, and 80 random bits."""

import re
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_LENGTH = 26

ID_PATTERN = f"[{_ALPHABET}]{{{ID_LENGTH}}}"


def new_id(prefix: str) -> str:
    """A new id such as `turn_01k…`; ids of one prefix sort by the time they were made."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{prefix}_{spelled(number, ID_LENGTH)}"


def spelled(number: int, length: int) -> str:
    """The lowest bits of a number, five a character."""
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(5 * (length - 1), -5, -5))


def is_id(prefix: str, text: str) -> bool:
    """Whether the text is an id of that prefix."""
    return re.fullmatch(f"{prefix}_{ID_PATTERN}", text) is not None


def number_of(id: str) -> int:
    """The number that an id spells behind its prefix. Raises ValueError for what is no id."""
    number = 0
    for letter in id.rpartition("_")[2]:
        number = number << 5 | _ALPHABET.index(letter)
    return number
