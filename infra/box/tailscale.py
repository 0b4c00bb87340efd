"""Keys of the overlay, one for each box: it is good once, for ten minutes, and what joins by it is forgotten again.

tailscale.com/api, and tailscale.com/kb/1215/oauth-clients. The client's secret stays here.
"""

from dataclasses import dataclass, field
from typing import Any

import aiohttp

from activities.errors import MarketUnknown

API = "https://api.tailscale.com"
TAG = "tag:gpu-box"
LASTS_S = 600
ASK_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TailscaleClient:
    """An OAuth client that may make keys for `TAG`."""

    id: str
    secret: str = field(repr=False)
    url: str = API


class TailscaleKeys:
    """Makes what `BoxCall.tailscale` holds."""

    def __init__(self, session: aiohttp.ClientSession, client: TailscaleClient) -> None:
        self._session, self._client = session, client

    async def __call__(self, hostname: str) -> dict[str, str]:
        """A key for one box. Raises `MarketUnknown`: without it no box should be ordered, and later may do."""
        client = self._client
        wanted = {
            "capabilities": {
                "devices": {
                    "create": {"reusable": False, "ephemeral": True, "preauthorized": True, "tags": [TAG]}
                }
            },
            "expirySeconds": LASTS_S,
            "description": hostname[:50],
        }
        secrets = {"client_id": client.id, "client_secret": client.secret, "grant_type": "client_credentials"}
        token = await self._ask("/api/v2/oauth/token", "access_token", data=secrets)
        headers = {"Authorization": f"Bearer {token}"}
        key = await self._ask("/api/v2/tailnet/-/keys", "key", json=wanted, headers=headers)
        return {"auth_key": key, "hostname": hostname}

    async def _ask(self, path: str, name: str, **said: Any) -> str:
        try:
            async with self._session.post(
                self._client.url + path,
                timeout=aiohttp.ClientTimeout(total=ASK_S),
                allow_redirects=False,
                **said,
            ) as reply:
                told: Any = await reply.json(content_type=None) if reply.status == 200 else {}
                found = told.get(name) if isinstance(told, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                if isinstance(found, str) and found:
                    return found
                raise MarketUnknown(f"Tailscale gives no {name} ({reply.status})")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise MarketUnknown(f"Tailscale does not answer ({type(error).__name__})") from None
