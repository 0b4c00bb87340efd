"""Stops a stack from outside, whatever state it is in."""

import signal
from pathlib import Path

from infra.embedded import state
from infra.embedded.layout import Layout
from infra.embedded.state import Lock

SUPERVISOR_MARGIN_S = 5.0


def stop(data_dir: Path) -> bool:
    """Stops the supervisor in the good order, or what a dead one left; says whether anything ran."""
    layout = Layout(data_dir)
    if not layout.run_dir.exists():
        return False
    ran = False
    seen = state.read(layout)
    if seen and seen.running:
        ran = True
        seen.supervisor.stop(signal.SIGTERM, seen.grace_s + SUPERVISOR_MARGIN_S)
    lock = Lock(layout)
    if lock.take():
        try:
            ran = bool(state.stop_leftovers(layout)) or ran
        finally:
            lock.release()
    return ran
