"""`aither temporal`: what Temporal must have, how it stands, which build of the workers takes what begins now."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, ParamSpec, TypeVar

import typer

from api.cli.client import AsJson, DataDir, ExitCode, data_dir, fail

if TYPE_CHECKING:
    from temporalio.client import Client

    from infra.settings import Settings

T = TypeVar("T")
P = ParamSpec("P")

app = typer.Typer(help="Set Temporal up, show how it stands, roll out builds.", no_args_is_help=True)

Retention = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="For how long closed workflows are kept, as `7d` or `36h`.",
        show_default="7d for a namespace that is made, else as it is",
    ),
]
BuildId = Annotated[
    str | None,
    typer.Option("--to", metavar="BUILD", help="The build that takes over.", show_default="this one"),
]
Patience = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.0, help="How long to wait for it.")
]


Command = Callable[P, None]


def leaving(command: Command[P]) -> Command[P]:
    """Ends the process as soon as the command is through: Temporal's threads may abort one that ends slowly."""

    @wraps(command)
    def through(*given: P.args, **named: P.kwargs) -> None:
        code = int(ExitCode.DONE)
        try:
            command(*given, **named)
        except typer.Exit as ended:
            code = ended.exit_code
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    return through


@app.command(
    epilog="Safe to run again and again. Exit codes: 0 all is there, 1 something has to be made by hand."
)
@leaving
def setup(
    *,
    retention: Retention = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    as_json: AsJson = False,
    folder: DataDir = None,
) -> None:
    """Make what workers need: the namespace, its retention, its search attributes, the schedules."""
    from infra.temporal.access import access

    keep = _retention(retention)
    configured = _settings(folder)
    cloud = _checked(lambda: access(configured)).cloud
    from api.cli.temporal_setup import set_up

    done = _asked(configured, lambda client: set_up(client, configured, keep, cloud=cloud, dry_run=dry_run))
    if as_json:
        sys.stdout.write(json.dumps([_dict(each) for each in done], indent=2) + "\n")
    else:
        from api.cli.temporal_view import print_done

        print_done(done)
    raise typer.Exit(int(ExitCode.FAILED if any(each.doing == "by hand" for each in done) else ExitCode.DONE))


@app.command(epilog="Exit codes: 0 all well, 1 something is missing, 3 Temporal cannot be reached.")
@leaving
def status(*, as_json: AsJson = False, folder: DataDir = None) -> None:
    """Show how Temporal is reached and stands: what is missing, the schedules' last runs, the builds."""
    from api.cli.temporal_setup import standing

    configured = _settings(folder)
    seen = _asked(configured, lambda client: standing(client, configured))
    if as_json:
        sys.stdout.write(json.dumps(seen, indent=2, default=str) + "\n")
    else:
        from api.cli.temporal_view import print_standing

        print_standing(seen)
    raise typer.Exit(int(ExitCode.FAILED if seen["missing"] else ExitCode.DONE))


@app.command(
    epilog="A build is drained when nothing needs its workers any more; Temporal looks every few minutes."
)
@leaving
def versions(*, as_json: AsJson = False, folder: DataDir = None) -> None:
    """List the builds of the workers: which is current, which drain, how much is with each."""
    from infra.temporal.rollout import look

    configured = _settings(folder)
    name = _deployment(configured)
    seen = _asked(configured, lambda client: look(client, name))
    if as_json:
        sys.stdout.write(json.dumps([_dict(each) for each in seen.builds], indent=2, default=str) + "\n")
        return
    from api.cli.temporal_view import print_builds

    print_builds(seen)


@app.command(epilog="Example: aither temporal rollout --to 2026-01-12 --percent 10")
@leaving
def rollout(
    *,
    to: BuildId = None,
    percent: Annotated[int, typer.Option(min=1, max=100, help="How much of what begins it takes.")] = 100,
    allow_missing_queues: Annotated[
        bool,
        typer.Option(
            "--allow-missing-queues", help="Though it does not serve all that the current one does."
        ),
    ] = False,
    timeout: Patience = 60.0,
    folder: DataDir = None,
) -> None:
    """Have a build take what begins from now on. What has begun ends with the build that it began on."""
    from infra.temporal.rollout import RolloutRefused, roll_out

    configured = _settings(folder)
    name, build = _deployment(configured), to or _build(configured)
    try:
        _asked(
            configured,
            lambda client: roll_out(
                client, name, build, percent=percent, patience_s=timeout, missing_queues=allow_missing_queues
            ),
        )
    except RolloutRefused as error:
        fail(ExitCode.FAILED, str(error))
    takes = "what begins from now on" if percent == 100 else f"{percent} % of what begins from now on"
    sys.stdout.write(f"{name}: build {build} takes {takes}\n")


@app.command(epilog="Example: aither temporal drain 2026-01-11 && docker compose stop workers-old")
@leaving
def drain(
    build: Annotated[str, typer.Argument(metavar="BUILD", help="As `aither temporal versions` shows it.")],
    *,
    timeout: Patience = 3600.0,
    folder: DataDir = None,
) -> None:
    """Wait until nothing needs an old build any more: then its workers may be stopped."""
    from infra.temporal.rollout import RolloutRefused, until_drained

    configured = _settings(folder)
    name, shown = _deployment(configured), -1

    def tell(running: int) -> None:
        nonlocal shown
        if running != shown:
            shown = running
            sys.stderr.write(f"workflows with build {build}: {shown}\n")

    try:
        drained = _asked(
            configured, lambda client: until_drained(client, name, build, patience_s=timeout, told=tell)
        )
    except RolloutRefused as error:
        fail(ExitCode.FAILED, str(error))
    if not drained:
        fail(
            ExitCode.TIMED_OUT,
            f"build {build} is draining still",
            "its workers have to stay until it is drained",
        )
    sys.stdout.write(f"{name}: build {build} is drained; its workers may be stopped\n")


@app.command(epilog="Example: aither temporal key 2026-02")
def key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="What payloads call the key by.")],
) -> None:
    """Make a key for AITHER_PAYLOAD_KEYS. Put it last there first, and to the front once every process has it."""
    from infra.temporal.codec import new_key, payload_keys

    made = new_key(key_id)
    from pydantic import SecretStr

    _checked(lambda: payload_keys(SecretStr(made)))
    sys.stdout.write(made + "\n")


@app.command(
    name="codec-server", epilog="Its address goes into the UI's settings, or `temporal --codec-endpoint`."
)
def codec_server(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")] = 8234,
    host: Annotated[str, typer.Option(help="On which address.")] = "127.0.0.1",
    origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="Where the UI is; may be repeated.", show_default="AITHER_TEMPORAL_UI_URL"
        ),
    ] = None,
    folder: DataDir = None,
) -> None:
    """Decode encrypted payloads for Temporal's UI and CLI, until Ctrl-C. Off loopback it wants AITHER_CODEC_TOKEN."""
    from infra.temporal.codec import EncryptingCodec, payload_keys
    from infra.temporal.codec_server import LOOPBACK, codec_app

    configured = _settings(folder)
    keys = _checked(lambda: payload_keys(configured.payload_keys))
    if not keys:
        fail(
            ExitCode.USAGE,
            "there are no keys to decode with",
            "set AITHER_PAYLOAD_KEYS as the workers have it",
        )
    token = configured.codec_token.get_secret_value() if configured.codec_token else None
    if not token and host not in LOOPBACK:
        fail(
            ExitCode.USAGE,
            f"off loopback ({host}) it would decode for everybody",
            "set AITHER_CODEC_TOKEN, or leave --host away",
        )
    origins = [each.rstrip("/") for each in origin or _origins(configured.temporal_ui)]
    codec = EncryptingCodec(keys)
    sys.stderr.write(
        f"decoding at http://{host}:{port} for {', '.join(origins)}; keys {', '.join(codec.key_ids)}\n"
    )
    try:
        asyncio.run(_serving(codec_app(codec, origins=origins, token=token or None), host, port))
    except OSError as error:
        fail(
            ExitCode.FAILED,
            f"{host}:{port} cannot be listened on: {error.strerror}",
            "--port takes another one",
        )


async def _serving(served: Any, host: str, port: int) -> None:
    import signal

    from infra.temporal.codec_server import serve

    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await serve(served, host, port, stop)


def _origins(ui: str) -> list[str]:
    """The UI's origin; a local one by both of its names."""
    from urllib.parse import urlsplit

    parts = urlsplit(ui)
    origin = f"{parts.scheme}://{parts.netloc}"
    return [origin, origin.replace("127.0.0.1", "localhost")] if "127.0.0.1" in origin else [origin]


def _settings(folder: Path | None) -> Settings:
    """The settings; of an embedded Temporal, its port as it runs."""
    from infra.embedded import state
    from infra.embedded.layout import Layout
    from infra.settings import settings

    configured = settings()
    if configured.temporal_address:
        return configured
    seen = state.read(Layout(data_dir(folder)))
    ports = seen.ports if seen and seen.running else {}
    known = {f"{each}_port": ports[each] for each in ("temporal", "temporal_ui") if each in ports}
    return configured.model_copy(update=known)


def _retention(written: str | None) -> timedelta | None:
    if written is None:
        return None
    number, unit = written[:-1], written[-1:]
    if unit not in {"d", "h"} or not (number.isascii() and number.isdigit() and 0 < int(number) < 100_000):
        fail(ExitCode.USAGE, f"--retention {written}: it is a number of days or hours, as `7d` or `36h`")
    return timedelta(days=int(number)) if unit == "d" else timedelta(hours=int(number))


def _deployment(configured: Settings) -> str:
    if not configured.temporal_deployment:
        fail(
            ExitCode.USAGE,
            "workers are not versioned here: AITHER_TEMPORAL_DEPLOYMENT is not set",
            "docs/temporal.md tells how a build takes over from another",
        )
    return configured.temporal_deployment


def _build(configured: Settings) -> str:
    from infra.build import build_id

    return configured.build_id or build_id()


def _checked(reading: Callable[[], T]) -> T:
    from infra.config.mistakes import ConfigError

    try:
        return reading()
    except ConfigError as error:
        fail(ExitCode.USAGE, str(error))


def _asked(configured: Settings, work: Callable[[Client], Awaitable[T]]) -> T:
    """What `work` comes to with a client; ends the command where Temporal cannot be asked."""
    from temporalio.service import RPCError

    from infra.config.mistakes import ConfigError
    from infra.temporal import connect

    async def run() -> T:
        return await work(await connect(configured))

    try:
        return asyncio.run(run())
    except ConfigError as error:
        fail(ExitCode.USAGE, str(error))
    except (RPCError, RuntimeError, TimeoutError) as error:
        _unreachable(error, configured)


def _unreachable(error: Exception, configured: Settings) -> NoReturn:
    from infra.temporal.access import access
    from infra.temporal.saying import why_not

    hint = (
        None
        if configured.temporal_address
        else "`aither up` starts one; AITHER_TEMPORAL_ADDRESS names another"
    )
    fail(ExitCode.UNREACHABLE, why_not(error, access(configured)), hint)


def _dict(found: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found)
