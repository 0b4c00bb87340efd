"""Whether the worker of this container is well: `python -m workers.health` exits 0 if it is, else 1 and says why.

A worker that is ready writes its process id to the file of AITHER_READY_FILE and touches it for as long as its event
loop turns (`workers.pulse`). Nothing else is asked: a database that is away must not have its workers restarted.
"""

import os
import sys
import time
from pathlib import Path

READY_FILE = "AITHER_READY_FILE"
BEAT_S = 5.0
"""How often a worker touches its file."""
STALE_S = 60.0
"""How long a file may be untouched: a loop that is busy for so long serves nobody."""


def objection(path: Path, now: float) -> str | None:
    """What is wrong with the worker that keeps this file; None where all is well. `now` is in seconds since 1970."""
    try:
        pid, touched = int(path.read_text()), path.stat().st_mtime
    except FileNotFoundError:
        return "the worker is not ready"
    except (OSError, ValueError):
        return f"{path} cannot be read as what a worker writes"
    if not _runs(pid):
        return f"process {pid} is gone"
    if now - touched > STALE_S:
        return f"process {pid} has not moved for {now - touched:.0f} s"
    return None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main() -> int:
    """The exit code: 0 well, 1 not, 2 not set up."""
    named = os.environ.get(READY_FILE)
    if not named:
        sys.stderr.write(f"set {READY_FILE} to the file that the worker was given\n")
        return 2
    wrong = objection(Path(named), time.time())
    if wrong:
        sys.stderr.write(f"{wrong}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
