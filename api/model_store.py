"""What `/v1/model-files` takes and shows."""

import re

from pydantic import Field

from activities.contracts.models import (
    SCHEME,
    Asker,
    Hub,
    ModelAddress,
    ModelFile,
    PublicPlace,
    ResolvedFile,
    Tier,
)
from activities.errors import AitherError
from api.problems import Problem, invalid
from api.shapes import Given, Taken
from infra.models.hubs import Hubs
from infra.postgres.keys import Caller, Role
from workflows.policy import model_sources

_SHA256 = re.compile(r"[0-9a-f]{64}")
_URI = f"{SCHEME}shared/qwen3/model.safetensors"


class PublicBody(Taken):
    """Where a file is published: a Hugging Face repository and a path in it, or a CivitAI version."""

    hub: Hub
    repo: str = Field(min_length=1, max_length=200, description="`owner/name`, or CivitAI's version id.")
    revision: str = Field(default="", max_length=100, description="A commit, so that it stays what it is.")
    path: str = Field(default="", max_length=500, description="The file, or CivitAI's file id.")


class ModelFileBody(Taken):
    """A file to know. Size and digest may be left out where its publisher tells them."""

    uri: str = Field(min_length=1, max_length=500, examples=[_URI])
    size_bytes: int | None = Field(default=None, ge=1, le=2**53)
    sha256: str | None = Field(default=None, description="Of the whole file, in lower-case hex.")
    object_key: str | None = Field(default=None, min_length=1, max_length=1000, description="In our bucket.")
    public: PublicBody | None = None


class ResolveBody(Taken):
    """Files to find sources of. `external` asks as a rented box would; `urls` shows the URLs, which are secrets."""

    uris: tuple[str, ...] = Field(min_length=1, max_length=100, examples=[[_URI]])
    external: bool = False
    urls: bool = False


class ModelFileView(Given):
    """A file that is known."""

    uri: str
    size_bytes: int
    sha256: str
    object_key: str | None
    public: str | None


class ModelFileList(Given):
    """Files, by address."""

    data: list[ModelFileView]


class SourceView(Given):
    """Where a file may be had from; the URL where it was asked for."""

    tier: Tier
    host: str
    url: str | None


class SkippedView(Given):
    """Where it may not, and why."""

    tier: Tier
    why: str


class ResolvedView(Given):
    """A file with its sources, the first to be tried first."""

    uri: str
    size_bytes: int
    sources: list[SourceView]
    skipped: list[SkippedView]


class MissingView(Given):
    """What is not to be had."""

    uri: str
    why: str


class ResolveView(Given):
    """What came of it."""

    files: list[ResolvedView]
    missing: list[MissingView]


def asker_of(caller: Caller, *, external: bool = False, reachable: tuple[str, ...] = ()) -> Asker:
    """The caller as somebody who wants files."""
    return Asker(
        tenant_id=caller.tenant_id,
        operator=caller.role is Role.OPERATOR,
        external=external,
        reachable=reachable,
    )


async def file_of(body: ModelFileBody, caller: Caller, hubs: Hubs) -> ModelFile:
    """The file to keep. Raises a 4xx `Problem` that names the field."""
    try:
        address = ModelAddress.read(body.uri)
    except ValueError as error:
        raise invalid("uri", str(error)) from None
    if not address.name:
        raise invalid("uri", "names a folder; files are made known one by one")
    if why := model_sources.unwritable(asker_of(caller), address):
        raise Problem("forbidden", f"{body.uri}: {why}")
    place = body.public and PublicPlace(
        hub=body.public.hub, repo=body.public.repo, revision=body.public.revision, path=body.public.path
    )
    size, sha256 = body.size_bytes, body.sha256
    if place is not None and (size is None or sha256 is None):
        try:
            told_size, told_sha256 = await hubs.describe(place)
        except AitherError as error:
            raise invalid("public", error.message) from None
        size, sha256 = size or told_size, sha256 or told_sha256
    if size is None:
        raise invalid("size_bytes", "is needed: nobody else says it")
    if sha256 is None or not _SHA256.fullmatch(sha256):
        raise invalid("sha256", "64 hex digits are needed: a file that cannot be checked is not handed out")
    return ModelFile(
        address=address, size_bytes=size, sha256=sha256, object_key=body.object_key, public=place
    )


def shown(file: ModelFile) -> ModelFileView:
    """The file as it is shown."""
    place = file.public
    public = place and f"{place.hub} {place.repo}" + (f"@{place.revision}" if place.revision else "")
    return ModelFileView(
        uri=file.address.uri,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        object_key=file.object_key,
        public=f"{public}:{place.path}" if place and place.path else public,
    )


def resolved(file: ResolvedFile, *, urls: bool) -> ResolvedView:
    """A file with its sources, as it is shown."""
    return ResolvedView(
        uri=file.file.address.uri,
        size_bytes=file.file.size_bytes,
        sources=[
            SourceView(tier=each.tier, host=each.host, url=each.url if urls else None)
            for each in file.sources
        ],
        skipped=[SkippedView(tier=each.tier, why=each.why) for each in file.skipped],
    )
