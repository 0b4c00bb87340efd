"""`/v1/people`: who may be asked to decide, and in which roles."""

from functools import cache
from typing import Any
from zoneinfo import available_timezones

import orjson
from fastapi import APIRouter, Request, Response

from activities.approval_checks import PERSON, ROLE
from activities.contracts.approvals import Person
from api.approval_models import PersonBody, PersonList, PersonView
from api.auth import OperatorDep
from api.openapi import body_of, problems
from api.problems import invalid
from api.reading import read_body
from api.routes.approvals import ALWAYS, WRITES
from api.state import state_of
from infra.postgres.people import PersonNotFound

router = APIRouter(prefix="/v1/people", tags=["Approvals"])

_EXAMPLES = {
    "anna": {"summary": "An operator", "value": {"roles": ["operator"], "time_zone": "Europe/Berlin"}}
}
_zones = cache(available_timezones)


@router.put(
    "/{name}",
    operation_id="putPerson",
    summary="Make a person known, or change their roles",
    response_class=Response,
    responses={
        200: {"model": PersonView, "description": "The person."},
        **ALWAYS,
        **WRITES,
        **problems("forbidden"),
    },
    openapi_extra=body_of("PersonBody", _EXAMPLES),
)
async def put_person(request: Request, name: str, caller: OperatorDep) -> Response:
    """Who decides is a person: by a key of theirs, by Telegram, by a webhook that speaks for them."""
    body = await read_body(request, PersonBody)
    if not PERSON.fullmatch(name):
        raise invalid("name", "must be up to 63 of a-z 0-9 . _ -, and begin with a letter or digit")
    for index, role in enumerate(body.roles):
        if not ROLE.fullmatch(role):
            raise invalid(f"roles[{index}]", "must be up to 63 of a-z 0-9 _ -")
    if body.time_zone not in _zones():
        raise invalid("time_zone", "is no name of a time zone, such as Europe/Berlin")
    person = Person(name=name, roles=tuple(dict.fromkeys(body.roles)), time_zone=body.time_zone)
    await state_of(request).people.put(caller.tenant_id, person)
    return _json(_shown(person))


@router.get(
    "",
    operation_id="listPeople",
    summary="List people",
    response_class=Response,
    responses={
        200: {"model": PersonList, "description": "All, by name."},
        **ALWAYS,
        **problems("forbidden"),
    },
)
async def list_people(request: Request, caller: OperatorDep) -> Response:
    """The tenant's people."""
    return _json({"data": [_shown(each) for each in await state_of(request).people.list(caller.tenant_id)]})


@router.delete(
    "/{name}",
    operation_id="removePerson",
    summary="Remove a person",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "They decide nothing any more, by no key."},
        **ALWAYS,
        **problems("person_not_found", "forbidden"),
    },
)
async def remove_person(request: Request, name: str, caller: OperatorDep) -> Response:
    """Removes the person. What they have decided stands."""
    if not PERSON.fullmatch(name):
        raise PersonNotFound("there is nobody of that name; GET /v1/people lists who there is")
    await state_of(request).people.remove(caller.tenant_id, name)
    return Response(status_code=204)


def _shown(person: Person) -> dict[str, Any]:
    return {"name": person.name, "roles": list(person.roles), "time_zone": person.time_zone}


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
