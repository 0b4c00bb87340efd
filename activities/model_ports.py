"""What resolving model files needs of the world, as protocols."""

from collections.abc import Sequence
from typing import Protocol

from activities.contracts.models import (
    Asker,
    MissingModel,
    ModelAddress,
    ModelFile,
    ModelSource,
    ResolvedFile,
    Tier,
)


class SourceRules(Protocol):
    """The decisions of `workflows.policy.model_sources`."""

    def order(self, asker: Asker) -> tuple[Tier, ...]:
        """The tiers, the one to try first first."""
        ...

    def unreadable(self, asker: Asker, address: ModelAddress) -> str:
        """Why the asker may not have it; empty where it may."""
        ...

    def unwritable(self, asker: Asker, address: ModelAddress) -> str:
        """Why the asker may not change it; empty where it may."""
        ...

    def unreachable(self, asker: Asker, source: ModelSource) -> str:
        """Why the source is not for this asker; empty where it is."""
        ...


class ModelShelf(Protocol):
    """The files that are known."""

    async def find(self, address: ModelAddress) -> tuple[ModelFile, ...]:
        """The file, or all files of the folder, by name; none where nothing is known."""
        ...


class TierStore(Protocol):
    """One tier."""

    @property
    def tier(self) -> Tier:
        """Which."""
        ...

    async def source(self, file: ModelFile, asker: Asker) -> ModelSource | str:
        """A fresh source of the file, or why there is none."""
        ...


class ModelResolver(Protocol):
    """Turns addresses into sources."""

    async def resolve(
        self, needs: Sequence[tuple[str, bool]], asker: Asker
    ) -> tuple[tuple[ResolvedFile, ...], tuple[MissingModel, ...]]:
        """The files behind the addresses (each with whether it is required), and what is not to be had."""
        ...
