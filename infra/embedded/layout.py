"""Where the embedded stack keeps things: one directory, readable by its owner only."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one data directory.

    The directory itself may be traversed by others, because PostgreSQL runs as another user where `aither`
    runs as root; everything in it is closed to them.
    """

    root: Path

    @property
    def run_dir(self) -> Path:
        """What belongs to the stack that runs now: its state, its lock, its readiness files."""
        return self.root / "run"

    @property
    def logs_dir(self) -> Path:
        """One file a part."""
        return self.root / "logs"

    @property
    def postgres_dir(self) -> Path:
        """PostgreSQL's cluster."""
        return self.root / "postgres"

    @property
    def redis_dir(self) -> Path:
        """Redis' append-only files and its configuration."""
        return self.root / "redis"

    @property
    def temporal_dir(self) -> Path:
        """Temporal's SQLite file."""
        return self.root / "temporal"

    @property
    def qdrant_dir(self) -> Path:
        """The swarm's ledger and memory; open in one process at a time."""
        return self.root / "qdrant"

    def memory_copy(self, name: str) -> Path:
        """Where the worker that has `qdrant_dir` open puts a copy of it, for a backup. Raises `ValueError`."""
        if not name.isalnum():
            raise ValueError(f"{name!r} is not of letters and digits")
        return self.run_dir / f"memory-{name}"

    @property
    def state_file(self) -> Path:
        """What runs, as the supervisor last saw it."""
        return self.run_dir / "state.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the one supervisor of this directory for as long as it lives."""
        return self.run_dir / "lock"

    @property
    def workers_ready_file(self) -> Path:
        """Written by the worker process once it polls."""
        return self.run_dir / "workers.ready"

    @property
    def cards_ready_file(self) -> Path:
        """Written by the card host once it polls."""
        return self.run_dir / "cards.ready"

    @property
    def secrets_file(self) -> Path:
        """Passwords of the parts among each other."""
        return self.root / "secrets.json"

    @property
    def credentials_file(self) -> Path:
        """Address and key with which the command line calls the API."""
        return self.root / "credentials.json"

    def log_file(self, part: str) -> Path:
        """The log of one part."""
        return self.logs_dir / f"{part}.log"

    def make(self) -> None:
        """Makes the directories that are missing and closes them to others."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        for folder in (self.run_dir, self.logs_dir, self.redis_dir, self.temporal_dir):
            folder.mkdir(mode=0o700, exist_ok=True)


def write_private_json(path: Path, value: Any) -> None:
    """Replaces a file in one step; it is never readable by others, not even while it is written."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
    fresh.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is no file or no object in it."""
    try:
        value: Any = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return cast(dict[str, Any], value) if isinstance(value, dict) else None
