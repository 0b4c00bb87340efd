"""Boxes and model files, wired from the settings; for the API, which receives boxes, and for who watches leases."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from activities.model_ports import SourceRules
from infra.box.desk import LeasedBoxes, OverlayKey
from infra.box.membership import Membership
from infra.box.pushing import BoxCall
from infra.box.reception import Reception
from infra.box.tailscale import TailscaleClient, TailscaleKeys
from infra.models.opening import ModelStores, opened
from infra.postgres.boxes import PostgresBoxes
from infra.postgres.database import Database
from infra.postgres.registry import PostgresRegistry
from infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxParts:
    """What boxes are received with."""

    settings: Settings
    boxes: PostgresBoxes
    membership: Membership
    models: ModelStores
    reception: Reception
    session: aiohttp.ClientSession

    def overlay(self) -> OverlayKey | None:
        """Who makes keys of the overlay; None where none is configured."""
        settings = self.settings
        if not settings.tailscale_client_id or settings.tailscale_client_secret is None:
            return None
        secret = settings.tailscale_client_secret.get_secret_value()
        client = TailscaleClient(id=settings.tailscale_client_id, secret=secret, url=settings.tailscale_url)
        return TailscaleKeys(self.session, client)

    def desk(self, *, halt: Mapping[str, Any] | None = None) -> LeasedBoxes:
        """The boxes of leases. `halt` is the market's own call by which a box ends itself, see `BoxCall`."""
        settings = self.settings
        return LeasedBoxes(
            self.boxes,
            self.membership,
            self.reception,
            self.session,
            master=self.models.master,
            call=BoxCall(url=settings.box_url or settings.public_url, halt=dict(halt or {})),
            overlay=self.overlay(),
        )


@asynccontextmanager
async def opening(settings: Settings, database: Database, rules: SourceRules) -> AsyncGenerator[BoxParts]:
    """The parts over the database; nothing is asked before it is needed. Closed with the block."""
    # What is handed out is asked for at its own host only, and no cookie of one publisher is shown to another.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        models = opened(settings, database, session, rules)
        boxes, membership = PostgresBoxes(database), Membership(PostgresRegistry(database))
        reception = Reception(
            boxes, membership, models.resolver, models.master, reachable=settings.box_reachable_hosts
        )
        yield BoxParts(
            settings=settings,
            boxes=boxes,
            membership=membership,
            models=models,
            reception=reception,
            session=session,
        )
