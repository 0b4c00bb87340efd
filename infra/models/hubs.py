"""The public tier: Hugging Face and CivitAI.

A file that needs a token is asked for from here, and what is handed out is the address that the publisher sends
us on to, which is signed and short-lived: the token stays. See huggingface.co/docs/hub/models-downloading and
developer.civitai.com.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin, urlsplit

import aiohttp

from activities.contracts.models import Asker, Hub, ModelFile, ModelSource, PublicPlace, Tier
from activities.errors import AitherError

ASK_S = 8.0
_PAGES = ("text/html", "application/xhtml+xml")


class NotPublished(AitherError):
    """The publisher does not have the file, or not for us."""

    code = "model_not_published"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPlace:
    """A publisher: its address, and our token for it."""

    url: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a publisher answered to a request for one byte."""

    status: int
    onward: str | None
    headers: Mapping[str, str]


class Hubs:
    """Implements `activities.model_ports.TierStore`."""

    tier = Tier.PUBLIC

    def __init__(self, session: aiohttp.ClientSession, hubs: Mapping[Hub, HubPlace]) -> None:
        self._session, self._hubs = session, hubs

    async def source(self, file: ModelFile, asker: Asker) -> ModelSource | str:
        """See `TierStore`."""
        del asker
        if file.public is None:
            return "it is not published anywhere"
        hub = self._hubs[file.public.hub]
        url = _url(hub, file.public)
        if hub.token is None:
            return ModelSource(tier=self.tier, url=url, host=_host(url))
        try:
            said = await self._ask(hub, url)
        except NotPublished as error:
            return error.message
        if said.onward is not None:
            return ModelSource(tier=self.tier, url=said.onward, host=_host(said.onward))
        # No address of its own for a small file: only who may hold the token can have it.
        return ModelSource(
            tier=self.tier, url=url, host=_host(url), headers=(("Authorization", f"Bearer {hub.token}"),)
        )

    async def describe(self, place: PublicPlace) -> tuple[int, str | None]:
        """Size in bytes and SHA-256 of a file, as its publisher tells. Raises `NotPublished`.

        The digest is None where it is not told: of Hugging Face's small files, and by CivitAI.
        """
        hub = self._hubs[place.hub]
        url = _url(hub, place)
        said = await self._ask(hub, url)
        size, tag = said.headers.get("X-Linked-Size", ""), said.headers.get("X-Linked-ETag", "").strip('"')
        if not size:
            onward = said if said.onward is None else await self._ask(HubPlace(url=""), said.onward)
            size = onward.headers.get("Content-Range", "").rpartition("/")[2]
        if not size.isdigit():
            raise NotPublished(f"{hub.url} does not say how large the file is")
        return int(size), tag if len(tag) == 64 else None

    async def _ask(self, hub: HubPlace, url: str) -> _Said:
        """Asks for one byte, and follows its host's own redirects. Raises `NotPublished`."""
        headers = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
        said = _Said(status=0, onward=None, headers={})
        for _ in range(5):
            try:
                async with self._session.get(
                    url,
                    headers=headers | ({"Authorization": f"Bearer {hub.token}"} if hub.token else {}),
                    timeout=aiohttp.ClientTimeout(total=ASK_S),
                    allow_redirects=False,
                ) as reply:
                    said = _Said(status=reply.status, onward=None, headers=reply.headers.copy())
            except (aiohttp.ClientError, TimeoutError) as error:
                raise NotPublished(f"{_host(url)} does not answer ({type(error).__name__})") from None
            onward = urljoin(url, said.headers.get("Location", "")) if 300 <= said.status < 400 else None
            if onward is None:
                break
            if _host(onward) != _host(url):
                return _Said(status=said.status, onward=onward, headers=said.headers)
            url = onward
        kind = said.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if said.status not in {200, 206}:
            raise NotPublished(f"{_host(url)} answers {said.status}")
        if kind in _PAGES:
            raise NotPublished(
                f"{_host(url)} answers with a page: the file needs a token, or a licence accepted"
            )
        return said


def _url(hub: HubPlace, place: PublicPlace) -> str:
    base = hub.url.rstrip("/")
    if place.hub is Hub.HUGGING_FACE:
        revision = quote(place.revision or "main", safe="")
        return f"{base}/{quote(place.repo, safe='/')}/resolve/{revision}/{quote(place.path, safe='/')}"
    wanted = f"?fileId={quote(place.path, safe='')}" if place.path else ""
    return f"{base}/api/download/models/{quote(place.repo, safe='')}{wanted}"


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
