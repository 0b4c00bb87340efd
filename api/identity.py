"""Users' tokens beside API keys: only where an identity provider is set is anything of it imported."""

from typing import Protocol

from infra.postgres.database import Database
from infra.postgres.keys import Caller
from infra.settings import Settings


class TokenAuthority(Protocol):
    """Whoever tells whom a token stands for."""

    async def authenticate(self, token: str) -> Caller:
        """The caller. Raises `AitherError`: unauthenticated, forbidden, or somebody who has to be asked is away."""
        ...


def users_of(settings: Settings, database: Database) -> TokenAuthority | None:
    """Whoever checks tokens by these settings; None where they name no provider. Raises `ConfigError`."""
    if not settings.jwt_jwks_url:
        return None
    from infra.identity.users import token_users

    return token_users(settings, database)


def checked_identity(settings: Settings) -> None:
    """Raises `ConfigError` for settings by which no token could be checked."""
    if settings.jwt_jwks_url:
        from infra.identity.users import token_rules

        token_rules(settings)


def is_token(secret: str) -> bool:
    """Whether this looks like a token (JWT) rather than like an API key, which has no dots."""
    return secret.startswith("ey") and secret.count(".") == 2
