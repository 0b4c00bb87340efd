"""`/v1/grants`: yeses that reach further than the ask they were given to."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response

from api.approval_models import GrantPage, GrantView
from api.approvals import name_of
from api.auth import CallerDep
from api.links import cursor_after
from api.openapi import problems
from api.problems import Problem
from api.routes.approvals import ALWAYS, page_before, strange_cursor
from api.state import state_of
from infra.postgres.grants import NotYours, PostgresGrants

router = APIRouter(prefix="/v1/grants", tags=["Approvals"])


@router.get(
    "",
    operation_id="listGrants",
    summary="List grants, newest first",
    response_class=Response,
    responses={
        200: {"model": GrantPage, "description": "A page."},
        **ALWAYS,
        **problems("invalid_request"),
    },
)
async def list_grants(
    request: Request,
    caller: CallerDep,
    *,
    every: Annotated[
        bool, Query(alias="all", description="Also those that were revoked, or have ended.")
    ] = False,
    limit: Annotated[int, Query(ge=1, le=100, description="Grants on a page.")] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """The tenant's grants that are in force, or all there were."""
    before = page_before(request, cursor, {"all", "limit", "cursor"})
    rows = PostgresGrants(state_of(request).database)
    found = await rows.page(caller.tenant_id, every=every, before=before, limit=limit + 1)
    if found is None:
        raise strange_cursor()
    next_cursor = cursor_after(found[limit - 1]["id"]) if len(found) > limit else None
    page = {"data": found[:limit], "next_cursor": next_cursor}
    return Response(orjson.dumps(page), media_type="application/json")


@router.delete(
    "/{grant_id}",
    operation_id="revokeGrant",
    summary="Revoke a grant",
    response_class=Response,
    responses={
        200: {"model": GrantView, "description": "It answers nothing any more."},
        **ALWAYS,
        **problems("grant_not_found", "forbidden"),
    },
)
async def revoke_grant(request: Request, grant_id: str, caller: CallerDep) -> Response:
    """Takes a grant back, for good: whoever gave it may, and operators. What it has answered stands."""
    rows = PostgresGrants(state_of(request).database)
    if "\x00" in grant_id:
        raise Problem("grant_not_found", "there is no grant of that id")
    try:
        grant = await rows.revoke(caller.tenant_id, grant_id, name_of(caller), (caller.role.value,))
    except NotYours as error:
        raise Problem("forbidden", error.message) from None
    return Response(orjson.dumps(grant), media_type="application/json")
