"""`/v1/agents`: who turns may speak as. Every change is a new version, used from the next turn."""

import re
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from activities.contracts.agents import Agent
from api.agents import AgentBody, AgentList, AgentView, RollbackBody, agent_view, texts_of
from api.auth import CallerDep
from api.openapi import body_of, problems
from api.problems import FieldError, Problem, invalid
from api.reading import read_body
from api.state import state_of
from infra.postgres.agents import AgentNotFound

router = APIRouter(prefix="/v1/agents", tags=["Agents"])

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ALWAYS = problems("unauthenticated", "internal", "store_unavailable")
_WRITES = problems("bad_json", "body_too_large", "body_too_deep", "unsupported_media_type", "invalid_request")
_EXAMPLES = {
    "poet": {
        "summary": "A poet that stays in the building",
        "value": {
            "will": "Answer in verse.",
            "persona": "Warm, a little old-fashioned.",
            "effort": 4,
            "policy": {"local_only": True},
        },
    }
}
_BACK = {"back": {"summary": "Back to the first version", "value": {"version": 1}}}


@router.put(
    "/{name}",
    operation_id="putAgent",
    summary="Make or change an agent",
    response_class=Response,
    responses={200: {"model": AgentView, "description": "Its newest version."}, **_ALWAYS, **_WRITES},
    openapi_extra=body_of("AgentBody", _EXAMPLES),
)
async def put_agent(request: Request, name: str, caller: CallerDep) -> Response:
    """A new version, used from the next turn on; turns that run keep theirs. The same again makes none.

    A name has lower-case letters, digits and dashes, 63 at most.
    """
    state = state_of(request)
    if not _NAME.fullmatch(name):
        raise invalid("name", "must be lower-case letters, digits and dashes, 63 at most")
    texts = texts_of(await read_body(request, AgentBody), state.topology)
    return _one(await state.agents.put(caller.tenant_id, name, texts))


@router.get(
    "",
    operation_id="listAgents",
    summary="List agents",
    response_class=Response,
    responses={200: {"model": AgentList, "description": "The newest version of each, by name."}, **_ALWAYS},
)
async def list_agents(request: Request, caller: CallerDep) -> Response:
    """The tenant's agents."""
    return _many(await state_of(request).agents.list(caller.tenant_id))


@router.get(
    "/{name}",
    operation_id="getAgent",
    summary="Look at an agent",
    response_class=Response,
    responses={
        200: {"model": AgentView, "description": "Its newest version."},
        **_ALWAYS,
        **problems("agent_not_found"),
    },
)
async def get_agent(request: Request, name: str, caller: CallerDep) -> Response:
    """The agent as the next turn will speak."""
    try:
        return _one(await state_of(request).agents.get(caller.tenant_id, name))
    except AgentNotFound as error:
        raise _not_found(error, "name") from None


@router.get(
    "/{name}/versions",
    operation_id="listAgentVersions",
    summary="An agent's history",
    response_class=Response,
    responses={
        200: {"model": AgentList, "description": "All versions, newest first."},
        **_ALWAYS,
        **problems("agent_not_found"),
    },
)
async def list_agent_versions(request: Request, name: str, caller: CallerDep) -> Response:
    """Every version that the agent has had."""
    try:
        return _many(await state_of(request).agents.history(caller.tenant_id, name))
    except AgentNotFound as error:
        raise _not_found(error, "name") from None


@router.post(
    "/{name}/rollback",
    operation_id="rollbackAgent",
    summary="Go back to an earlier version",
    response_class=Response,
    responses={
        200: {"model": AgentView, "description": "The new version, with the earlier one's texts."},
        **_ALWAYS,
        **_WRITES,
        **problems("agent_not_found"),
    },
    openapi_extra=body_of("RollbackBody", _BACK),
)
async def rollback_agent(request: Request, name: str, caller: CallerDep) -> Response:
    """A new version that is as the earlier one was: nothing is ever taken out of the history."""
    body = await read_body(request, RollbackBody)
    try:
        return _one(await state_of(request).agents.restore(caller.tenant_id, name, body.version))
    except AgentNotFound as error:
        raise _not_found(error, "version") from None


def _not_found(error: AgentNotFound, field: str) -> Problem:
    return Problem("agent_not_found", error.message, FieldError(field=field, message="no such agent"))


def _one(agent: Agent) -> Response:
    return _json(agent_view(agent))


def _many(agents: Sequence[Agent]) -> Response:
    return _json({"data": [agent_view(agent) for agent in agents]})


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
