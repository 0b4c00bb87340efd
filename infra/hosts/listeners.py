"""Which process listens on a port of this machine."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import psutil

from infra.embedded.processes import ProcessId, identify


def port_of(url: str) -> int:
    """The port of a server."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def host_of(url: str) -> str:
    """The host of a server."""
    return urlsplit(url).hostname or ""


def listens(process: ProcessId, port: int) -> bool | None:
    """Whether this process listens there; None where it may not be looked at."""
    try:
        connections: list[Any] = psutil.Process(process.pid).net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return None
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)


class Generations:
    """A mark of the process that listens at a URL, another one for each. Looking for it anew is slow, so it is kept."""

    def __init__(self) -> None:
        self._seen: dict[int, ProcessId] = {}

    async def at(self, url: str) -> str:
        """The mark; empty where the process cannot be seen."""
        return await asyncio.to_thread(self._at, port_of(url))

    def _at(self, port: int) -> str:
        found = self._seen.get(port)
        if found is None or not found.alive or not listens(found, port):
            found = _listener(port)
        if found is None:
            self._seen.pop(port, None)
            return ""
        self._seen[port] = found
        return f"{found.pid}-{found.started}"


def _listener(port: int) -> ProcessId | None:
    try:
        connections: list[Any] = psutil.net_connections(kind="tcp")
    except (psutil.Error, PermissionError):
        return None
    for each in connections:
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
            return identify(each.pid)
    return None
