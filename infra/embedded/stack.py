"""Which parts the embedded stack has, and what each of them is told."""

import signal
import sys
from dataclasses import dataclass

from infra.embedded import carried, ports, postgres, probes
from infra.embedded.bytecode import cache_environment
from infra.embedded.layout import Layout
from infra.embedded.parts import Part
from infra.embedded.passwords import Passwords
from infra.embedded.temporal import temporal_part
from infra.settings import Settings
from infra.topology import EMBEDDED_CHAT_MODEL, EMBEDDED_EMBEDDING_MODEL

LEAN = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"} | cache_environment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A stack that could be started: its settings, its place, its parts."""

    settings: Settings
    layout: Layout
    passwords: Passwords
    parts: tuple[Part, ...]

    @property
    def ports(self) -> dict[str, int]:
        """The ports that its parts will take, by use."""
        names = {part.name for part in self.parts}
        return {
            use: port
            for use, port in ports.of(self.settings).items()
            if ("temporal" if use == "temporal_ui" else use) in names
        }

    @property
    def urls(self) -> dict[str, str]:
        """Where a person looks."""
        return {
            "api": self.settings.api_url,
            "docs": f"{self.settings.api_url}/docs",
            "temporal_ui": self.settings.temporal_ui,
        }

    @property
    def app_dsn(self) -> str:
        """The database as the application sees it."""
        return _app_dsn(self.settings, self.passwords)


def draw(settings: Settings, layout: Layout, passwords: Passwords, without: frozenset[str]) -> Blueprint:
    """All parts, less those named in `without` and those that the settings say run elsewhere."""
    elsewhere = {
        "temporal": settings.temporal_address,
        "postgres": settings.database_url,
        "redis": settings.redis_url,
        "embeddings": settings.embeddings_url,
    }
    left_out = without | {name for name, address in elsewhere.items() if address}
    everything = (
        postgres.postgres_part(layout, settings.host, settings.postgres_port, passwords),
        temporal_part(layout, settings),
        _redis(layout, settings, passwords),
        _workers(layout, settings, passwords),
        _cards(layout, settings, passwords),
        _api(layout, settings, passwords),
        _orchestrator(settings),
        _embeddings(settings),
    )
    unknown = without - {part.name for part in everything}
    if unknown:
        known = ", ".join(part.name for part in everything)
        raise ValueError(f"there is no part {', '.join(sorted(unknown))}; the parts are {known}")
    parts = tuple(part for part in everything if part.name not in left_out)
    return Blueprint(settings=settings, layout=layout, passwords=passwords, parts=parts)


def _redis(layout: Layout, settings: Settings, passwords: Passwords) -> Part:
    config = layout.redis_dir / "redis.conf"

    async def before() -> None:
        # In a file, because a password among the arguments could be read by every user of the machine.
        config.touch(mode=0o600)
        config.write_text(
            f"bind {settings.host}\n"
            f"port {settings.redis_port}\n"
            f"requirepass {passwords.redis}\n"
            f"dir {layout.redis_dir}\n"
            "daemonize no\n"
            "maxmemory 256mb\n"
            # Every stream has a time to live: those nearest to their end go first.
            "maxmemory-policy volatile-ttl\n"
            # A killed server loses nothing with this, a power cut a second.
            "appendonly yes\n"
            "appendfsync everysec\n"
            'save ""\n'
        )

    return Part(
        name="redis",
        title="Redis",
        argv=(str(carried.program("redis-server")), str(config)),
        port=settings.redis_port,
        ready=probes.redis_answers(settings.host, settings.redis_port, passwords.redis),
        before=before,
    )


def _orchestrator(settings: Settings) -> Part:
    port = settings.orchestrator_port
    return Part(
        name="orchestrator",
        title="Chat model",
        argv=_module(
            "infra.embedded.chat_server",
            *("--host", settings.host, "--port", str(port), "--model-name", EMBEDDED_CHAT_MODEL),
            *("--slots", str(settings.orchestrator_slots)),
            *("--window", str(settings.orchestrator_window_tokens)),
            *("--threads", str(settings.orchestrator_threads)),
        ),
        env=LEAN,
        port=port,
        url=f"http://{settings.host}:{port}/v1",
        ready=probes.http_ok(settings.host, port, "/health"),
        grace_s=5,
    )


def _embeddings(settings: Settings) -> Part:
    port = settings.embeddings_port
    return Part(
        name="embeddings",
        title="Embeddings",
        argv=_module(
            "infra.embedded.embeddings_server",
            *("--host", settings.host, "--port", str(port), "--model-name", EMBEDDED_EMBEDDING_MODEL),
        ),
        env=LEAN
        | {
            "OPENBLAS_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            # Gives back what loading and long batches took: 166 MB instead of 233.
            "MALLOC_TRIM_THRESHOLD_": "1000000",
        },
        port=port,
        url=f"http://{settings.host}:{port}/v1",
        ready=probes.http_ok(settings.host, port, "/health"),
        grace_s=5,
    )


def _workers(layout: Layout, settings: Settings, passwords: Passwords) -> Part:
    ready_file = layout.workers_ready_file

    async def before() -> None:
        ready_file.unlink(missing_ok=True)

    return Part(
        name="workers",
        title="Workers",
        argv=_module("workers.main"),
        env=_application_env(layout, settings, passwords) | {"AITHER_READY_FILE": str(ready_file)},
        needs=("postgres", "temporal", "redis"),
        ready=probes.file_exists(ready_file),
        before=before,
        # What drains has to close its connections as well.
        grace_s=settings.drain_seconds + 5,
        stop_wave=1,
    )


def _cards(layout: Layout, settings: Settings, passwords: Passwords) -> Part:
    """The models on this machine's cards die with it, so it does not restart when the workers do."""
    ready_file = layout.cards_ready_file

    async def before() -> None:
        ready_file.unlink(missing_ok=True)

    return Part(
        name="cards",
        title="Card host",
        argv=_module("workers.main", "--fleet", "cards"),
        env=_application_env(layout, settings, passwords)
        | {"AITHER_READY_FILE": str(ready_file), "AITHER_HOST_NAME": settings.host_name},
        needs=("temporal",),
        ready=probes.file_exists(ready_file),
        before=before,
        # A model may take its own moment to stop.
        grace_s=30,
        stop_wave=1,
    )


def _api(layout: Layout, settings: Settings, passwords: Passwords) -> Part:
    return Part(
        name="api",
        title="API",
        argv=_module("api.server"),
        env=_application_env(layout, settings, passwords),
        needs=("postgres", "temporal", "redis"),
        port=settings.api_port,
        url=settings.api_url,
        ready=probes.http_ok(settings.host, settings.api_port, "/health"),
        stop_signal=signal.SIGTERM,
        grace_s=15,
        stop_wave=0,
    )


def _module(name: str, *args: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *args)


def _app_dsn(settings: Settings, passwords: Passwords) -> str:
    if settings.database_url:
        return settings.database_url.get_secret_value()
    return postgres.dsn(postgres.APP, passwords.postgres_app, settings.host, settings.postgres_port)


def _application_env(layout: Layout, settings: Settings, passwords: Passwords) -> dict[str, str]:
    """What the API and the workers are told: where the other parts are, and how to get in."""
    redis = f"redis://:{passwords.redis}@{settings.host}:{settings.redis_port}/0"
    return (
        LEAN
        | {f"AITHER_{use.upper()}_PORT": str(port) for use, port in ports.of(settings).items()}
        | {
            "AITHER_DATA_DIR": str(layout.root),
            "AITHER_HOST": settings.host,
            "AITHER_DATABASE_URL": _app_dsn(settings, passwords),
            "AITHER_REDIS_URL": settings.redis_url.get_secret_value() if settings.redis_url else redis,
            "AITHER_BURST_MASTER_KEY": settings.burst_master_key.get_secret_value()
            if settings.burst_master_key
            else passwords.burst_master,
        }
    )
