"""With keys, Temporal keeps nothing of a turn that anybody else could read."""

import base64
from typing import Any

import pytest
from pydantic import SecretStr

from activities.contracts.topology import Topology
from activities.contracts.traces import SEARCH_ATTRIBUTES
from infra.settings import Settings
from infra.temporal import connect
from infra.temporal.codec import new_key
from infra.temporal.converter import PayloadSealed
from infra.temporal.namespaces import ensure_attributes, ensure_namespace, until_usable
from tests.ladder.seats import Seat, laid_out
from tests.support.house import Ground
from tests.support.standin import Reply, StandIn
from workers.fleets import turns_workers

QUESTION = "Where is the treasure of Atlantis?"
TOLD = ("treasure", "Atlantis", "turn_id", "effort_why", "asked for", "it answered")
"""Words of a question and of contracts. The codes of failures stay readable: they are their types."""


async def sealed(ground: Ground) -> tuple[Ground, Settings]:
    """The same ground by a namespace of its own, with keys; and how it is reached."""
    configured = Settings(
        config_file=None,
        temporal_address=ground.client.service_client.config.target_host,
        temporal_namespace="sealed",
        payload_keys=SecretStr(new_key("2026-01")),
    )
    client = await connect(configured)
    await ensure_namespace(client, None, cloud=False, dry_run=False)
    await until_usable(client, {})
    await ensure_attributes(client, SEARCH_ATTRIBUTES, cloud=False, dry_run=False)
    await until_usable(client, SEARCH_ATTRIBUTES)
    return Ground(client, ground.stores, ground.database, ground.events), configured


def encodings(found: Any) -> set[str]:
    """How the payloads in a history are written; without search attributes, which Temporal itself has to read."""
    if isinstance(found, list):
        return {each for one in found for each in encodings(one)}
    if not isinstance(found, dict):
        return set()
    if "encoding" in (metadata := found.get("metadata") or {}):
        return {base64.b64decode(metadata["encoding"]).decode()}
    return {each for key, one in found.items() if key != "searchAttributes" for each in encodings(one)}


def nobody(backend: object) -> Any:
    raise AssertionError(backend)


async def test_a_turn_leaves_nothing_to_read(ground: Ground) -> None:
    ground, configured = await sealed(ground)
    reader = await connect(configured.model_copy(update={"payload_keys": None}))
    (deciding,) = turns_workers(ground.composed(Topology(backends=(), ladders=()), nobody))
    async with StandIn() as near, deciding:
        near.script(Reply(status=422), Reply(text="In room 7."))
        seats = [Seat(name="near", standin=near)]
        async with ground.house(laid_out(seats)) as house:
            failed, answered = await house.ask(QUESTION), await house.ask(QUESTION)
            assert answered.text == "In room 7."
            for told in (failed, answered):
                await house.closed(told)
            for told in (failed, answered):
                history = await reader.get_workflow_handle(house.handle(told).id).fetch_history()
                kept = b"".join(event.SerializeToString() for event in history.events)
                assert [word for word in TOLD if word.encode() in kept] == []
                assert encodings(history.to_json_dict()["events"]) == {"binary/encrypted"}
            outcome = await house.handle(answered).result()
            assert outcome.status == "completed"
            with pytest.raises(PayloadSealed, match="AITHER_PAYLOAD_KEYS is not set here"):
                await reader.get_workflow_handle(house.handle(answered).id).result()
