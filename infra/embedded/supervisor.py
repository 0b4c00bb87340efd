"""Keeps the stack running: starts every part as soon as what it needs is up, restarts what dies, stops in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.embedded import logs, state
from infra.embedded.parts import Part
from infra.embedded.processes import identify
from infra.embedded.spawn import spawn
from infra.embedded.stack import Blueprint
from infra.embedded.state import PartPhase, PartState, Phase, StackState

PROBE_EVERY_S = 0.03
START_LIMIT_S = 60.0
"""A part that is not up by then has failed this start."""
FIRST_TRIES = 3
"""A part that dies this often before it was ever up keeps the stack from coming up."""
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
SOUND_AFTER_S = 30.0
"""A part that ran this long had no trouble starting, so its next restart does not wait."""

Watcher = Callable[[StackState], None]


class StartFailed(Exception):
    """A part did not come up; says which and why."""


@dataclass(slots=True)
class Kept:
    """A part with what the supervisor knows about it now."""

    part: Part
    seen: PartState
    up: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None
    prepared: bool = False
    deaths_before_up: int = 0


class Supervisor:
    """One per data directory, for the holder of its lock. `watch` is called after every change."""

    def __init__(self, blueprint: Blueprint, watch: Watcher) -> None:
        self._layout = blueprint.layout
        self._kept = {
            part.name: Kept(
                part,
                PartState(
                    name=part.name,
                    title=part.title,
                    port=part.port,
                    url=part.url,
                    death_signal=int(part.death_signal),
                ),
            )
            for part in blueprint.parts
        }
        self._watch = watch
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.state = state.begin(
            blueprint.settings.host,
            blueprint.ports,
            blueprint.urls,
            [kept.seen for kept in self._kept.values()],
        )
        waves = {part.stop_wave for part in blueprint.parts}
        self.state.grace_s = sum(
            max(part.grace_s for part in blueprint.parts if part.stop_wave == wave) for wave in waves
        )
        self._changed()

    async def start(self) -> None:
        """Starts all parts; returns when all are up. Raises `StartFailed`, and then stops what had started."""
        self._tasks = [asyncio.create_task(self._keep(kept)) for kept in self._kept.values()]
        self._tasks.append(asyncio.create_task(self._bound_logs()))
        all_up = asyncio.gather(*(kept.up.wait() for kept in self._kept.values()))
        await asyncio.wait([all_up, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        failed = next((task for task in self._tasks if task.done()), None)
        if failed is not None:
            all_up.cancel()
            error = failed.exception() or StartFailed("the start was cut short")
            await self.stop(Phase.FAILED, str(error))
            raise error

    def declare_up(self) -> None:
        """Tells everybody that the stack can be used."""
        self.state.phase = Phase.UP
        self._changed()

    async def broken(self) -> None:
        """Waits for the supervisor itself to fail, which is an error in it, and raises that error."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self, final: Phase = Phase.STOPPED, error: str | None = None) -> None:
        """Stops all parts, wave by wave, and waits for them."""
        self._stopping = True
        self.state.phase = Phase.STOPPING
        self.state.error = error
        self._changed()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for wave in sorted({kept.part.stop_wave for kept in self._kept.values()}):
            await asyncio.gather(
                *(self._stop_part(kept) for kept in self._kept.values() if kept.part.stop_wave == wave)
            )
        self.state.phase = final
        self._changed()

    def kill(self) -> None:
        """Ends all parts at once, for a user who will not wait for `stop`."""
        for kept in self._kept.values():
            if kept.process and kept.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    kept.process.send_signal(kept.part.death_signal)

    async def _keep(self, kept: Kept) -> None:
        for name in kept.part.needs:
            if name in self._kept:
                await self._kept[name].up.wait()
        pause = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            end = await self._run_once(kept)
            if time.monotonic() - began > SOUND_AFTER_S:
                pause = FIRST_PAUSE_S
            self._note_death(kept, end)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _run_once(self, kept: Kept) -> str:
        """Runs the part until it ends; says how it ended."""
        part, seen = kept.part, kept.seen
        began = time.monotonic()
        seen.phase, seen.began_at, seen.up_at = PartPhase.STARTING, time.time(), None
        self._changed()
        try:
            await part.before()
            logs.bound(self._layout.log_file(part.name))
            kept.process = process = await spawn(part, self._layout.log_file(part.name))
        except (OSError, RuntimeError) as error:
            return f"could not start: {error}"
        named = identify(process.pid)
        seen.pid, seen.pid_started = process.pid, named.started if named else None
        self._changed()
        ended = asyncio.ensure_future(process.wait())
        try:
            if not await self._came_up(kept, ended, began):
                return f"was not up after {START_LIMIT_S:.0f} s"
            await ended
        finally:
            ended.cancel()
        return _how_it_ended(process.returncode)

    async def _came_up(self, kept: Kept, ended: "asyncio.Future[int]", began: float) -> bool:
        """Waits for the part to be up or to end; False when it is neither in time, and then kills it."""
        while not ended.done():
            if await kept.part.ready():
                await self._note_up(kept, began)
                return True
            if time.monotonic() - began > START_LIMIT_S:
                self._signal(kept, signal.SIGKILL)
                await ended
                return False
            await asyncio.sleep(PROBE_EVERY_S)
        return True

    async def _note_up(self, kept: Kept, began: float) -> None:
        if not kept.prepared:
            try:
                await kept.part.after()
            except Exception as error:
                raise StartFailed(f"{kept.part.name}: {error}") from error
            kept.prepared = True
        kept.seen.phase, kept.seen.up_at = PartPhase.UP, time.time()
        kept.seen.took_s = round(time.monotonic() - began, 3)
        self._changed()
        kept.up.set()

    def _note_death(self, kept: Kept, end: str) -> None:
        kept.process = None
        kept.seen.phase = PartPhase.RESTARTING
        kept.seen.pid = kept.seen.pid_started = kept.seen.up_at = None
        kept.seen.last_end = end
        if not kept.up.is_set():
            kept.deaths_before_up += 1
            if kept.deaths_before_up >= FIRST_TRIES:
                kept.seen.phase = PartPhase.FAILED
                self._changed()
                raise StartFailed(f"{kept.part.name} {end}")
        kept.seen.restarts += 1
        self._changed()

    async def _stop_part(self, kept: Kept) -> None:
        process = kept.process
        if process and process.returncode is None:
            kept.seen.phase = PartPhase.STOPPING
            self._changed()
            self._signal(kept, kept.part.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), kept.part.grace_s)
            except TimeoutError:
                self._signal(kept, signal.SIGKILL)
                await process.wait()
        if kept.seen.phase is not PartPhase.FAILED:
            kept.seen.phase = PartPhase.STOPPED
        kept.seen.pid = kept.seen.pid_started = None
        self._changed()

    def _signal(self, kept: Kept, number: signal.Signals) -> None:
        if kept.process:
            with contextlib.suppress(ProcessLookupError):
                kept.process.send_signal(number)

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(logs.CHECK_EVERY_S)
            for name in self._kept:
                logs.bound(self._layout.log_file(name))

    def _changed(self) -> None:
        self.state.write(self._layout)
        self._watch(self.state)


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"
