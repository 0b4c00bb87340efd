"""`/v1/registry`: which services there are, told by their heartbeats; backends join their pools by theirs."""

from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from activities.contracts.backends import Backend, BackendKind, Capability, Dialect, Locality
from activities.contracts.registry import Service, ServiceKind, ServiceStatus
from api.auth import CallerDep, ServiceDep
from api.joining import HeartbeatBody, beat_of
from api.openapi import body_of, problems
from api.problems import FieldError, Problem, invalid
from api.reading import read_body
from api.repeating import reply_to
from api.shapes import Given, JsonObject
from api.state import state_of
from infra.postgres.keys import Caller, Role
from infra.postgres.registry import ServiceNotFound

router = APIRouter(prefix="/v1/registry", tags=["Registry"])

_ALWAYS = problems("unauthenticated", "internal", "store_unavailable")
_WRITES = problems("bad_json", "body_too_large", "body_too_deep", "unsupported_media_type", "invalid_request")
_EXAMPLES = {
    "service": {
        "summary": "A service",
        "value": {"service": "media-forge", "kind": "other", "version": "1.4", "load": 0.25},
    },
    "backend": {
        "summary": "A model server that joins a pool",
        "value": {
            "service": "gpu-7",
            "kind": "backend",
            "backend": {
                "pool": "llm-reasoner",
                "base_url": "http://gpu-7.lan:8000/v1",
                "model": "qwen3.6-27b",
                "slots": 10,
                "window_tokens": 131072,
                "dialect": "vllm",
            },
        },
    },
}


class HeartbeatView(Given):
    """What came of a heartbeat, and after how many seconds the next one is due."""

    status: ServiceStatus
    next_heartbeat_s: int


class JoinedView(Given):
    """A backend that joined, as it is asked."""

    pool: str
    base_url: str
    model: str
    slots: int
    window_tokens: int
    kind: BackendKind
    dialect: Dialect
    locality: Locality
    capabilities: list[Capability]


class ServiceView(Given):
    """A service. `backend` and `metadata` are shown to operators, and null for everybody else."""

    name: str
    kind: ServiceKind
    status: ServiceStatus
    load: float | None = Field(description="0 is idle, 1 is full; null where it does not say.")
    version: str
    capabilities: list[str]
    first_seen: datetime
    last_seen: datetime
    age_s: float = Field(description="Seconds since it was last heard of.")
    backend: JoinedView | None
    metadata: JsonObject | None


class ServiceList(Given):
    """Services, by name."""

    data: list[ServiceView]


@router.post(
    "/heartbeat",
    operation_id="sendHeartbeat",
    summary="Send a heartbeat",
    response_class=Response,
    responses={
        200: {"model": HeartbeatView, "description": "The service is known."},
        **_ALWAYS,
        **_WRITES,
        **problems("forbidden"),
    },
    openapi_extra=body_of("HeartbeatBody", _EXAMPLES),
)
async def send_heartbeat(request: Request, caller: ServiceDep) -> Response:
    """Says that a service is there, and what it is; a service that misses three heartbeats is offline.

    Wants a service's or an operator's key. A backend is a member of its pool for as long as it is online. What
    is new is stored before the reply; a heartbeat that repeats the one before it is stored soon after.
    """
    del caller
    state = state_of(request)
    beat = beat_of(await read_body(request, HeartbeatBody), state.topology)
    await state.heartbeats.first(beat, await request.body())
    return Response(reply_to(beat), media_type="application/json")


@router.get(
    "",
    operation_id="listServices",
    summary="List services",
    response_class=Response,
    responses={
        200: {"model": ServiceList, "description": "All of that kind and status, by name."},
        **_ALWAYS,
        **problems("invalid_request"),
    },
)
async def list_services(
    request: Request,
    caller: CallerDep,
    *,
    kind: Annotated[ServiceKind | None, Query(description="Only of this kind.")] = None,
    status: Annotated[ServiceStatus | None, Query(description="Only those that are so now.")] = None,
) -> Response:
    """Every service that was heard of within a day, whatever became of it. They belong to no tenant."""
    if unknown := set(request.query_params) - {"kind", "status"}:
        raise invalid(min(unknown), "is not a parameter of this list")
    state = state_of(request)
    await state.heartbeats.settle()
    services = await state.registry.services(kind, status)
    return _json({"data": [_view(service, caller) for service in services]})


@router.get(
    "/{service:path}",
    operation_id="getService",
    summary="Look at a service",
    response_class=Response,
    responses={
        200: {"model": ServiceView, "description": "The service."},
        **_ALWAYS,
        **problems("service_not_found"),
    },
)
async def get_service(request: Request, service: str, caller: CallerDep) -> Response:
    """The service as it was last heard of."""
    state = state_of(request)
    await state.heartbeats.settle()
    try:
        return _json(_view(await state.registry.service(_storable(service)), caller))
    except ServiceNotFound as error:
        raise _not_found(error) from None


@router.delete(
    "/{service:path}",
    operation_id="leaveRegistry",
    summary="Say goodbye",
    response_class=Response,
    responses={
        200: {"model": ServiceView, "description": "The service, which has left."},
        **_ALWAYS,
        **problems("forbidden", "service_not_found"),
    },
)
async def leave_registry(request: Request, service: str, caller: ServiceDep) -> Response:
    """Says that the service has left, or takes it for gone; its next heartbeat brings it back.

    Wants a service's or an operator's key. Saying it twice changes nothing.
    """
    try:
        return _json(_view(await state_of(request).heartbeats.leave(_storable(service)), caller))
    except ServiceNotFound as error:
        raise _not_found(error) from None


def _storable(name: str) -> str:
    """A name that PostgreSQL can be asked for: NUL and halves of surrogate pairs are in no service's name."""
    return name.encode("utf-8", "replace").decode().replace("\x00", "?")


def _not_found(error: ServiceNotFound) -> Problem:
    return Problem(error.code, error.message, FieldError(field="service", message="unknown"))


def _view(service: Service, caller: Caller) -> dict[str, Any]:
    trusted = caller.role is Role.OPERATOR
    return {
        "name": service.name,
        "kind": service.kind,
        "status": service.status,
        "load": service.load,
        "version": service.version,
        "capabilities": service.capabilities,
        "first_seen": service.first_seen,
        "last_seen": service.last_seen,
        "age_s": round(service.age_s, 3),
        "backend": _joined(service.backend) if trusted and service.backend else None,
        "metadata": service.metadata if trusted else None,
    }


def _joined(backend: Backend) -> dict[str, Any]:
    return {
        "pool": backend.queue,
        "base_url": backend.base_url,
        "model": backend.model,
        "slots": backend.slots,
        "window_tokens": backend.window_tokens,
        "kind": backend.kind,
        "dialect": backend.dialect,
        "locality": backend.locality,
        "capabilities": backend.capabilities,
    }


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
