"""Whom a token stands for, as a caller of the API."""

import hashlib
import time

from infra.config.mistakes import ConfigError, Mistake
from infra.identity.published import PublishedKeys
from infra.identity.tokens import TokenRules, Tokens
from infra.postgres.database import Database
from infra.postgres.keys import CACHE_S, CACHE_SIZE, Caller
from infra.postgres.users import PostgresUsers
from infra.settings import Settings

_PUBLISHED = "/.well-known/jwks.json"


class TokenUsers:
    """Checks tokens, and makes callers of them."""

    def __init__(self, tokens: Tokens, rows: PostgresUsers) -> None:
        self._tokens = tokens
        self._rows = rows
        self._known: dict[bytes, tuple[float, Caller]] = {}

    async def authenticate(self, token: str) -> Caller:
        """The caller. Raises `TokenRefused`, `UserRefused`, `UserNotAdmitted`, `IdentityAway`, `StoreUnavailable`.

        A token that was good is trusted for as long as an API key is, and never longer than it says itself.
        """
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        now = time.time()
        known = self._known.get(digest)
        if known and known[0] > now:
            return known[1]
        user = await self._tokens.check(token)
        caller = await self._rows.admit(
            user.tenant_id, user.subject, name=user.name, role=user.role, person=user.person
        )
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[digest] = (min(now + CACHE_S, user.expires_at), caller)
        return caller


def token_users(settings: Settings, database: Database) -> TokenUsers | None:
    """Whoever checks tokens by these settings; None where no provider is set. Raises `ConfigError`."""
    rules = token_rules(settings)
    if rules is None or not settings.jwt_jwks_url:
        return None
    return TokenUsers(Tokens(PublishedKeys(settings.jwt_jwks_url), rules), PostgresUsers(database))


def token_rules(settings: Settings) -> TokenRules | None:
    """What is asked of tokens. Raises `ConfigError` where it is not said who has to have issued them."""
    url = settings.jwt_jwks_url
    if not url:
        return None
    issuer = settings.jwt_issuer or (url.removesuffix(_PUBLISHED) if url.endswith(_PUBLISHED) else None)
    if not issuer:
        wanted = f"is needed where AITHER_JWT_JWKS_URL does not end in {_PUBLISHED}: what a token's `iss` has to be"
        raise ConfigError("AITHER_JWT_ISSUER", [Mistake(text=wanted)])
    return TokenRules(
        issuer=issuer,
        audience=settings.jwt_audience,
        tenant_claim=settings.jwt_tenant_claim,
        role_claim=settings.jwt_role_claim,
        person_claim=settings.jwt_person_claim,
    )
