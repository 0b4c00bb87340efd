"""Everything that a process tells of itself, set up in one place and before anything else."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from infra.build import build_id
from infra.settings import Settings
from infra.telemetry import tracing
from infra.telemetry.logs import log_to_stderr

API = "aither-api"
WORKER = "aither-worker"


@contextmanager
def telemetry(settings: Settings, *, service: str, fleets: Sequence[str] = ()) -> Generator[None]:
    """Logs, traces and metrics of this process, as they are configured, within the block.

    Before the first connection to Temporal, and once a process. Leaving the block takes some seconds at most.
    """
    told = settings.log_format == "json" or settings.otlp_endpoint is not None
    build = (settings.build_id or build_id()) if told else ""
    log_to_stderr(settings, service=service, fleets=tuple(fleets), build=build)
    with ExitStack() as stack:
        json_logs = settings.log_format == "json"
        port = settings.metrics_port if service == WORKER else None
        if port is not None or json_logs:
            from infra.telemetry.exposing import exposed, free_port, set_runtime

            core_port = free_port() if port is not None else None
            set_runtime(core_port=core_port, json_logs=json_logs)
            if port is not None and core_port is not None:
                from infra.telemetry.counting import CountingPlugin
                from infra.telemetry.figures import Figures

                figures = Figures()
                stack.enter_context(exposed(settings.host, port, figures.registry, core_port))
                stack.enter_context(tracing.beside(CountingPlugin(figures)))
        stack.enter_context(tracing.tracing(settings, service=service, fleets=tuple(fleets), build=build))
        yield
