"""The private tier: an S3 bucket (MinIO), handed out by presigned URLs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import aiohttp

from activities.contracts.models import Asker, ModelFile, ModelSource, Tier
from infra.models.signing import S3Account, presigned

LASTS = timedelta(hours=1)
"""A box asks for another when one has run out."""
PROBE_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPlace:
    """Where the bucket is. `outside` is its endpoint for boxes that are not in the house, if that is another."""

    account: S3Account
    endpoint: str
    bucket: str
    outside: str | None = None


class Bucket:
    """Implements `activities.model_ports.TierStore`."""

    tier = Tier.PRIVATE

    def __init__(
        self,
        session: aiohttp.ClientSession,
        place: BucketPlace,
        *,
        lasts: timedelta = LASTS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._session, self._place, self._lasts, self._clock = session, place, lasts, clock

    async def source(self, file: ModelFile, asker: Asker) -> ModelSource | str:
        """See `TierStore`. The object is looked at from here, for what is not there is better known now."""
        if file.object_key is None:
            return "it is not in the bucket"
        if why := await self._missing(file):
            return why
        place = self._place
        endpoint = (place.outside if asker.external else None) or place.endpoint
        return ModelSource(
            tier=self.tier,
            url=self._signed(endpoint, file.object_key, "GET"),
            host=urlsplit(endpoint).hostname or "",
        )

    def upload(self, key: str) -> str:
        """A URL to put one object at, from inside of the house; 5 GiB at most."""
        return self._signed(self._place.endpoint, key, "PUT")

    def _signed(self, endpoint: str, key: str, method: str) -> str:
        place = self._place
        return presigned(
            place.account, endpoint, place.bucket, key, method=method, lasts=self._lasts, now=self._clock()
        )

    async def _missing(self, file: ModelFile) -> str:
        """Why the object cannot be had. Asked by one byte: a URL that is signed for GET is not good for HEAD."""
        url = self._signed(self._place.endpoint, file.object_key or "", "GET")
        try:
            async with self._session.get(
                url,
                headers={"Range": "bytes=0-0", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=PROBE_S),
                allow_redirects=False,
            ) as reply:
                size = reply.headers.get("Content-Range", "").rpartition("/")[2]
                if reply.status != 206:
                    return f"the bucket answers {reply.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            # The error's own words may hold the URL.
            return f"the bucket does not answer ({type(error).__name__})"
        if size != str(file.size_bytes):
            return f"the object has {size} bytes, and {file.size_bytes} are expected"
        return ""
