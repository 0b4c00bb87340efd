"""How Temporal is reached: the address, the namespace, TLS. What is wrong with that is said before anybody connects."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from temporalio.service import TLSConfig

from infra.config.mistakes import ConfigError, Mistake
from infra.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

CLOUD = (".tmprl.cloud", ".api.temporal.io")
"""Hosts of Temporal Cloud: by namespace, with certificates; by region, with API keys."""
_TARGET = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@?#\[\]]+):(\d{1,5})")
_CLOUD_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9-]*\.[a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a client is made with."""

    target: str
    namespace: str
    api_key: str | None = field(default=None, repr=False)
    tls: TLSConfig | bool = field(default=False, repr=False)

    @property
    def cloud(self) -> bool:
        """Whether this is Temporal Cloud."""
        return self.target.rpartition(":")[0].endswith(CLOUD)

    @property
    def mutual(self) -> bool:
        """Whether we show a certificate, too."""
        return isinstance(self.tls, TLSConfig) and self.tls.client_cert is not None

    @property
    def manner(self) -> str:
        """In a few words, how the connection is secured."""
        if not self.tls:
            return "no TLS"
        return ("mTLS" if self.mutual else "TLS") + (", API key" if self.api_key else "")


def access(settings: Settings) -> Access:
    """How Temporal is reached by these settings. Raises `ConfigError`, which names the variable and the file."""
    target, namespace = settings.temporal_target, settings.temporal_namespace
    if not _TARGET.fullmatch(target):
        _refuse("AITHER_TEMPORAL_ADDRESS", "it is `host:port`, 7233 being the usual port, without `https://`")
    key = settings.temporal_api_key.get_secret_value().strip() if settings.temporal_api_key else None
    found = Access(target=target, namespace=namespace, api_key=key or None, tls=_tls(settings, bool(key)))
    if found.cloud and not _CLOUD_NAMESPACE.fullmatch(namespace):
        _refuse(
            "AITHER_TEMPORAL_NAMESPACE",
            f'"{namespace}" is none of Temporal Cloud\'s, which are `name.account`',
        )
    if found.cloud and not found.api_key and not found.mutual:
        _refuse(
            "AITHER_TEMPORAL_API_KEY",
            "Temporal Cloud takes a key, or a certificate (AITHER_TEMPORAL_TLS_CERT)",
        )
    return found


def _tls(settings: Settings, has_key: bool) -> TLSConfig | bool:
    """TLS as it is set; an API key, and every file, asks for it by itself."""
    ca = _read("AITHER_TEMPORAL_TLS_CA", settings.temporal_tls_ca)
    cert = _read("AITHER_TEMPORAL_TLS_CERT", settings.temporal_tls_cert)
    key = _read("AITHER_TEMPORAL_TLS_KEY", settings.temporal_tls_key)
    name = settings.temporal_tls_server_name or None
    if cert and not key:
        _refuse(
            "AITHER_TEMPORAL_TLS_KEY",
            "not set, and AITHER_TEMPORAL_TLS_CERT is: a certificate needs its key",
        )
    if key and not cert:
        _refuse(
            "AITHER_TEMPORAL_TLS_CERT",
            "not set, and AITHER_TEMPORAL_TLS_KEY is: a key needs its certificate",
        )
    if not (ca or cert or name):
        return settings.temporal_tls or has_key
    if ca:
        _certificate("AITHER_TEMPORAL_TLS_CA", settings.temporal_tls_ca, ca)
    if cert and key:
        of_cert = _certificate("AITHER_TEMPORAL_TLS_CERT", settings.temporal_tls_cert, cert)
        if _der(_key("AITHER_TEMPORAL_TLS_KEY", settings.temporal_tls_key, key)) != _der(of_cert):
            _refuse(
                "AITHER_TEMPORAL_TLS_KEY",
                f"{settings.temporal_tls_key} is not the key of the certificate {settings.temporal_tls_cert}",
            )
    return TLSConfig(server_root_ca_cert=ca, domain=name, client_cert=cert, client_private_key=key)


def _read(variable: str, path: Path | None) -> bytes | None:
    # An empty variable, as compose files leave them, is the empty path.
    if path is None or path == Path():
        return None
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        _refuse(variable, f"{path} cannot be read: {(error.strerror or 'it is no file').lower()}")


def _certificate(variable: str, path: Path | None, pem: bytes) -> "PublicKeyTypes":
    """The public key of the file's first certificate, which must be valid today."""
    from cryptography import x509

    try:
        first = x509.load_pem_x509_certificates(pem)[0]
        public = first.public_key()
    except (ValueError, IndexError):
        _refuse(variable, f"{path} holds no certificate in PEM")
    if (ended := first.not_valid_after_utc) < datetime.now(UTC):
        _refuse(variable, f"{path} ran out on {ended:%Y-%m-%d}")
    return public


def _key(variable: str, path: Path | None, pem: bytes) -> "PublicKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(pem, None).public_key()
    except TypeError:
        _refuse(variable, f"{path} is locked by a passphrase, and nobody is there to say it")
    except (ValueError, UnsupportedAlgorithm):
        _refuse(variable, f"{path} holds no private key in PEM")


def _der(key: "PublicKeyTypes") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _refuse(variable: str, text: str) -> NoReturn:
    raise ConfigError(variable, [Mistake(text=text)]) from None
