"""Which port each part gets, and who has it already."""

import contextlib
import errno
import socket
from dataclasses import dataclass
from typing import Any

from infra.settings import Settings

ORDER = ("api", "temporal_ui", "temporal", "orchestrator", "embeddings", "postgres", "redis")
"""`--port-base N` gives N to the first of these, N+1 to the second, and so on."""

SUGGESTED_BASES = range(18000, 28000, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenPort:
    """A port that a part wants and another process has."""

    use: str
    port: int
    holder: str | None

    @property
    def variable(self) -> str:
        """The environment variable that moves this one port."""
        return f"AITHER_{self.use.upper()}_PORT"

    def __str__(self) -> str:
        return (
            f"port {self.port} ({self.use.replace('_', '-')}) is taken by {self.holder or 'another process'}"
        )


def from_base(base: int) -> dict[str, int]:
    """The settings that put all ports in a row from `base`."""
    if not 1 <= base <= 65535 - len(ORDER):
        raise ValueError(f"--port-base must be between 1 and {65535 - len(ORDER)}")
    return {f"{use}_port": base + offset for offset, use in enumerate(ORDER)}


def of(settings: Settings) -> dict[str, int]:
    """Every port of the stack by its use, in the documented order."""
    return {use: getattr(settings, f"{use}_port") for use in ORDER}


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. A port left by a connection that has closed counts as free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def taken(host: str, wanted: dict[str, int]) -> list[TakenPort]:
    """The wanted ports that cannot be had, each with the process that has it, where that can be seen."""
    busy = {use: port for use, port in wanted.items() if not is_free(host, port)}
    holders = _holders(set(busy.values())) if busy else {}
    return [TakenPort(use=use, port=port, holder=holders.get(port)) for use, port in busy.items()]


def doubled(wanted: dict[str, int]) -> list[str]:
    """Complaints about two parts that were given one port."""
    first: dict[int, str] = {}
    complaints: list[str] = []
    for use, port in wanted.items():
        if port in first:
            complaints.append(f"port {port} is set for both {first[port]} and {use}")
        first.setdefault(port, use)
    return complaints


def free_base(host: str) -> int | None:
    """A base from which the whole row is free at this moment."""
    for base in SUGGESTED_BASES:
        if all(is_free(host, base + offset) for offset in range(len(ORDER))):
            return base
    return None


def _holders(ports: set[int]) -> dict[int, str]:
    import psutil

    found: dict[int, str] = {}
    with contextlib.suppress(psutil.Error, PermissionError):
        connections: list[Any] = psutil.net_connections(kind="tcp")
        for connection in connections:
            if (
                connection.status != psutil.CONN_LISTEN
                or connection.laddr.port not in ports
                or not connection.pid
            ):
                continue
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(connection.pid)
                command = " ".join(" ".join(process.cmdline()).split())[:80]
                found[connection.laddr.port] = f"{process.name()} (pid {process.pid}: {command})"
    return found
