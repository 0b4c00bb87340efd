"""The embedded Temporal: the real server, tuned for one machine."""

import os

from activities.contracts.traces import SEARCH_ATTRIBUTES
from infra.embedded import carried, probes
from infra.embedded.layout import Layout
from infra.embedded.parts import Part
from infra.settings import Settings

DYNAMIC_CONFIG = {
    # The default adds a 50 ms quantum to every task hop on a server with one shard.
    "history.transferProcessorMaxPollRPS": "1000",
    # With more than one partition a task queue is neither strictly by priority nor first come, first served.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "matching.enableFairness": "true",
    # How a queue stands is told anew each second; the default is five.
    "matching.TaskQueueInfoByBuildIdTTL": '"1s"',
    # By default a timer lasts a second at least, whatever it was set to.
    "history.timerProcessorMaxTimeShift": '"20ms"',
    # About 1 in 1000 waits for a result misses its wake-up and then lasts a whole long-poll.
    "history.longPollExpirationInterval": '"2s"',
}

SQLITE = {
    # Against the default (a rollback journal): 18 ms a workflow instead of 44, and 49 a second instead of 24.
    # With these a killed server loses nothing; a power cut may cost its last moments, which the sweep for
    # turns without a workflow starts again from PostgreSQL.
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
}


def temporal_part(layout: Layout, settings: Settings) -> Part:
    """The server with its web UI, on one SQLite file."""
    host, ui_port = settings.host, settings.temporal_ui_port
    pairs = {
        "--dynamic-config-value": DYNAMIC_CONFIG,
        "--search-attribute": SEARCH_ATTRIBUTES,
        "--sqlite-pragma": SQLITE,
    }
    return Part(
        name="temporal",
        title="Temporal",
        argv=(
            str(carried.program("temporal")),
            *("server", "start-dev", "--disable-config-file", "--disable-config-env", "--log-level", "warn"),
            *("--ip", host, "--port", str(settings.temporal_port), "--ui-port", str(ui_port)),
            *(
                "--namespace",
                settings.temporal_namespace,
                "--ui-disable-news-fetch",
                "--db-filename",
                str(layout.temporal_dir / "temporal.db"),
            ),
            *(
                word
                for flag, values in pairs.items()
                for k, v in values.items()
                for word in (flag, f"{k}={v}")
            ),
        ),
        env=_processors(),
        port=settings.temporal_port,
        url=settings.temporal_ui,
        # Not through the UI, which finds its own server a second later.
        ready=probes.grpc_answers(host, settings.temporal_port),
    )


def _processors() -> dict[str, str]:
    """On a small machine the server keeps to one processor: a turn then costs it a quarter less."""
    small = (os.cpu_count() or 1) <= 2
    return {"GOMAXPROCS": "1"} if small and "GOMAXPROCS" not in os.environ else {}
