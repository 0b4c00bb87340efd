"""Model files: by what address they are known, where they may be had, and who is asking."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

SCHEME = "aither://models/"
SHARED = "shared"
"""The scope of files that every tenant may have; any other scope is a tenant's id."""


SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
"""A part of an address. It is a file's or a folder's name on disks too, so it can lead nowhere else."""


class Tier(StrEnum):
    """Where a file may be had: our bucket, the directory store behind `aither://`, or its publisher."""

    PRIVATE = "private"
    STRATA = "strata"
    PUBLIC = "public"


class Hub(StrEnum):
    """Who publishes models."""

    HUGGING_FACE = "hugging_face"
    CIVITAI = "civitai"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicPlace:
    """A file at its publisher: `repo` at a commit and `path` there, or a CivitAI version and file id."""

    hub: Hub
    repo: str
    revision: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAddress:
    """`aither://models/<scope>/<dir>/<name>`. Without a name it stands for all files of the folder."""

    scope: str
    dir: str
    name: str = ""

    @classmethod
    def read(cls, uri: str) -> "ModelAddress":
        """The address that is written so. Raises `ValueError` with what is wrong."""
        if not uri.startswith(SCHEME):
            raise ValueError(f"must be {SCHEME}<shared or a tenant>/<folder>/<name>")
        parts = uri[len(SCHEME) :].split("/")
        if len(parts) != 3:
            raise ValueError("names a scope, a folder and a file, with a slash between them")
        if not all(SEGMENT.fullmatch(part) for part in (parts if parts[2] else parts[:2])):
            raise ValueError(
                "each part is letters, digits, dots, dashes and underscores, and begins with a letter or digit"
            )
        return cls(scope=parts[0], dir=parts[1], name=parts[2])

    @property
    def uri(self) -> str:
        """The address as it is written."""
        return f"{SCHEME}{self.scope}/{self.dir}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file that is known. `sha256` is of the whole file, in hex. `object_key` is its key in our bucket."""

    address: ModelAddress
    size_bytes: int
    sha256: str
    object_key: str | None = None
    public: PublicPlace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who wants a file. `reachable` are hosts that an external box reaches though their names look internal.

    `operator` may have every tenant's files, others the shared ones and their own tenant's.
    """

    tenant_id: str | None = None
    operator: bool = False
    external: bool = False
    reachable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """One place to get a file from. The URL is a secret while it is good, so it is in no `repr`.

    `headers` are for that URL's host alone, and empty for an external box.
    """

    tier: Tier
    url: str = field(repr=False)
    host: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedTier:
    """A tier that a file is not to be had from, and why."""

    tier: Tier
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedFile:
    """A file with its sources, the first to be tried first, and the tiers that were left out."""

    file: ModelFile
    sources: tuple[ModelSource, ...]
    skipped: tuple[SkippedTier, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingModel:
    """What was asked for and is not known here, or is not to be had from anywhere."""

    uri: str
    why: str
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSurvey:
    """What a plan's models come to, without any URL: sizes, and what cannot be had."""

    files: int
    total_bytes: int
    missing: tuple[MissingModel, ...] = ()

    @property
    def fails(self) -> tuple[MissingModel, ...]:
        """What is required and cannot be had."""
        return tuple(each for each in self.missing if each.required)
