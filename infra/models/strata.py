"""The `aither://` tier: files in a directory of ours, handed out by links to the API that are good for a while."""

import asyncio
import hmac
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from activities.contracts.models import Asker, ModelAddress, ModelFile, ModelSource, Tier
from infra.box.proof import fields, hkdf

LASTS_S = 3600
PATH = "/v1/model-files/content"


class Strata:
    """Implements `activities.model_ports.TierStore` over `folder/<scope>/<dir>/<name>`."""

    tier = Tier.STRATA

    def __init__(
        self, folder: Path, api_url: str, master: bytes | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder, self._url, self._clock = folder, api_url.rstrip("/"), clock
        self._key = hkdf(master, b"aither models", b"link") if master else None

    def place(self, address: ModelAddress) -> Path:
        """Where the file is, or would be. An address's parts cannot lead out of the folder."""
        return self._folder / address.scope / address.dir / address.name

    async def source(self, file: ModelFile, asker: Asker) -> ModelSource | str:
        """See `TierStore`."""
        del asker
        if self._key is None:
            return "there is no AITHER_BURST_MASTER_KEY to sign links with"
        size = await asyncio.to_thread(_size, self.place(file.address))
        if size is None:
            return "it is not in the models directory"
        if size != file.size_bytes:
            return f"the file has {size} bytes, and {file.size_bytes} are expected"
        address, until = file.address, int(self._clock()) + LASTS_S
        path = f"{PATH}/{address.scope}/{address.dir}/{address.name}"
        url = f"{self._url}{path}?until={until}&proof={self._proof(address, until)}"
        return ModelSource(tier=self.tier, url=url, host=urlsplit(self._url).hostname or "")

    def good(self, address: ModelAddress, until: str, proof: str) -> bool:
        """Whether a link is one of ours, for this file, and still good."""
        if self._key is None or not until.isascii() or not until.isdigit() or len(until) > 12:
            return False
        right = hmac.compare_digest(
            self._proof(address, int(until)).encode(), proof.encode("utf-8", "replace")
        )
        return right and int(until) > self._clock()

    def _proof(self, address: ModelAddress, until: int) -> str:
        assert self._key is not None
        return hmac.digest(self._key, fields(address.uri.encode(), str(until).encode()), "sha256").hex()

    def put(self, address: ModelAddress, file: Path) -> None:
        """Takes a copy of the file in, whole or not at all. Blocks for as long as copying takes."""
        place = self.place(address)
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            shutil.copyfile(file, fresh)
            with fresh.open("rb") as copied:
                os.fsync(copied.fileno())
            fresh.replace(place)
        finally:
            fresh.unlink(missing_ok=True)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
