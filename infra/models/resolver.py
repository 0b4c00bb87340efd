"""From addresses to sources: each tier in the order of the policy, and none waited for longer than it is worth."""

import asyncio
import logging
from collections.abc import Sequence

from activities.contracts.models import (
    Asker,
    MissingModel,
    ModelAddress,
    ModelFile,
    ModelSource,
    ResolvedFile,
    SkippedTier,
    Tier,
)
from activities.model_ports import ModelShelf, SourceRules, TierStore

log = logging.getLogger(__name__)

PATIENCE_S = 8.0
"""How long a tier may think about one file before it is skipped."""
AT_ONCE = 8


class Resolver:
    """Implements `activities.model_ports.ModelResolver`."""

    def __init__(
        self,
        shelf: ModelShelf,
        stores: Sequence[TierStore],
        rules: SourceRules,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._shelf, self._rules, self._patience_s = shelf, rules, patience_s
        self._stores = {store.tier: store for store in stores}

    async def resolve(
        self, needs: Sequence[tuple[str, bool]], asker: Asker
    ) -> tuple[tuple[ResolvedFile, ...], tuple[MissingModel, ...]]:
        """See `ModelResolver`. A file that is asked for twice comes once."""
        found: dict[str, tuple[ModelFile, bool]] = {}
        missing: list[MissingModel] = []
        for uri, required in needs:
            files, why = await self._find(uri, asker)
            if why:
                missing.append(MissingModel(uri=uri, why=why, required=required))
            for file in files:
                before = found.get(file.address.uri, (file, False))[1]
                found[file.address.uri] = (file, required or before)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(file: ModelFile) -> ResolvedFile:
            async with gate:
                return await self._resolve(file, asker)

        resolved = await asyncio.gather(*(one(file) for file, _ in found.values()))
        for each in resolved:
            if not each.sources:
                why = "; ".join(f"{skipped.tier}: {skipped.why}" for skipped in each.skipped)
                required = found[each.file.address.uri][1]
                missing.append(MissingModel(uri=each.file.address.uri, why=why, required=required))
        return tuple(each for each in resolved if each.sources), tuple(missing)

    async def _find(self, uri: str, asker: Asker) -> tuple[tuple[ModelFile, ...], str]:
        """The files behind an address; none, and why."""
        try:
            address = ModelAddress.read(uri)
        except ValueError as error:
            return (), str(error)
        # What may not be had is told as what is not there: its name alone says something.
        files = () if self._rules.unreadable(asker, address) else await self._shelf.find(address)
        return (
            files,
            "" if files else "no such model file is known; `aither models list` shows those that are",
        )

    async def _resolve(self, file: ModelFile, asker: Asker) -> ResolvedFile:
        sources: list[ModelSource] = []
        skipped: list[SkippedTier] = []
        for tier in self._rules.order(asker):
            found = await self._ask(tier, file, asker)
            if isinstance(found, ModelSource) and (why := self._rules.unreachable(asker, found)):
                found = why
            if isinstance(found, str):
                skipped.append(SkippedTier(tier=tier, why=found))
            else:
                sources.append(found)
        return ResolvedFile(file=file, sources=tuple(sources), skipped=tuple(skipped))

    async def _ask(self, tier: Tier, file: ModelFile, asker: Asker) -> ModelSource | str:
        store = self._stores.get(tier)
        if store is None:
            return "it is not configured"
        try:
            async with asyncio.timeout(self._patience_s):
                return await store.source(file, asker)
        except TimeoutError:
            return f"no answer within {self._patience_s:g} s"
        except Exception:
            # One tier that is broken must not keep the others from being asked.
            log.exception("the tier %s could not be asked for %s", tier, file.address.uri)
            return "it broke; the log of the API says why"
