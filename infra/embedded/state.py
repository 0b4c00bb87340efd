"""What runs: written by the supervisor at every change, read by everybody else."""

import fcntl
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum

import msgspec

from infra.embedded.layout import Layout, write_private_json
from infra.embedded.processes import ProcessId, boot_id, identify

LEFTOVER_GRACE_S = 5.0


class Phase(StrEnum):
    """Where the stack is as a whole. `FAILED` says that it never came up, and has been stopped again."""

    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class PartPhase(StrEnum):
    """Where one part is. `RESTARTING` waits for its next try after it has died."""

    WAITING = "waiting"
    STARTING = "starting"
    UP = "up"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class PartState:
    """One part. Times are seconds since the epoch; `took_s` is how long its latest start took."""

    name: str
    title: str
    phase: PartPhase = PartPhase.WAITING
    pid: int | None = None
    pid_started: int | None = None
    death_signal: int = int(signal.SIGKILL)
    port: int | None = None
    url: str | None = None
    began_at: float | None = None
    up_at: float | None = None
    took_s: float | None = None
    restarts: int = 0
    last_end: str | None = None

    @property
    def process(self) -> ProcessId | None:
        """The part's process, alive or not."""
        return ProcessId(self.pid, self.pid_started) if self.pid and self.pid_started else None


@dataclass(slots=True, kw_only=True)
class StackState:
    """The whole stack."""

    pid: int
    pid_started: int
    boot: str
    since: float
    host: str
    phase: Phase = Phase.STARTING
    error: str | None = None
    ports: dict[str, int] = field(default_factory=dict[str, int])
    urls: dict[str, str] = field(default_factory=dict[str, str])
    grace_s: float = 30.0
    parts: list[PartState] = field(default_factory=list[PartState])

    @property
    def supervisor(self) -> ProcessId:
        """The supervisor's process, alive or not."""
        return ProcessId(self.pid, self.pid_started)

    @property
    def running(self) -> bool:
        """Whether the supervisor that wrote this is still there."""
        return self.boot == boot_id() and self.supervisor.alive

    def part(self, name: str) -> PartState:
        """The part of that name; KeyError when there is none."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def write(self, layout: Layout) -> None:
        """Replaces the state file."""
        write_private_json(layout.state_file, asdict(self))


def begin(host: str, ports: dict[str, int], urls: dict[str, str], parts: list[PartState]) -> StackState:
    """The state of a stack that this process is about to start."""
    this = identify(os.getpid())
    assert this is not None
    return StackState(
        pid=this.pid,
        pid_started=this.started,
        boot=boot_id(),
        since=time.time(),
        host=host,
        ports=ports,
        urls=urls,
        parts=parts,
    )


def read(layout: Layout) -> StackState | None:
    """What was last written; None where nothing was, or by a version that wrote it otherwise."""
    try:
        return msgspec.json.decode(layout.state_file.read_bytes(), type=StackState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def stop_leftovers(layout: Layout) -> list[str]:
    """Stops what an earlier run has left behind; returns the names of the parts that were still there.

    Only for the holder of the lock. A process is known by its pid and its start, so no stranger is hit.
    """
    state = read(layout)
    if state is None or state.boot != boot_id():
        return []
    left = [part for part in state.parts if part.process and part.process.alive]
    for part in left:
        if part.process:
            part.process.send(signal.Signals(part.death_signal))
    for part in left:
        if part.process:
            part.process.stop(signal.Signals(part.death_signal), LEFTOVER_GRACE_S)
    return [part.name for part in left]


class Lock:
    """Held by the one supervisor of a data directory; the kernel lets go of it when the process ends."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.lock_file
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The open file that holds the lock; a process that inherits it holds the lock as well."""
        assert self._descriptor is not None
        return self._descriptor

    def take(self) -> bool:
        """Takes the lock unless another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Lets the next supervisor have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
