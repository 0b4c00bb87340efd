"""The kind of object that requests are made of."""

from msgspec import Struct


class Strict(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """An object that takes its own fields only, and is passed on as it came."""
