"""`/v1/model-files`: which model files are known, and where each is to be had."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from activities.contracts.models import ModelAddress
from api.auth import CallerDep, OperatorDep
from api.model_store import (
    MissingView,
    ModelFileBody,
    ModelFileList,
    ModelFileView,
    ResolveBody,
    ResolveView,
    asker_of,
    file_of,
    resolved,
    shown,
)
from api.openapi import body_of, problems
from api.problems import Problem
from api.reading import read_body
from api.state import state_of

router = APIRouter(prefix="/v1/model-files", tags=["Model files"])

_ALWAYS = problems("unauthenticated", "internal", "store_unavailable")
_WRITES = problems("bad_json", "body_too_large", "body_too_deep", "unsupported_media_type", "invalid_request")
_URI = "aither://models/shared/qwen3/model.safetensors"
_ADD = {
    "file": {
        "summary": "A file in the bucket",
        "value": {"uri": _URI, "object_key": "qwen3/model.safetensors"},
    }
}
_RESOLVE = {"file": {"summary": "As a rented box", "value": {"uris": [_URI], "external": True}}}


@router.get(
    "",
    operation_id="listModelFiles",
    summary="List model files",
    response_class=Response,
    responses={200: {"model": ModelFileList, "description": "Shared files and the tenant's own."}, **_ALWAYS},
)
async def list_files(request: Request, caller: CallerDep) -> Response:
    """What the caller may have, by address."""
    files = await state_of(request).models.rows.list(caller.tenant_id)
    return _json(ModelFileList(data=[shown(file) for file in files]))


@router.put(
    "",
    operation_id="putModelFile",
    summary="Make a model file known",
    response_class=Response,
    responses={
        200: {"model": ModelFileView, "description": "It is known."},
        **_ALWAYS,
        **_WRITES,
        **problems("forbidden"),
    },
    openapi_extra=body_of("ModelFileBody", _ADD),
)
async def put_file(request: Request, caller: CallerDep) -> Response:
    """Says where a file is to be had; what was said of it before no longer counts.

    Shared files are an operator's to change, a tenant's own are its keys'.
    """
    models = state_of(request).models
    file = await file_of(await read_body(request, ModelFileBody), caller, models.hubs)
    await models.rows.put(file, added_by=caller.key_id)
    return _json(shown(file))


@router.post(
    "/resolve",
    operation_id="resolveModelFiles",
    summary="Find sources of model files",
    response_class=Response,
    responses={
        200: {"model": ResolveView, "description": "Sources, the first to be tried first."},
        **_ALWAYS,
        **_WRITES,
        **problems("forbidden"),
    },
    openapi_extra=body_of("ResolveBody", _RESOLVE),
)
async def resolve_files(request: Request, caller: OperatorDep) -> Response:
    """Where each file is to be had now, in order, and which tiers were left out and why. Wants an operator's key."""
    state = state_of(request)
    body = await read_body(request, ResolveBody)
    asker = asker_of(caller, external=body.external, reachable=state.settings.box_reachable_hosts)
    files, missing = await state.models.resolver.resolve([(uri, True) for uri in body.uris], asker)
    view = ResolveView(
        files=[resolved(file, urls=body.urls) for file in files],
        missing=[MissingView(uri=each.uri, why=each.why) for each in missing],
    )
    return _json(view)


@router.get("/content/{scope}/{folder}/{name}", include_in_schema=False)
async def send_content(request: Request, scope: str, folder: str, name: str) -> Response:
    """The file itself, or a range of it, for whoever has a link that is still good."""
    strata = state_of(request).models.strata
    address = ModelAddress(scope=scope, dir=folder, name=name)
    if not strata.good(address, request.query_params.get("until", ""), request.query_params.get("proof", "")):
        raise Problem("forbidden", "the link is not good, or not any more; ask for another")
    place = strata.place(ModelAddress.read(address.uri))
    if not place.is_file():
        raise Problem("not_found", "the file is not there any more")
    found = place.stat()
    reply = FileResponse(place, media_type="application/octet-stream", stat_result=found)
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted != reply.headers["etag"]:
        return Response(status_code=412)
    return reply


def _json(view: ModelFileList | ModelFileView | ResolveView) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
