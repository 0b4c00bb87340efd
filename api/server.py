"""The API's process: `python -m api.server`."""

import asyncio
import signal
import sys
from types import FrameType

import uvicorn

from api.app import create_app
from infra.config.mistakes import ConfigError
from infra.settings import Settings, settings
from infra.telemetry.process import API, telemetry

GRACE_S = 5
"""How long requests may take to finish once the process is to stop; more than a silent wait's slice."""


class Server(uvicorn.Server):
    """Lets those who wait or follow know at once that the process stops: they go on elsewhere."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event) -> None:
        super().__init__(config)
        self._closing = closing

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See `uvicorn.Server`, which would raise the signal once more in the end: to stop as asked is no failure."""
        self._closing.set()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    configured = settings()
    with telemetry(configured, service=API):
        serve(configured)


def serve(configured: Settings) -> None:
    """The same, once it is set up what the process tells of itself."""
    try:
        app = create_app(configured)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    config = uvicorn.Config(
        app,
        host=configured.host,
        port=configured.api_port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
    )
    Server(config, app.state.closing).run()


if __name__ == "__main__":
    main()
