"""The OpenAI-compatible endpoint: chat completions, models, embeddings."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import orjson
from fastapi import APIRouter, FastAPI, Request, Response

from api.auth import CallerDep
from api.openai_compat.chat import complete, unknown_model
from api.openai_compat.documents import COMPLETION, body_of, listed, reply
from api.openai_compat.errors import CompatRoute
from api.openai_compat.requests import ChatRequest
from api.openai_compat.vectors import EmbeddingRequest, embed
from api.state import state_of
from infra.embeddings import EmbeddingsClient
from workflows.policy.models import model_names

EMBEDDING_TIMEOUT_S = 60.0
STARTED = int(time.time())


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
    del app
    async with httpx2.AsyncClient(timeout=httpx2.Timeout(EMBEDDING_TIMEOUT_S, connect=2.0)) as http:
        yield {"embeddings_http": http}


router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"], route_class=CompatRoute, lifespan=_lifespan)


@router.post(
    "/chat/completions",
    operation_id="createChatCompletion",
    summary="Answer a conversation",
    responses=reply("The completion.", COMPLETION, streams=True, turn=True),
    openapi_extra=body_of(ChatRequest),
    response_class=Response,
)
async def create_chat_completion(request: Request, caller: CallerDep) -> Response:
    """OpenAI's chat completions, each of them a turn.

    `model` is `auto`, `auto:NAME` or a backend's model. The reply says in `aither_route` who was asked, in
    `model` who answered, and in the header `x-aither-turn-id` which turn it was. Closing the connection
    cancels the turn, unless the request had an `Idempotency-Key`, with which it can be asked for again.
    """
    return await complete(request, state_of(request), caller)


@router.get(
    "/models",
    operation_id="listModels",
    summary="List the models",
    responses=reply("The models that can be asked for.", listed("model")),
    response_class=Response,
)
async def list_models(request: Request, caller: CallerDep) -> Response:
    """Every name that `model` may have."""
    del caller
    return _json({"object": "list", "data": [_model(name) for name in _names(request)]})


@router.get(
    "/models/{model:path}",
    operation_id="retrieveModel",
    summary="Look a model up",
    responses=reply("The model.", {"type": "object"}),
    response_class=Response,
)
async def retrieve_model(request: Request, model: str, caller: CallerDep) -> Response:
    """One of the models."""
    del caller
    names = _names(request)
    if model not in names:
        raise unknown_model(model, names)
    return _json(_model(model))


@router.post(
    "/embeddings",
    operation_id="createEmbedding",
    summary="Embed texts",
    responses=reply("One vector for each text, in order.", listed("embedding")),
    openapi_extra=body_of(EmbeddingRequest),
    response_class=Response,
)
async def create_embedding(request: Request, caller: CallerDep) -> Response:
    """OpenAI's embeddings, by the one embedding model. No turn is made."""
    del caller
    state = state_of(request)
    http = cast("httpx2.AsyncClient", request.state.embeddings_http)
    client = EmbeddingsClient(http, state.settings.embeddings_target)
    return await embed(request, client, state.topology.embedding_model)


def _names(request: Request) -> tuple[str, ...]:
    topology = state_of(request).topology
    return (*model_names(topology), *((topology.embedding_model,) if topology.embedding_model else ()))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": STARTED, "owned_by": "aither"}


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
