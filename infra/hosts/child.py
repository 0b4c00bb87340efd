"""A model server that we have started: its session, its log, its end."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.embedded import logs
from infra.embedded.layout import read_json, write_private_json
from infra.embedded.processes import ProcessId, boot_id, identify
from infra.embedded.spawn import launch_argv

POLL_S = 0.05
KILLED_S = 10.0
"""How long the kernel may take to clear away what was killed, its memory included."""
LINE_CHARS = 300


@dataclass(frozen=True, slots=True)
class Session:
    """A process that leads a session of its own, and all that it has started and that stayed in it."""

    leader: ProcessId

    def members(self) -> list[ProcessId]:
        """Those that are alive. None where the leader's pid has gone to another process since."""
        now = identify(self.leader.pid)
        if now is not None and now != self.leader:
            return []
        found = (identify(pid) for pid in psutil.pids() if _session_of(pid) == self.leader.pid)
        return [member for member in found if member is not None]

    def signal(self, number: signal.Signals) -> None:
        """Sends it to every member."""
        for member in self.members():
            member.send(number)

    async def gone(self, within_s: float) -> bool:
        """Waits until no member is left; says whether that came."""
        deadline = time.monotonic() + within_s
        while self.members():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def end(self, grace_s: float) -> bool:
        """Asks the leader to stop, and kills what is left after its grace; says whether all are gone."""
        if grace_s and self.leader.send(signal.SIGTERM) and await self.gone(grace_s):
            return True
        self.signal(signal.SIGKILL)
        return await self.gone(KILLED_S)

    def rss_mib(self) -> int:
        """Main memory that its members have, what they share counted for each."""
        total = 0
        for member in self.members():
            try:
                total += psutil.Process(member.pid).memory_info().rss
            except psutil.Error:
                continue
        return total // (1024 * 1024)


@dataclass(slots=True)
class Child:
    """A process that runs, or has run. `ready` once it has served; `stopping` once we want it gone."""

    process: asyncio.subprocess.Process
    session: Session
    log: Path
    ready: bool = False
    stopping: bool = False

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.returncode is None

    @property
    def generation(self) -> str:
        """Another one for every process."""
        return f"{self.session.leader.pid}-{self.session.leader.started}"

    def last_words(self) -> str:
        """How it has ended, with the last line of its log."""
        code = self.process.returncode
        said = next((line.strip() for line in reversed(logs.tail(self.log, 20)) if line.strip()), "")
        how = (
            f"was ended by signal {-code}"
            if code is not None and code < 0
            else f"ended with exit code {code}"
        )
        return f"{how}: {said[:LINE_CHARS]}" if said else how


async def start(argv: tuple[str, ...], env: Mapping[str, str], log: Path) -> Child:
    """Starts a program that this process's end takes with it, however that comes. Raises `OSError`.

    Called from the main thread only: the kernel takes a thread's end for the parent's.
    """
    logs.bound(log)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *launch_argv(argv, signal.SIGKILL, None),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(env),
            start_new_session=True,
        )
    finally:
        os.close(output)
    # One that is gone already has had no time to start anything.
    leader = identify(process.pid) or ProcessId(process.pid, 0)
    return Child(process, Session(leader), log)


def record(file: Path, session: Session) -> None:
    """Keeps what has been started, for a successor to clear away what may outlive us."""
    leader = session.leader
    write_private_json(file, {"pid": leader.pid, "started": leader.started, "boot": boot_id()})


def recorded(file: Path) -> Session | None:
    """What an earlier process has started; None where nothing of it can be left."""
    known = read_json(file)
    if known is None or known.get("boot") != boot_id():
        return None
    return Session(ProcessId(int(known["pid"]), int(known["started"])))


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None
