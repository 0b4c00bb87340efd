"""Who is calling: a bearer key, or a user's token, in the Authorization header and nowhere else."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from activities.errors import AitherError
from api.identity import TokenAuthority, is_token
from api.problems import FieldError, Problem
from api.state import state_of
from infra.postgres.keys import Caller, Role

MAX_KEY_CHARS = 256


class BearerKey(SecurityBase):
    """A dependency that yields the caller, and says in the OpenAPI document that a key is needed."""

    def __init__(self) -> None:
        self.model = HTTPBearer(
            description="An API key: `aither up` makes the first one, `aither key create` more. Where an identity"
            " provider is set, a user's token (JWT) does as well."
        )
        self.scheme_name = "apiKey"

    async def __call__(self, request: Request) -> Caller:
        """The caller. Raises a 401 `Problem` where the key is missing, malformed, unknown or revoked.

        With a token also a 403 where its user has no business here, and a 503 where it cannot be checked.
        """
        header = request.headers.get("authorization", "")
        scheme, _, secret = header.partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise _unauthenticated(
                "no key was sent; send the header Authorization: Bearer KEY; `aither key create` makes one"
            )
        if is_token(secret) and (users := state_of(request).users) is not None:
            return await _of_token(users, secret)
        if len(secret) <= MAX_KEY_CHARS:
            caller = await state_of(request).keys.authenticate(secret)
            if caller is not None:
                return caller
        raise _unauthenticated(
            "the key is unknown or was revoked; `aither key list` shows the keys there are", wrong=True
        )


async def _of_token(users: TokenAuthority, token: str) -> Caller:
    try:
        return await users.authenticate(token)
    except AitherError as error:
        if error.code == "unauthenticated":
            raise _unauthenticated(error.message, wrong=True, fault="a token that is not good") from None
        if error.code == "forbidden":
            raise Problem(
                error.code, error.message, FieldError(field="Authorization", message="a user without access")
            ) from None
        if error.code == "identity_unavailable":
            raise Problem(error.code, error.message, headers={"Retry-After": "10"}) from None
        raise


def _unauthenticated(detail: str, *, wrong: bool = False, fault: str = "unknown or revoked key") -> Problem:
    challenge = 'Bearer realm="aither"' + (', error="invalid_token"' if wrong else "")
    return Problem(
        "unauthenticated",
        detail,
        FieldError(field="Authorization", message=fault if wrong else "missing"),
        headers={"WWW-Authenticate": challenge},
    )


bearer_key = BearerKey()
CallerDep = Annotated[Caller, Depends(bearer_key)]


class Needs:
    """A dependency that yields the caller whose key has one of these roles; the first one is asked for."""

    def __init__(self, *roles: Role) -> None:
        self._roles = roles

    async def __call__(self, caller: CallerDep) -> Caller:
        """The caller. Raises a 403 `Problem` where the key has another role."""
        if caller.role in self._roles:
            return caller
        role = self._roles[0]
        raise Problem(
            "forbidden",
            f"this needs {_WHOSE[role]} key; `aither key create NAME --role {role}` makes one",
            FieldError(field="Authorization", message=f"the key's role is {caller.role}"),
        )


_WHOSE = {Role.USER: "a user's", Role.SERVICE: "a service's", Role.OPERATOR: "an operator's"}

OperatorDep = Annotated[Caller, Depends(Needs(Role.OPERATOR))]
"""Who runs the house."""
ServiceDep = Annotated[Caller, Depends(Needs(Role.SERVICE, Role.OPERATOR))]
"""A model server that joins by itself, or who runs the house."""
