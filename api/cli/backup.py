"""`aither backup|restore`: the embedded stack's data as one file, and back."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.client import ExitCode, data_dir, fail
from api.cli.stack import DataDir

if TYPE_CHECKING:
    from infra.embedded.archive import Manifest
    from infra.embedded.backup import CopyMemory
    from infra.embedded.layout import Layout

EPILOG = "Example: aither backup monday.tar.gz; aither restore monday.tar.gz --data-dir /srv/aither"
COPIED_WITHIN_S = 300.0
PICKED_UP_WITHIN_S = 10.0
MIB = 1024 * 1024


def backup(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Where to write it; never replaces a file.",
            show_default="aither-backup-DATE-TIME.tar.gz",
            dir_okay=False,
        ),
    ] = None,
    *,
    models: Annotated[
        bool, typer.Option("--models", help="Take the files of models along, not only their list.")
    ] = False,
    directory: DataDir = None,
) -> None:
    """Copy all data of the embedded stack into one file, while it runs or not.

    The file holds passwords and the first API key, and is readable by you only: keep it as safe as the data.

    Exit codes: 0 it is there, 1 it could not be made, 2 bad input.
    """
    from infra.embedded.backup import BackupFailed, Wanted, back_up
    from infra.embedded.layout import Layout
    from infra.settings import Settings

    layout = Layout(data_dir(directory).expanduser().resolve())
    settings = Settings(data_dir=layout.root)
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    target = (file or Path(f"aither-backup-{stamp}.tar.gz")).expanduser().absolute()
    wanted = Wanted(
        models_dir=settings.models_dir or layout.root / "models",
        with_models=models,
        configuration=settings.configuration,
        copy_memory=_asking(layout),
    )
    began = time.monotonic()
    try:
        made = asyncio.run(back_up(layout, target, wanted))
    except BackupFailed as error:
        fail(ExitCode.FAILED, str(error))
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, "there is no backup")
    _tell_backup(target, made, time.monotonic() - began)


def restore(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="What `aither backup` has written.", exists=True, dir_okay=False),
    ],
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Move a data directory that is there aside, and put this one there."),
    ] = False,
    directory: DataDir = None,
) -> None:
    """Make a data directory from a backup. Nothing is started: `aither up` does that.

    Every byte is checked first, and the directory gets its place when it is whole. One that is running, or in use
    without --force, is left alone.

    Exit codes: 0 restored, 1 nothing was changed, and why, 2 bad input.
    """
    from infra.embedded.restore import RestoreFailed
    from infra.embedded.restore import restore as restored

    root = data_dir(directory).expanduser().resolve()
    try:
        done = asyncio.run(restored(file.expanduser().absolute(), root, force=force))
    except RestoreFailed as error:
        fail(ExitCode.FAILED, str(error))
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, "nothing was changed")
    made = done.manifest
    sys.stdout.write(
        f"Restored {root}\n  as of {made.made_at:%Y-%m-%d %H:%M:%S} UTC, version {made.product}\n"
    )
    if done.aside:
        sys.stdout.write(f"  what was there is in {done.aside} now\n")
    if "aither.toml" in made.members:
        sys.stdout.write(
            f"  its configuration is {root / 'aither.toml'}: AITHER_CONFIG_FILE says which is used\n"
        )
    if absent := [name for name in made.models if f"models/{name}" not in made.members]:
        sys.stdout.write(f"  {len(absent)} files of models are not in it, such as {absent[0]}\n")
    sys.stdout.write("Start it with `aither up`, and never beside the one that it is a copy of.\n")


def _tell_backup(target: Path, made: Manifest, took_s: float) -> None:
    size = target.stat().st_size / MIB
    how = "running" if made.live else "stopped"
    sys.stdout.write(f"Wrote {target}: {size:.1f} MiB in {took_s:.1f} s, of the {how} stack\n")
    for name, title in (
        ("postgres/", "PostgreSQL"),
        ("temporal/", "Temporal"),
        ("redis/", "Redis"),
        ("qdrant/", "memory"),
        ("models/", "models"),
        ("aither.toml", "configuration"),
        ("secrets.json", "passwords"),
    ):
        inside = [member.bytes for path, member in made.members.items() if path.startswith(name)]
        told = f"{sum(inside) / MIB:.1f} MiB" if inside else "none here"
        if name == "models/" and not inside and made.models:
            told = f"{len(made.models)} files are listed; --models takes them along"
        sys.stdout.write(f"  {title:<13}  {told}\n")
    sys.stdout.write(
        "It holds passwords: keep it as safe as the data. `aither restore FILE` is the way back.\n"
    )


def _asking(layout: Layout) -> CopyMemory:
    """Asks the running worker, which alone may read what it has open."""

    async def ask(name: str) -> None:
        from datetime import timedelta

        from temporalio.client import ActivityFailureError
        from temporalio.common import RetryPolicy
        from temporalio.service import RPCError

        from activities.contracts.keeping import CopyAsk
        from infra.embedded import state
        from infra.embedded.backup import BackupFailed
        from infra.settings import Settings
        from infra.temporal import connect
        from workflows.names import COPY_MEMORY, Queue

        seen = state.read(layout)
        settings = Settings(data_dir=layout.root)
        if seen and "temporal" in seen.ports:
            settings = settings.model_copy(update={"temporal_port": seen.ports["temporal"]})
        try:
            client = await connect(settings)
            await client.execute_activity(
                COPY_MEMORY,
                CopyAsk(name=name),
                id=f"{COPY_MEMORY}/{name}",
                task_queue=Queue.MEMORY,
                schedule_to_start_timeout=timedelta(seconds=PICKED_UP_WITHIN_S),
                start_to_close_timeout=timedelta(seconds=COPIED_WITHIN_S),
                schedule_to_close_timeout=timedelta(seconds=PICKED_UP_WITHIN_S + COPIED_WITHIN_S),
                retry_policy=RetryPolicy(maximum_attempts=1),
                rpc_timeout=timedelta(seconds=PICKED_UP_WITHIN_S + COPIED_WITHIN_S + 5),
            )
        except (ActivityFailureError, RPCError, RuntimeError, OSError) as error:
            why = error.cause if isinstance(error, ActivityFailureError) else error
            raise BackupFailed(
                f"the worker that has memory open did not copy it ({why}): `aither logs workers` shows why,"
                " or stop the stack with `aither down` and try again"
            ) from error

    return ask
