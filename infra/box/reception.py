"""Where boxes are received: who proves to be the box of a lease joins, is heard, and is told what to do.

All that is refused is refused in the same way, whatever was wrong, and recorded with what it was. A request comes
here as bytes, by the API or by whoever collected it at the box (`collecting.py`).
"""

import ipaddress
import re
import secrets
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import orjson

from activities.contracts.boxes import BoxPlan, BoxReport, BoxWish
from activities.contracts.leases import LeaseState
from activities.contracts.models import Asker, ResolvedFile
from activities.errors import AitherError
from activities.model_ports import ModelResolver
from infra.box import proof
from infra.box.membership import WORKING, Membership
from infra.postgres.boxes import BoxRow, PostgresBoxes

T = TypeVar("T")

VERBS = ("challenge", "join", "heartbeat", "models")
NONCE_LASTS_S = 120
"""From a challenge to its use. Nonces that were used are kept much longer than that."""
MOST_BYTES = 64 * 1024
_LEASE = re.compile(r"lease_[0-9a-z]{8,40}", re.ASCII)
_INSTANCE = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_OVERLAYS = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("fd7a:115c:a1e0::/48"))
"""Addresses that Tailscale gives. Of no other is a box's own word believed."""


class BoxRefused(AitherError):
    """Somebody who does not prove to be the box of a lease that waits for one; the same for whatever was wrong."""

    code = "box_refused"

    def __init__(self) -> None:
        super().__init__("this is not the box of a lease that is waited for")


class BoxMisspoke(AitherError):
    """A box that proved itself says what makes no sense."""

    code = "box_misspoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A request as it came. Header names in lower case."""

    lease: str
    verb: str
    method: str
    path: str
    host: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The reply, and its signature."""

    body: bytes
    headers: Mapping[str, str]
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proven:
    """A request whose signature is good."""

    box: BoxRow
    joins: int
    key: bytes
    name: str
    ours: str
    fresh: str
    body: dict[str, Any]


class JoinSaid(msgspec.Struct):
    """What a box says when it joins: which instance it is, as its market names it, and its overlay's address."""

    instance: str | None = None
    overlay: str | None = None


class ModelsSaid(msgspec.Struct):
    """What a box says when it asks for models: one file's address, else all that its plan names."""

    uri: str | None = None


class Reception:
    """Raises `BoxRefused`, `BoxMisspoke` and `StoreUnavailable`."""

    def __init__(
        self,
        boxes: PostgresBoxes,
        membership: Membership,
        models: ModelResolver,
        master: bytes | None,
        *,
        reachable: tuple[str, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._boxes, self._membership, self._models = boxes, membership, models
        # Without a key of the house nobody joins: what is signed with this one nobody can sign.
        self._master = master or secrets.token_bytes(32)
        self._reachable, self._clock = reachable, clock

    async def take(self, said: Said) -> Told:
        """The reply to a box."""
        if said.verb == "challenge":
            return Told(body=orjson.dumps({"nonce": self._challenge(said.lease)}), headers={})
        if len(said.body) > MOST_BYTES or not _LEASE.fullmatch(said.lease):
            return await self._refuse(said, "malformed", "size or lease")
        proven = await self._proven(said)
        if said.verb == "join":
            return await self._join(said, proven)
        if said.verb == "heartbeat":
            return await self._hear(said, proven)
        if said.verb == "models":
            return await self._hand_out(said, proven)
        return await self._refuse(said, "malformed", "no such verb")

    # --- proof

    def _challenge(self, lease: str) -> str:
        """A nonce that says itself when it was made and for whom: asking for one costs us nothing to keep."""
        made = secrets.token_bytes(16) + struct.pack(">Q", int(self._clock()))
        return (made + self._seal(lease, made)).hex()

    def _seal(self, lease: str, made: bytes) -> bytes:
        key = proof.hkdf(self._master, b"aither burst", b"challenge")
        return bytes.fromhex(proof.sign_reply(key, "challenge", lease, 0, made))

    def _is_ours(self, lease: str, nonce: str) -> bool:
        try:
            raw = bytes.fromhex(nonce)
        except ValueError:
            return False
        made, seal = raw[:24], raw[24:]
        if len(raw) != 56 or not secrets.compare_digest(self._seal(lease, made), seal):
            return False
        return abs(self._clock() - struct.unpack(">Q", made[16:])[0]) <= NONCE_LASTS_S

    async def _proven(self, said: Said) -> _Proven:
        """The request, if whoever sent it has the key that it names. Takes as long for a lease that is not there."""
        headers = said.headers
        name, fresh = headers.get(proof.KEY_ID.lower(), ""), headers.get(proof.FRESH.lower(), "")
        ours = headers.get(proof.NONCE.lower(), "")
        named = _named(name)
        if named is None or len(fresh) != 2 * proof.NONCE_BYTES or len(ours) > 200:
            return await self._refuse(said, "malformed", "headers")
        kind, attempt, joins = named
        box = await self._boxes.row(said.lease, attempt)
        salts = box.salts if box else ()
        # A key of an earlier session is as good as none: the newest is what counts, whatever is named.
        stale = joins != len(salts) and kind == proof.SESSION
        key = proof.session_of(proof.lease_key(self._master, said.lease, attempt), salts[:joins])
        right = proof.sign_request(key, name, said.method, said.path, said.host, ours, fresh, said.body)
        if not proof.same(right, headers.get(proof.PROOF.lower(), "")) or box is None:
            return await self._refuse(said, "bad_proof", name)
        if stale or (kind == proof.LEASE and salts):
            return await self._refuse(said, "second", f"{name} was used up")
        if (kind == proof.LEASE) != (joins == 0) or (kind == proof.LEASE and said.verb != "join"):
            return await self._refuse(said, "malformed", "a key of the wrong kind")
        return _Proven(
            box=box, joins=joins, key=key, name=name, ours=ours, fresh=fresh, body=_object(said.body)
        )

    async def _refuse(self, said: Said, reason: str, detail: str = "") -> Any:
        await self._boxes.refuse(
            said.lease if _LEASE.fullmatch(said.lease) else "", reason, f"{said.verb} {detail}"
        )
        raise BoxRefused

    # --- what a box may ask

    async def _join(self, said: Said, proven: _Proven) -> Told:
        told = _read(proven.body, JoinSaid)
        if told.instance is not None and not _INSTANCE.fullmatch(told.instance):
            raise BoxMisspoke("instance: is no name")
        if not self._is_ours(said.lease, proven.ours):
            return await self._refuse(said, "stale", "its nonce is not ours, or too old")
        outcome = await self._boxes.join(
            proven.box,
            joins=proven.joins,
            nonce=proven.ours,
            salt=(proven.ours + proven.fresh).encode(),
            instance=told.instance,
            base_url=_over_the_overlay(told.overlay, proven.box.plan),
        )
        if outcome != "joined":
            return await self._refuse(said, outcome, f"instance {told.instance}")
        key = proof.session_key(proven.key, (proven.ours + proven.fresh).encode())
        return _signed(proven, key, _orders(proven.box.plan))

    async def _hear(self, said: Said, proven: _Proven) -> Told:
        report = _read(proven.body, BoxReport)
        if not (0 <= report.calls < 2**31 and 0 <= report.tokens < 2**63 and 0 <= report.idle_s < 2**40):
            raise BoxMisspoke("calls, tokens and idle_s: out of bounds")
        state = await self._next(said, proven, report)
        await self._membership.follow(proven.box, state, report)
        return _signed(proven, proven.key, {"wish": _wish(state)})

    async def _hand_out(self, said: Said, proven: _Proven) -> Told:
        """Sources of its models, made for this moment: a signed URL is good for a while, and stands nowhere."""
        told = _read(proven.body, ModelsSaid)
        plan = proven.box.plan
        if await self._next(said, proven, None) is None:
            return _signed(proven, proven.key, {"files": [], "missing": []})
        asker = Asker(tenant_id=plan.tenant_id, external=plan.external, reachable=self._reachable)
        needs = [(need.uri, need.required) for need in plan.models]
        found, missing = await self._models.resolve(needs, asker)
        required = {file.file.address.uri: _required(file, needs) for file in found}
        files = [
            _handed(file, required=required[file.file.address.uri])
            for file in found
            if told.uri in {None, file.file.address.uri}
        ]
        lost = [{"uri": each.uri, "why": each.why, "required": each.required} for each in missing]
        return _signed(proven, proven.key, {"files": files, "missing": lost})

    async def _next(self, said: Said, proven: _Proven, report: BoxReport | None) -> LeaseState | None:
        """The state of the box's lease, once its word is the next one of its session."""
        count = proven.ours
        if not (count.isascii() and count.isdigit() and len(count) <= 15):
            return await self._refuse(said, "malformed", "count")
        outcome, state = await self._boxes.hear(
            proven.box, joins=proven.joins, sequence=int(count), report=report
        )
        if outcome != "heard":
            return await self._refuse(said, outcome, f"count {count}")
        return state


def _named(name: str) -> tuple[str, int, int] | None:
    kind, _, rest = name.partition(".")
    attempt, _, joins = rest.partition(".")
    numbers = [int(part) for part in (attempt, joins) if part.isascii() and part.isdigit() and len(part) <= 6]
    return (kind, *numbers) if kind in {proof.LEASE, proof.SESSION} and len(numbers) == 2 else None  # pyright: ignore[reportReturnType]


def _object(body: bytes) -> dict[str, Any]:
    try:
        told: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        raise BoxMisspoke("the body is not a JSON object")
    return told  # pyright: ignore[reportUnknownVariableType]


def _read(told: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise BoxMisspoke(str(error)) from None


def _wish(state: LeaseState | None) -> BoxWish:
    if state is None:
        return BoxWish.LEAVE
    return BoxWish.SERVE if state in WORKING else BoxWish.DRAIN


def _over_the_overlay(address: str | None, plan: BoxPlan) -> str | None:
    """The server's URL at the box's own address in the overlay; None where that is none."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if not any(found in network for network in _OVERLAYS):
        return None
    host = f"[{found}]" if found.version == 6 else str(found)
    return f"http://{host}:{plan.port}{urlsplit(plan.backend.base_url).path}"


def _required(file: ResolvedFile, needs: list[tuple[str, bool]]) -> bool:
    address = file.file.address
    folder = address.uri.removesuffix(address.name)
    return any(required for uri, required in needs if uri in {address.uri, folder})


def _handed(file: ResolvedFile, *, required: bool) -> dict[str, Any]:
    known = file.file
    return {
        "uri": known.address.uri,
        "dir": known.address.dir,
        "name": known.address.name,
        "size": known.size_bytes,
        "sha256": known.sha256,
        "required": required,
        "sources": [
            {"tier": source.tier, "url": source.url, "headers": dict(source.headers)}
            for source in file.sources
        ],
    }


def _orders(plan: BoxPlan) -> dict[str, Any]:
    pace = plan.pace
    return {
        "command": plan.command,
        "env": plan.env,
        "port": plan.port,
        "slots": plan.backend.slots,
        "health_path": plan.health_path,
        "metrics_path": plan.metrics_path,
        "pace": {
            "heartbeat_s": pace.heartbeat.total_seconds(),
            "silence_s": pace.silence.total_seconds(),
            "start_s": pace.start.total_seconds(),
            "files": pace.files,
            "connections": pace.connections,
            "part_bytes": pace.part_bytes,
        },
    }


def _signed(proven: _Proven, key: bytes, told: Any) -> Told:
    body = orjson.dumps(told)
    return Told(body=body, headers={proof.PROOF: proof.sign_reply(key, proven.name, proven.fresh, 200, body)})
