"""What is asked of the worker that has memory open, when a backup is made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyAsk:
    """`name` of the copy: letters and digits. Where copies lie is the worker's own."""

    name: str
