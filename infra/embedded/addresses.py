"""Where the stack of a data directory is, for those who are not part of it."""

from pathlib import Path

from infra.embedded import postgres, state
from infra.embedded.layout import Layout, read_json

DEFAULT_HOST = "127.0.0.1"


def app_dsn(data_dir: Path, default_port: int) -> str | None:
    """How the application's role reaches the embedded database; None where none has been made.

    The port is the one that it runs on, whatever the settings of this process say.
    """
    layout = Layout(data_dir)
    secrets = read_json(layout.secrets_file)
    if secrets is None or "postgres_app" not in secrets:
        return None
    seen = state.read(layout)
    port = seen.ports.get("postgres", default_port) if seen else default_port
    return postgres.dsn(postgres.APP, secrets["postgres_app"], seen.host if seen else DEFAULT_HOST, port)


def admin_dsn(layout: Layout, port: int) -> str:
    """How the owner of the schema reaches the embedded database. Row-level security does not bind it."""
    secrets = read_json(layout.secrets_file)
    assert secrets is not None
    return postgres.dsn(postgres.ADMIN, secrets["postgres_admin"], DEFAULT_HOST, port)
