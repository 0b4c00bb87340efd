"""Sends webhooks, to public addresses only unless the installation says otherwise."""

import ipaddress
import socket
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from activities.approval_ports import Delivery
from activities.errors import DeliveryFailed
from infra.signatures import signed

CALL_S = 15.0
MOST_URL_CHARS = 2_000


class PrivateAddress(OSError):
    """The address is not a public one."""


def fault_of_url(url: str, *, allow_private: bool) -> str:
    """Why nothing is sent there; empty where it is. Names are looked up only when something is sent."""
    if len(url) > MOST_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be up to {MOST_URL_CHARS} visible ASCII characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is no URL"
    private = host == "localhost" or host.endswith(".localhost") or _is_private(host)
    faults = {
        "must be like https://host/path": parts.scheme not in {"https", "http"} or not host,
        "must not hold a password; messages are signed": "@" in parts.netloc,
        "must be https": parts.scheme != "https" and not allow_private,
        "is not a public address; AITHER_ALLOW_PRIVATE_WEBHOOKS allows others": private and not allow_private,
    }
    return next((fault for fault, there in faults.items() if there), "")


class WebhookPostman:
    """Implements `activities.approval_ports.Postman`. Follows no redirect, reads no reply."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def send(self, delivery: Delivery) -> None:
        """See `Postman`. Each attempt is signed anew, under the same id."""
        if fault := fault_of_url(delivery.url, allow_private=self._allow_private):
            raise DeliveryFailed(f"the url {fault}")
        body = delivery.body.encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "aither-webhooks",
            **signed(delivery.secret, delivery.id, datetime.now(UTC), body),
        }
        try:
            async with (
                self._session() as session,
                session.post(delivery.url, data=body, headers=headers, allow_redirects=False) as reply,
            ):
                status = reply.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            if isinstance(cause, PrivateAddress):
                raise DeliveryFailed("the receiver's address is not a public one") from None
            raise DeliveryFailed(f"the receiver cannot be reached: {type(cause).__name__}") from None
        if not 200 <= status < 300:
            raise DeliveryFailed(f"the receiver answered {status}")

    def _session(self) -> aiohttp.ClientSession:
        resolver = aiohttp.ThreadedResolver() if self._allow_private else _PublicResolver()
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver),
            timeout=aiohttp.ClientTimeout(total=CALL_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


class _PublicResolver(AbstractResolver):
    """Looks names up, and gives no address that is not public: what it gives is what is connected to."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See `AbstractResolver`."""
        found = await self._inner.resolve(host, port, family)
        public = [each for each in found if not _is_private(each["host"])]
        if not public:
            raise PrivateAddress(f"{host} has no public address")
        return public

    async def close(self) -> None:
        """See `AbstractResolver`."""
        await self._inner.close()


def _is_private(host: str) -> bool:
    """Whether it is an address that is not public; a name is not."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        # What `inet_aton` takes for an address, such as 127.1, the system would connect to as well.
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    return not address.is_global or address.is_multicast
