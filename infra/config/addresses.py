"""Where a backend stands, as its URL tells: whether it may be written so, and whether it is in the building."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from activities.contracts.backends import Locality

VENDORS = ("openai.com", "anthropic.com", "deepseek.com", "googleapis.com")
"""Domains of which nobody has a server at home."""

_HOME = (".local", ".lan", ".internal", ".intranet", ".localhost", ".home.arpa", ".ts.net")
_SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Carrier-grade NAT (RFC 6598), which tailnets use for their machines."""
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", re.ASCII)


def objection(url: str) -> str | None:
    """Why the URL cannot be a backend's; None if it can. The URL is not quoted, for it may hold a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "this is not a URL"
    if parts.scheme not in {"http", "https"}:
        return "a URL that begins with http:// or https:// is wanted"
    if parts.username is not None or parts.password is not None:
        return "a URL must not hold a user name or password; name the key's variable with api_key_env"
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "a base URL ends with its path, without query or fragment"
    if not _is_host(parts) or port == 0 or re.search(r"\s", url):
        return "this URL has no valid host"
    return None


def locality_of(url: str) -> Locality:
    """Local for hosts that only a private network can know. Any other is taken for cloud: the safe mistake."""
    host = (urlsplit(url).hostname or "").lower().rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        home = "." not in host or host.endswith(_HOME)
        return Locality.LOCAL if home else Locality.CLOUD
    shared = address.version == 4 and address in _SHARED
    return Locality.LOCAL if address.is_private or shared else Locality.CLOUD


def vendor_of(url: str) -> str | None:
    """The vendor's domain that the URL leads to, if it is a known one."""
    host = (urlsplit(url).hostname or "").lower().rstrip(".")
    return next((vendor for vendor in VENDORS if host == vendor or host.endswith(f".{vendor}")), None)


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if ":" in host:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
    return _HOST.fullmatch(host.removesuffix(".")) is not None and ".." not in host
