"""A user's token (JWT, RFC 7519), checked: who it is, of which tenant, with which role."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import jwt

from activities.errors import AitherError
from infra.identity.published import ALGORITHMS, PublishedKeys
from infra.postgres.keys import Role

MOST_CHARS = 8192
LEEWAY_S = 10
"""How far the provider's clock and ours may be apart."""
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SUBJECT = re.compile(r"[\x21-\x7e]{1,128}")
_PERSON = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_KEY_ID = re.compile(r"[\x20-\x7e]{1,200}")


class TokenRefused(AitherError):
    """The token proves nothing; says why, without the token."""

    code = "unauthenticated"


class UserRefused(AitherError):
    """The token is good, and its user has no business here; says what would change that."""

    code = "forbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What is asked of a token. The claims are paths, such as `app_metadata.tenant_id`."""

    issuer: str
    audience: str
    tenant_claim: str
    role_claim: str
    person_claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUser:
    """Who a token stands for, until `expires_at` in seconds of Unix time."""

    subject: str
    name: str
    tenant_id: str
    role: Role
    person: str | None
    expires_at: float


class Tokens:
    """Checks tokens against what the provider publishes."""

    def __init__(self, keys: PublishedKeys, rules: TokenRules) -> None:
        self._keys = keys
        self._rules = rules

    async def check(self, token: str) -> TokenUser:
        """The user. Raises `TokenRefused`, `UserRefused`, and `IdentityAway` where the keys cannot be had."""
        if len(token) > MOST_CHARS:
            raise TokenRefused(f"the token is longer than {MOST_CHARS} characters")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise TokenRefused("the token is malformed") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS.values():
            raise TokenRefused(f"the token is not signed by one of {', '.join(ALGORITHMS.values())}")
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            raise TokenRefused("the token does not name the key that it is signed with")
        key = await self._keys.find(key_id)
        if key is None:
            raise TokenRefused("the token is signed with a key that the identity provider does not publish")
        return self._user(self._claims(token, key))

    def _claims(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                # The key's own, so that a header cannot have it used in another way.
                algorithms=[key.algorithm_name],
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(self._why(error)) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise TokenRefused("the token is malformed") from None

    def _why(self, error: jwt.PyJWTError) -> str:
        if isinstance(error, jwt.MissingRequiredClaimError):
            return f"the token has no claim {error.claim}"
        said: dict[type[jwt.PyJWTError], str] = {
            jwt.ExpiredSignatureError: "the token has expired; sign in again, or refresh it",
            jwt.ImmatureSignatureError: "the token is not valid yet; compare the clocks",
            jwt.InvalidAudienceError: f"the token is not for the audience {self._rules.audience}",
            jwt.InvalidIssuerError: f"the token was not issued by {self._rules.issuer}",
            jwt.InvalidSignatureError: "the token's signature is wrong",
            jwt.InvalidAlgorithmError: "the token's signature is wrong",
        }
        return said.get(type(error), "the token is malformed")

    def _user(self, claims: Mapping[str, Any]) -> TokenUser:
        rules, subject = self._rules, claims["sub"]
        if not _SUBJECT.fullmatch(subject):
            raise TokenRefused("the token's subject is not 1 to 128 printable characters")
        tenant = claim_at(claims, rules.tenant_claim)
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise UserRefused(
                f"the token does not say of which tenant the user is: its claim {rules.tenant_claim} is"
                f" {'missing' if tenant is None else 'no name of one'}; whoever runs the identity provider sets it"
            )
        role = claim_at(claims, rules.role_claim)
        if role is not None and role not in list(Role):
            raise UserRefused(f"the token's claim {rules.role_claim} is none of {', '.join(Role)}")
        person = claim_at(claims, rules.person_claim)
        if person is not None and not (isinstance(person, str) and _PERSON.fullmatch(person)):
            raise UserRefused(f"the token's claim {rules.person_claim} is no name of a person")
        email = claims.get("email")
        return TokenUser(
            subject=subject,
            name=_said(email) if isinstance(email, str) and email else subject,
            tenant_id=tenant,
            role=Role.USER if role is None else Role(role),
            person=person,
            expires_at=float(claims["exp"]),
        )


def claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """The claim at a path; None where there is none. One whose whole name is the path comes first."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = cast("Mapping[str, Any]", found).get(part)
    return found


def _said(text: str) -> str:
    """A name as it may be kept and shown."""
    return "".join(each if each.isprintable() else "�" for each in text)[:200]
