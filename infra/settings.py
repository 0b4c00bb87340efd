"""The one Settings: everything that an installation may set, from `AITHER_*` variables or `.env`."""

import socket
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SELF_WRITTEN = frozenset({"user_metadata", "raw_user_meta_data"})


def _vouched(path: str) -> str:
    if SELF_WRITTEN & set(path.split(".")):
        raise ValueError("users write that part of their tokens themselves, so it proves nothing")
    return path


Claim = Annotated[str, Field(pattern=r"^[A-Za-z0-9_:/.-]{1,200}$"), AfterValidator(_vouched)]
"""A path of claims, such as `app_metadata.tenant_id`."""


class Settings(BaseSettings):
    """Addresses, limits and secrets. The defaults are the embedded stack's.

    Sizes are in bytes unless the name says otherwise, times in seconds.
    """

    model_config = SettingsConfigDict(env_prefix="AITHER_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Path(".aither")
    config_file: Path | None = None
    """What may be asked and by which rules; `aither.toml` in the working directory if it is there."""
    host: str = "127.0.0.1"
    host_name: str = Field(default_factory=socket.gethostname)
    """By which the cards of this machine are named in the configuration, as in `[cards."desk/0"]`."""

    api_port: int = 8001
    orchestrator_port: int = 8199
    embeddings_port: int = 8209
    temporal_port: int = 7233
    temporal_ui_port: int = 8233
    postgres_port: int = 15432
    redis_port: int = 16379

    temporal_address: str | None = None
    temporal_namespace: str = "default"
    temporal_api_key: SecretStr | None = None
    temporal_tls: bool = False
    """Whether by TLS. An API key, and each of the files below, asks for it by itself."""
    temporal_tls_ca: Path | None = None
    """The CA of the server's certificate, where the system does not know it."""
    temporal_tls_cert: Path | None = None
    """The certificate by which we are known (mTLS), and its key."""
    temporal_tls_key: Path | None = None
    temporal_tls_server_name: str | None = None
    """The name in the server's certificate, where that is not the host's."""
    temporal_deployment: str | None = Field(default=None, pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,62})?$")
    """The worker deployment that workers are versions of; without one they are not versioned."""
    build_id: str | None = Field(default=None, pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$")
    """Which build of the product this is; a digest of its code unless it is said."""
    payload_keys: SecretStr | None = None
    """Keys that encrypt what Temporal keeps, `id:base64,id:base64`: the first writes, all of them read."""
    codec_token: SecretStr | None = None
    """What those must show who ask `aither temporal codec-server` to decode."""
    temporal_ui_url: str | None = None
    database_url: SecretStr | None = None
    database_pool_size: int = Field(default=10, ge=1, le=200)
    database_pooler: Literal["session", "transaction"] = "session"
    """What a pooler in front of PostgreSQL keeps for us: a session, as none does, or a transaction alone."""
    admin_database_url: SecretStr | None = None
    """Of the role that owns the schema: `aither db` alone uses it, and no server needs it."""
    redis_url: SecretStr | None = None
    qdrant_url: str | None = None
    """A Qdrant server; without one, Qdrant runs inside the worker process, in the data directory."""
    qdrant_api_key: SecretStr | None = None
    embeddings_url: str | None = None
    """An embeddings server that speaks OpenAI's API, without its `/v1`; else that of the embedded stack is asked."""
    embedding_model: str | None = None
    """The name of its model there; only where `embeddings_url` is set."""
    memory_collection: str = Field(default="findings", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """The collection of findings. It remembers its embedder and refuses another: a new embedder needs a new name."""

    public_url: str | None = None

    jwt_jwks_url: str | None = Field(default=None, pattern=r"^(https?://[^\s?#]+)?$")
    """Where an identity provider publishes the keys that it signs users' tokens with; without it there are none."""
    jwt_issuer: str | None = None
    jwt_audience: str = Field(default="authenticated", min_length=1)
    jwt_tenant_claim: Claim = "app_metadata.tenant_id"
    """A path of claims that the provider alone writes: what users write themselves proves nothing."""
    jwt_role_claim: Claim = "app_metadata.aither_role"
    jwt_person_claim: Claim = "app_metadata.aither_person"
    """As whom the user decides approvals; as themselves where the token does not say."""

    orchestrator_threads: int = Field(default=1, ge=1)
    orchestrator_slots: int = Field(default=4, ge=1)
    orchestrator_window_tokens: int = Field(default=2048, ge=256)
    """Tokens that one answer of the embedded model may span, prompt included (each slot has its own)."""

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    """Where traces go: an OpenTelemetry collector that takes OTLP over HTTP. Without one nothing is traced."""
    trace_sample: float = Field(default=1.0, ge=0.0, le=1.0)
    """The share of turns that is traced, unless whoever asks has decided."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Where a worker serves its own figures to Prometheus, at `host`; nowhere without one."""

    max_body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    max_wait_seconds: int = Field(default=600, ge=0)
    history_preview_chars: int = Field(default=48, ge=0, le=200)
    """Characters of a turn's input that its trace may show; 0 shows none."""
    stream_ttl_seconds: int = Field(default=3600, ge=60)
    swarm_backend: str = Field(
        default="gateway",
        min_length=1,
        validation_alias=AliasChoices("AITHER_SWARM_BACKEND", "swarm_backend"),
    )
    """Whom swarms ask where neither they nor the configuration say; SWARM_BACKEND alone is understood too."""
    turn_timeout_seconds: int = Field(default=3600, ge=10)
    drain_seconds: int = Field(default=10, ge=0, le=3600)
    """How long a worker that is to stop lets its calls finish before it hands them back, to go on elsewhere."""

    vast_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("AITHER_VAST_API_KEY", "VAST_API_KEY", "vast_api_key")
    )
    """Of the account at Vast.ai whose boxes are rented; it never leaves this process but for the market itself."""
    burst_master_key: SecretStr | None = Field(default=None, min_length=32)
    """From which each lease's key is derived, and links to model files; `aither up` makes one."""
    box_url: str | None = None
    """Where rented boxes reach the API; without it (and `public_url`) our side collects what they have to say."""
    box_reachable_hosts: tuple[str, ...] = ()
    """Hosts that rented boxes reach though their names look internal: over a VPN, or on this machine in a trial."""

    tailscale_client_id: str | None = None
    """An OAuth client that makes a key for each rented box; without one boxes stay out of the overlay."""
    tailscale_client_secret: SecretStr | None = None
    tailscale_url: str = "https://api.tailscale.com"

    models_dir: Path | None = None
    """The directory behind `aither://models/`; `models` in the data directory unless it is said."""
    models_s3_endpoint: str | None = None
    models_s3_outside_endpoint: str | None = None
    """The bucket's endpoint for boxes outside of the house, where that is another one."""
    models_s3_bucket: str = "models"
    models_s3_region: str = "us-east-1"
    models_s3_access_key: str = ""
    models_s3_secret_key: SecretStr | None = None
    hf_endpoint: str = Field(
        default="https://huggingface.co",
        validation_alias=AliasChoices("AITHER_HF_ENDPOINT", "HF_ENDPOINT", "hf_endpoint"),
    )
    hf_token: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("AITHER_HF_TOKEN", "HF_TOKEN", "hf_token")
    )
    civitai_endpoint: str = "https://civitai.com"
    civitai_token: SecretStr | None = None

    telegram_token: SecretStr | None = None
    """Of the bot that shows approvals; without one there is no Telegram."""
    telegram_mode: Literal["polling", "webhook"] = "polling"
    telegram_webhook_secret: SecretStr | None = None
    """By which Telegram's calls of the webhook are known: 1 to 256 letters, digits, `_` and `-`."""
    telegram_api_url: str = Field(default="https://api.telegram.org", pattern=r"^https?://[^\s?#]+$")
    telegram_groups: str = Field(default="", pattern=r"^\s*(-\d{1,18}(\s*,\s*-\d{1,18})*)?\s*$")
    """Ids of the groups, beside private chats, in which people may decide, with commas between them."""
    allow_private_webhooks: bool = False
    """Whether approvals may be told to addresses that are not public, and without TLS."""

    @property
    def configuration(self) -> Path | None:
        """The configuration file, None where there is none. One that is named may turn out to be missing."""
        beside = Path("aither.toml")
        return self.config_file or (beside if beside.exists() else None)

    @property
    def temporal_target(self) -> str:
        """`host:port` of Temporal's frontend."""
        return self.temporal_address or f"{self.host}:{self.temporal_port}"

    @property
    def temporal_ui(self) -> str:
        """Base URL of Temporal's web UI."""
        return self.temporal_ui_url or f"http://{self.host}:{self.temporal_ui_port}"

    @property
    def database_dsn(self) -> str:
        """The application's PostgreSQL DSN, of a role that row-level security binds."""
        if self.database_url:
            return self.database_url.get_secret_value()
        return f"postgresql://aither_app@{self.host}:{self.postgres_port}/aither"

    @property
    def database_pooled(self) -> bool:
        """Whether each transaction may find itself in another session."""
        return self.database_pooler == "transaction"

    @property
    def redis_dsn(self) -> str:
        """Redis URL of the token streams."""
        return (
            self.redis_url.get_secret_value()
            if self.redis_url
            else f"redis://{self.host}:{self.redis_port}/0"
        )

    @property
    def embeddings_target(self) -> str:
        """Base URL of the embeddings server, without its `/v1`."""
        return self.embeddings_url or f"http://{self.host}:{self.embeddings_port}"

    @property
    def telegram_group_ids(self) -> frozenset[int]:
        """The groups of `telegram_groups`."""
        return frozenset(int(each) for each in self.telegram_groups.split(",") if each.strip())

    @property
    def api_url(self) -> str:
        """Base URL under which clients reach the API."""
        return self.public_url or f"http://{self.host}:{self.api_port}"


@cache
def settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
