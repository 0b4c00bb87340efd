"""The tiers and the resolver that the settings ask for."""

from dataclasses import dataclass
from pathlib import Path

import aiohttp

from activities.contracts.models import Hub
from activities.model_ports import SourceRules, TierStore
from infra.models.bucket import Bucket, BucketPlace
from infra.models.hubs import HubPlace, Hubs
from infra.models.resolver import Resolver
from infra.models.signing import S3Account
from infra.models.strata import Strata
from infra.postgres.database import Database
from infra.postgres.models import PostgresModels
from infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStores:
    """Model files, wired. `master` is the key that boxes' keys and links are derived from, None where none is set."""

    rows: PostgresModels
    strata: Strata
    hubs: Hubs
    bucket: Bucket | None
    resolver: Resolver
    master: bytes | None


def opened(
    settings: Settings, database: Database, session: aiohttp.ClientSession, rules: SourceRules
) -> ModelStores:
    """The stores over a session of the caller's; nothing is asked yet."""
    key = settings.burst_master_key
    master = key.get_secret_value().encode() if key else None
    hf, civitai, s3 = settings.hf_token, settings.civitai_token, settings.models_s3_secret_key
    hubs = Hubs(
        session,
        {
            Hub.HUGGING_FACE: HubPlace(url=settings.hf_endpoint, token=hf.get_secret_value() if hf else None),
            Hub.CIVITAI: HubPlace(
                url=settings.civitai_endpoint, token=civitai.get_secret_value() if civitai else None
            ),
        },
    )
    bucket = None
    if settings.models_s3_endpoint:
        account = S3Account(
            access_key=settings.models_s3_access_key,
            secret_key=s3.get_secret_value() if s3 else "",
            region=settings.models_s3_region,
        )
        bucket = Bucket(
            session,
            BucketPlace(
                account=account,
                endpoint=settings.models_s3_endpoint,
                bucket=settings.models_s3_bucket,
                outside=settings.models_s3_outside_endpoint,
            ),
        )
    strata = Strata(models_dir(settings), settings.box_url or settings.api_url, master)
    rows = PostgresModels(database)
    stores: list[TierStore] = [strata, hubs, *([bucket] if bucket else [])]
    return ModelStores(
        rows=rows,
        strata=strata,
        hubs=hubs,
        bucket=bucket,
        resolver=Resolver(rows, stores, rules),
        master=master,
    )


def models_dir(settings: Settings) -> Path:
    """The directory behind `aither://models/`."""
    return settings.models_dir or settings.data_dir / "models"
