"""`/v1/webhooks`: where approvals are told; and `/v1/approvals/webhook/…`: decisions that come signed."""

from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from activities.contracts.approvals import Choice, Surface
from api.approval_models import (
    AnswerView,
    EndpointBody,
    EndpointList,
    NewEndpointView,
    SignedDecisionBody,
)
from api.approvals import counted
from api.auth import OperatorDep
from api.openapi import body_of, problems
from api.problems import FieldError, Problem, invalid
from api.reading import parse, read_body
from api.routes.approvals import ALWAYS, WRITES, answered
from api.state import State, state_of
from infra.postgres.webhooks import Correspondent, Endpoint, ref_of
from infra.postman import fault_of_url
from infra.signatures import SIGNATURE_HEADER, BadSignature, new_secret, verified

router = APIRouter(tags=["Approvals"])

EVERYONE = "*"
_NOBODY = new_secret()
"""Stands for the secret of an endpoint that there is not, so that its messages take as long to refuse."""
_EXAMPLES = {
    "both": {
        "summary": "Told there, and answered from there by anybody who is known",
        "value": {"url": "https://chat.example/hooks/approvals", "speaks_for": ["*"]},
    }
}
_MESSAGES = {
    "yes": {"summary": "Anna agrees", "value": {"approval_id": "apr_…", "option": "approve", "by": "anna"}}
}


@router.post(
    "/v1/webhooks",
    operation_id="createWebhook",
    summary="Have approvals told somewhere",
    status_code=201,
    response_class=Response,
    responses={
        201: {"model": NewEndpointView, "description": "Its secret is shown this once."},
        **ALWAYS,
        **WRITES,
        **problems("forbidden", "too_many_webhooks"),
    },
    openapi_extra=body_of("EndpointBody", _EXAMPLES),
)
async def create_webhook(request: Request, caller: OperatorDep) -> Response:
    """Every approval of the tenant is told there as it is opened, escalated, reminded of and closed.

    Messages are signed by the Standard Webhooks specification, and come again until they are taken.
    """
    state = state_of(request)
    body = await read_body(request, EndpointBody)
    private = state.settings.allow_private_webhooks
    if body.url is not None and (fault := fault_of_url(body.url, allow_private=private)):
        raise invalid("url", fault)
    if body.url is None and not body.speaks_for:
        raise invalid("url", "is needed where it speaks for nobody")
    named = [name for name in body.speaks_for if name != EVERYONE]
    unknown = await state.people.unknown(caller.tenant_id, named)
    for index, name in enumerate(body.speaks_for):
        if name in unknown:
            raise invalid(f"speaks_for[{index}]", "is nobody; PUT /v1/people/{name} makes them known")
    endpoint, secret = await state.webhooks.add(caller.tenant_id, body.url, body.speaks_for)
    return _json({**_shown(state, endpoint), "secret": secret}, 201)


@router.get(
    "/v1/webhooks",
    operation_id="listWebhooks",
    summary="List webhooks",
    response_class=Response,
    responses={
        200: {"model": EndpointList, "description": "All, newest first."},
        **ALWAYS,
        **problems("forbidden"),
    },
)
async def list_webhooks(request: Request, caller: OperatorDep) -> Response:
    """The tenant's endpoints, with what waits to be sent; never their secrets."""
    state = state_of(request)
    return _json({"data": [_shown(state, each) for each in await state.webhooks.list(caller.tenant_id)]})


@router.delete(
    "/v1/webhooks/{endpoint_id}",
    operation_id="removeWebhook",
    summary="Remove a webhook",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It is gone."}, **ALWAYS, **problems("webhook_not_found", "forbidden")},
)
async def remove_webhook(request: Request, endpoint_id: str, caller: OperatorDep) -> Response:
    """Nothing is sent there any more, and nothing taken from there."""
    if "\x00" in endpoint_id:
        raise Problem("webhook_not_found", "there is no webhook of that id")
    await state_of(request).webhooks.remove(caller.tenant_id, endpoint_id)
    return Response(status_code=204)


@router.post(
    "/v1/approvals/webhook/{endpoint_id}",
    operation_id="decideByWebhook",
    summary="Decide, by a signed message",
    response_class=Response,
    responses={
        200: {"model": AnswerView, "description": "This decided it, or had when it came first."},
        202: {"model": AnswerView, "description": "It counts; `wanted` more must choose the same."},
        **problems("bad_signature", "internal", "store_unavailable"),
        **WRITES,
        **problems("approval_not_found", "not_a_decider", "approval_closed"),
    },
    openapi_extra=body_of("SignedDecisionBody", _MESSAGES),
)
async def decide_by_webhook(request: Request, endpoint_id: str) -> Response:
    """Takes a decision signed with an endpoint's secret (Standard Webhooks); no key is needed.

    A message that comes again, by its `webhook-id`, is answered as it was the first time, and decides nothing.
    """
    state = state_of(request)
    raw = await request.body()
    endpoint = None if "\x00" in endpoint_id else await state.webhooks.correspondent(endpoint_id)
    try:
        message_id = verified(
            endpoint.secret if endpoint else _NOBODY, request.headers, raw, datetime.now(UTC)
        )
    except BadSignature as error:
        raise _unsigned(str(error)) from None
    if endpoint is None:
        raise _unsigned(f"{SIGNATURE_HEADER} is not right for this message")
    message = parse(raw, SignedDecisionBody)
    taken = await state.webhooks.decide(endpoint, message_id, message.approval_id, _choice(endpoint, message))
    if not taken.replayed:
        state.approvals.heard(ref_of(endpoint, message.approval_id), taken.answer)
    headers = {"Webhook-Replayed": "true"} if taken.replayed else {}
    try:
        return answered(counted(taken.answer), headers)
    except Problem as problem:
        problem.headers = {**(problem.headers or {}), **headers}
        raise


def _choice(endpoint: Correspondent, message: SignedDecisionBody) -> Choice:
    """The choice, as whom the endpoint may speak for; as the endpoint itself where it may not, which is recorded."""
    speaks_for, by = endpoint.speaks_for, message.by
    if by is None and len(speaks_for) == 1 and speaks_for[0] != EVERYONE:
        by = speaks_for[0]
    # Only a person is spoken for: what has a colon is a key or a webhook.
    may = by is not None and ":" not in by and (by in speaks_for or EVERYONE in speaks_for)
    return Choice(
        by=by if may and by is not None else f"webhook:{endpoint.endpoint_id}",
        option=message.option,
        scope=message.scope,
        surface=Surface.WEBHOOK,
        note=message.note,
    )


def _unsigned(why: str) -> Problem:
    return Problem("bad_signature", why, FieldError(field=why.partition(" ")[0], message="is not right"))


def _shown(state: State, endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "speaks_for": list(endpoint.speaks_for),
        "created_at": endpoint.created_at,
        "waiting": endpoint.waiting,
        "problem": endpoint.problem,
        "incoming": f"{state.settings.api_url}/v1/approvals/webhook/{endpoint.id}",
    }


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
