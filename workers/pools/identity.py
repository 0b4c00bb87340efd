"""Who a worker process is, so that others on its machine can tell when it is dead."""

import os
import socket
from pathlib import Path

import psutil


def _place() -> str:
    """The machine, and the space of process numbers on it: a container may have one of its own."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = "-"
    return f"{socket.gethostname()}|{space}"


def worker_id() -> str:
    """This process: its place, its number and when it began. Numbers are used again, beginnings are not."""
    process = psutil.Process()
    return f"{_place()}|{os.getpid()}|{process.create_time():.2f}"


def process_name() -> str:
    """This process as people are told of it."""
    return f"{socket.gethostname()}-{os.getpid()}"


def is_dead(worker: str) -> bool:
    """Whether the process is known to be gone. Never for one of another place, which cannot be looked at."""
    place, _, process = worker.rpartition("|")[0].rpartition("|")
    if place != _place():
        return False
    try:
        began = psutil.Process(int(process)).create_time()
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, ValueError):
        return False
    return f"{began:.2f}" != worker.rpartition("|")[2]
