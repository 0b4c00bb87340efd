"""Names processes so that a reused pid is never taken for the one that had it before (Linux)."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid with the moment at which its process started, in clock ticks since boot."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether this very process still runs. One that has ended and waits to be reaped does not."""
        return identify(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Sends the signal unless the process has gone; says whether it was sent."""
        if not self.alive:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self, seconds: float) -> bool:
        """Waits for the process to be gone; says whether it is."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def stop(self, number: signal.Signals, grace_s: float) -> None:
        """Ends the process: `number` first, SIGKILL where that did not do in `grace_s` seconds."""
        if self.send(number) and not self.wait(grace_s):
            self.send(signal.SIGKILL)
            self.wait(grace_s)


def identify(pid: int) -> ProcessId | None:
    """The process that has this pid now; None when there is none, or only its remains."""
    try:
        # The name of the program stands in parentheses and may hold anything, so read from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    return ProcessId(pid, int(fields[19]))


def boot_id() -> str:
    """Changes with every boot, and with it the meaning of `started`."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
