"""A model server that we start and stop ourselves."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from activities.contracts.cards import Found, Residency, Resident
from activities.errors import MoveFailed
from infra.embedded import ports
from infra.embedded.layout import Layout
from infra.hosts import child
from infra.hosts.asking import POLL_S, healthy
from infra.hosts.child import Child
from infra.hosts.listeners import host_of, listens, port_of

GRACE_S = 10.0
"""How long a server may take to stop before it is killed."""
PORT_S = 5.0
"""How long a port may stay taken after its server is gone."""
PYTHON = "{python}"

OnDeath = Callable[[str], None]
"""Takes the name of a resident whose process has ended by itself."""


class ProcessHost:
    """Implements `activities.hosting.ModelHost`. Leaving its block stops everything that it has started.

    For one process on a host, and its main thread: what it starts dies with it, even when it is killed. What its
    own children have started in turn may outlive that, and is cleared away at the next start.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        layout: Layout,
        on_death: OnDeath,
        *,
        grace_s: float = GRACE_S,
    ) -> None:
        self._session = session
        self._layout = layout
        self._on_death = on_death
        self._grace_s = grace_s
        self._children: dict[str, Child] = {}
        self._ends: dict[str, str] = {}
        self._watches: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await asyncio.gather(*(self._end(name, each) for name, each in list(self._children.items())))

    async def bring(self, resident: Resident, to: Residency) -> None:
        """See `ModelHost`."""
        if to is Residency.AWAKE:
            await self._start(resident)
        elif to is Residency.ABSENT:
            await self._stop(resident)
        else:
            raise MoveFailed(f"{resident.name} is a process: it runs or it does not, and is never {to}")

    async def find(self, resident: Resident) -> Found:
        """See `ModelHost`."""
        known = self._children.get(resident.name)
        if known is None or not known.alive:
            why = self._in_the_way(resident)
            residency = Residency.UNKNOWN if why else Residency.ABSENT
            return Found(
                resident=resident.name, residency=residency, why=why or self._ends.get(resident.name, "")
            )
        why = await healthy(self._session, resident)
        residency = Residency.UNKNOWN if why else Residency.AWAKE
        return Found(resident=resident.name, residency=residency, why=why, generation=known.generation)

    async def taken_mib(self, resident: Resident) -> int | None:
        """See `ModelHost`: the main memory of its processes."""
        known = self._children.get(resident.name)
        return known.session.rss_mib() if known else None

    async def _start(self, resident: Resident) -> None:
        await self._clear(resident)
        if why := self._in_the_way(resident):
            raise MoveFailed(why)
        argv = _argv(resident)
        self._ends.pop(resident.name, None)
        try:
            started = await child.start(argv, _environment(resident), self._log(resident.name))
        except OSError as error:
            raise MoveFailed(f"{argv[0]} could not be started: {error.strerror}") from error
        self._children[resident.name] = started
        child.record(self._record(resident.name), started.session)
        try:
            await self._until_ready(resident, started)
        except BaseException:
            # Cancelled or failed: nothing that is half there may stay. Being killed, it goes at once.
            await asyncio.shield(self._end(resident.name, started, grace_s=0))
            raise
        started.ready = True
        watch = asyncio.create_task(self._watch(resident.name, started))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _until_ready(self, resident: Resident, started: Child) -> None:
        """Waits for its health. Raises `MoveFailed` when it ends, or takes too long, or another one answers."""
        limit = resident.start_timeout.total_seconds()
        deadline = time.monotonic() + limit
        while True:
            why = await healthy(self._session, resident)
            if not started.alive:
                raise MoveFailed(f"{resident.name} {started.last_words()}")
            if not why:
                break
            if time.monotonic() > deadline:
                raise MoveFailed(f"{resident.name} was not ready within {limit:g} s: {why}")
            await asyncio.sleep(POLL_S)
        port = port_of(resident.base_url)
        seen = [listens(member, port) for member in started.session.members()]
        if not any(seen) and None not in seen:
            raise MoveFailed(
                f"what answers at {resident.base_url} is not what was started for {resident.name}"
            )

    async def _stop(self, resident: Resident) -> None:
        await self._clear(resident)
        deadline = time.monotonic() + PORT_S
        while why := self._in_the_way(resident):
            if time.monotonic() > deadline:
                raise MoveFailed(why)
            await asyncio.sleep(POLL_S)
        self._ends.pop(resident.name, None)

    async def _clear(self, resident: Resident) -> None:
        """Ends what runs of it, and what an earlier host process has left. Raises `MoveFailed`."""
        name = resident.name
        known = self._children.get(name)
        if known is not None:
            await asyncio.shield(self._end(name, known))
        left = child.recorded(self._record(name))
        if left is not None and not await left.end(self._grace_s):
            pids = ", ".join(str(member.pid) for member in left.members())
            raise MoveFailed(f"{name} could not be ended: its processes {pids} are still there")
        self._record(name).unlink(missing_ok=True)

    async def _end(self, name: str, known: Child, *, grace_s: float | None = None) -> None:
        """Ends a child and what it has started. What cannot be ended stays on record."""
        known.stopping = True
        if await known.session.end(self._grace_s if grace_s is None else grace_s):
            await known.process.wait()
            self._record(name).unlink(missing_ok=True)
            if self._children.get(name) is known:
                del self._children[name]

    async def _watch(self, name: str, known: Child) -> None:
        """Tells of an end that nobody asked for."""
        await known.process.wait()
        if known.stopping:
            return
        self._ends[name] = known.last_words()
        # Its helpers have its VRAM still.
        await self._end(name, known, grace_s=0)
        self._on_death(name)

    def _in_the_way(self, resident: Resident) -> str:
        """What keeps it from being started; empty where nothing does."""
        left = child.recorded(self._record(resident.name))
        if left is not None and (members := left.members()):
            return f"processes of an earlier start are left: {', '.join(str(each.pid) for each in members)}"
        host, port = host_of(resident.base_url), port_of(resident.base_url)
        try:
            taken = ports.taken(host, {resident.name: port})
        except OSError:
            return f"{host} is not an address of this machine"
        holder = taken[0].holder or "another process" if taken else ""
        return f"port {port} is taken by {holder}" if taken else ""

    def _log(self, name: str) -> Path:
        return self._layout.log_file(f"resident-{name}")

    def _record(self, name: str) -> Path:
        return self._layout.run_dir / f"resident-{name}.json"


def _argv(resident: Resident) -> tuple[str, ...]:
    words = tuple(word.replace(PYTHON, sys.executable) for word in resident.command)
    program = shutil.which(words[0])
    if program is None:
        raise MoveFailed(f"there is no program {words[0]} here to start {resident.name} with")
    return (str(Path(program).absolute()), *words[1:])


def _environment(resident: Resident) -> dict[str, str]:
    """Ours, less our own settings, which hold passwords; and the one card that it is to see, as NVML counts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AITHER_")}
    index = resident.card.rpartition("/")[2]
    return kept | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": index}
