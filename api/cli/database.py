"""Commands that work on the database itself, so that they need no key and no running API."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from api.cli.client import ExitCode, data_dir, fail

if TYPE_CHECKING:
    from infra.postgres.database import Database

T = TypeVar("T")

_TENANT = re.compile(r"(?!shared$)[a-z0-9][a-z0-9-]{0,62}")


def with_database(folder: Path | None, tenant: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """What `work` comes to on the database of this installation; ends the command where it cannot be done."""
    if not _TENANT.fullmatch(tenant):
        fail(
            ExitCode.USAGE,
            f"{tenant!r} is no tenant: lower-case letters, digits and dashes, 63 at most, and not `shared`",
        )
    from activities.errors import AitherError, StoreUnavailable
    from infra.postgres.database import Database
    from infra.settings import settings

    dsn, pooled = app_dsn_of(data_dir(folder)), settings().database_pooled

    async def run() -> T:
        async with Database.connect(dsn, 1, pooled=pooled) as database:
            return await work(database)

    try:
        return asyncio.run(run())
    except StoreUnavailable as error:
        fail(
            ExitCode.UNREACHABLE,
            error.message,
            "is it running? `aither status` tells, `aither up` starts it; or set AITHER_DATABASE_URL",
        )
    except AitherError as error:
        fail(ExitCode.USAGE, error.message)


def app_dsn_of(folder: Path) -> str:
    """The configured database, else the embedded one of this data directory."""
    from infra.embedded.addresses import app_dsn
    from infra.settings import settings

    configured = settings()
    embedded = None if configured.database_url else app_dsn(folder, configured.postgres_port)
    return embedded or configured.database_dsn
