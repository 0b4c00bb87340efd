"""What must never be told, taken out of a text before it is: a belt, for no text should hold any of it."""

import os
import re
from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from infra.settings import Settings

HIDDEN = "…"
LEAST_CHARS = 10
"""Shorter values are no secrets, and would be taken out of innocent words."""

_SHAPES = re.compile(
    r"\bak_[0-9A-Za-z_-]{16,}"  # ours
    r"|\b(?:sk|hf|ghp|glpat|tskey)[-_][0-9A-Za-z_-]{8,}"
    r"|\bAIza[0-9A-Za-z_-]{16,}"
    r"|\b\d{6,12}:[0-9A-Za-z_-]{30,}"  # Telegram's bots
    r"|\beyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}"  # JSON web tokens
    r"|(?i:\bbearer\s+)[^\s\"',;]{6,}"
    r"|(?<=://)[^/@\s\"']{1,256}@"
    r"|(?i:\b(?:password|secret|token|api[_-]?key|signature|x-amz-signature)=)[^\s&\"',;]{4,}"
)
_TELLING_NAMES = re.compile(r"(?:KEY|KEYS|TOKEN|SECRET|PASSWORD|CREDENTIALS)$")
_DSN_PASSWORD = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")


class Redaction:
    """Takes out what looks like a secret, and every secret that this process knows by its value."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        words = sorted({each for each in known if len(each) >= LEAST_CHARS}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, words))) if words else None

    def __call__(self, text: str) -> str:
        """The text without them."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        return _SHAPES.sub(HIDDEN, text)


def known_secrets(settings: Settings, env: Mapping[str, str] = os.environ) -> set[str]:
    """The values of the settings that are secret, of variables named like a key, and the passwords in addresses."""
    found = {
        value.get_secret_value()
        for name in type(settings).model_fields
        if isinstance(value := getattr(settings, name), SecretStr)
    }
    found |= {value for name, value in env.items() if _TELLING_NAMES.search(name.upper())}
    return found | {match for value in found for match in _DSN_PASSWORD.findall(value)}
