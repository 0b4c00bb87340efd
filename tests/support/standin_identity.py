"""An identity provider for tests: publishes keys over HTTP, and signs tokens with them."""

import time
import uuid
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.market_demo.place import Place

PRIVATE = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class SigningKey:
    """A key of the provider's."""

    def __init__(self, algorithm: str) -> None:
        self.id = uuid.uuid4().hex
        self.algorithm = algorithm
        self.private: Any = PRIVATE[algorithm]()

    @property
    def jwk(self) -> dict[str, Any]:
        spelled = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return {**spelled, "kid": self.id, "alg": self.algorithm, "use": "sig", "key_ops": ["verify"]}

    @property
    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class StandInIdentity(Place):
    """Counts how often it is asked. `body` is answered in the place of the set, where it is given."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.keys = [SigningKey("ES256")]
        self.asked = 0
        self.status = 200
        self.body: bytes | None = None

    @property
    def issuer(self) -> str:
        return f"{self.url}/auth/v1"

    @property
    def jwks_url(self) -> str:
        return f"{self.issuer}/.well-known/jwks.json"

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/auth/v1/.well-known/jwks.json", self._publish)]

    async def _publish(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.body is not None:
            return web.Response(body=self.body, status=self.status)
        return web.json_response({"keys": [key.jwk for key in self.keys]}, status=self.status)

    def claims(self, tenant: str | None = "acme", **changed: Any) -> dict[str, Any]:
        """What a good token says; a claim that is given as None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": "authenticated",
            "sub": "5f0c7f7e-0001-4000-8000-000000000001",
            "iat": now,
            "exp": now + 600,
            "email": "ada@example.com",
            "app_metadata": {"provider": "email"} | ({"tenant_id": tenant} if tenant else {}),
            "user_metadata": {},
        } | changed
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *, key: SigningKey | None = None, tenant: str | None = "acme", **changed: Any) -> str:
        """A token that is good but for what is changed."""
        return self.signed(self.claims(tenant, **changed), key=key)

    def signed(self, claims: dict[str, Any], *, key: SigningKey | None = None) -> str:
        used = key or self.keys[0]
        return jwt.encode(claims, used.private, algorithm=used.algorithm, headers={"kid": used.id})
