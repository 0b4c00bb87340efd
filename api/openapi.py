"""The OpenAPI document: what the routes declare, with every problem that they may answer with."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.agents import AgentBody, RollbackBody
from api.approval_models import (
    ApprovalBody,
    CancelBody,
    DecisionBody,
    EndpointBody,
    PersonBody,
    SignedDecisionBody,
)
from api.job_models import JobBody, JobWorkersBody
from api.joining import HeartbeatBody
from api.lease_views import LeaseBody, SweepBody
from api.model_store import ModelFileBody, ResolveBody
from api.models import ProblemView, TurnBody
from api.problems import CATALOGUE, MEDIA_TYPE, TYPE_PREFIX

_TEMPLATE = "#/components/schemas/{model}"
_DESCRIPTION = """Aither answers each question on the least machine that can answer it, durably.

Every question is a **turn**: it is stored before it is accepted, answered once, and can be followed,
resumed and traced. All errors are problems (RFC 9457, `application/problem+json`); those of the
OpenAI-compatible endpoints are OpenAI error objects.
"""


_TAKEN = (TurnBody, AgentBody, RollbackBody, HeartbeatBody, JobBody, JobWorkersBody, ProblemView)


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that may answer with these problems."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = CATALOGUE[code]
        example = {
            "type": TYPE_PREFIX + code,
            "title": title,
            "status": status,
            "detail": "…",
            "instance": "…",
        }
        content = {"schema": {"$ref": _TEMPLATE.format(model="ProblemView")}, "examples": {}}
        entry = by_status.setdefault(status, {"description": title, "content": {MEDIA_TYPE: content}})
        entry["content"][MEDIA_TYPE]["examples"][code] = {"summary": title, "value": example}
    return by_status


def body_of(model: str, examples: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra=` of a route that reads its body itself."""
    content = {"schema": {"$ref": _TEMPLATE.format(model=model)}, "examples": examples}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def header(description: str) -> dict[str, Any]:
    """A reply's header."""
    return {"description": description, "schema": {"type": "string"}}


def install(app: FastAPI) -> None:
    """Gives the app its document, made at the first request for it."""
    made: dict[str, Any] = {}

    def document() -> dict[str, Any]:
        if not made:
            made.update(_document(app))
        return made

    app.openapi = document  # pyright: ignore[reportAttributeAccessIssue]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Aither",
        version=app.version,
        description=_DESCRIPTION,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    _, ours = models_json_schema(
        [
            (kind, "validation")
            for kind in (
                TurnBody,
                AgentBody,
                RollbackBody,
                HeartbeatBody,
                ModelFileBody,
                ResolveBody,
                ProblemView,
                JobBody,
                JobWorkersBody,
                ApprovalBody,
                DecisionBody,
                CancelBody,
                SignedDecisionBody,
                EndpointBody,
                PersonBody,
                LeaseBody,
                SweepBody,
            )
        ],
        ref_template=_TEMPLATE,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in ours["$defs"].items():
        schemas.setdefault(name, schema)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path in document["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            # FastAPI adds its own 422, which no route here answers with.
            if "HTTPValidationError" in str(responses.get("422", "")):
                del responses["422"]
    return document
