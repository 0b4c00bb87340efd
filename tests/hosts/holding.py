"""A host process to kill: starts a helped tiny server, says its pid, and holds it for good."""

import asyncio
import sys
from pathlib import Path

import aiohttp

from activities.contracts.cards import HostKind, Residency
from infra.embedded.layout import Layout
from infra.hosts.process import ProcessHost
from tests.hosts.conftest import a_resident


async def main(root: str, port: str, flag: str) -> None:
    command = ("{python}", "-m", "tests.support.tiny_server", port, "--manner", "helped", "--flag", flag)
    resident = a_resident(HostKind.PROCESS, f"http://127.0.0.1:{port}", command=command)
    async with aiohttp.ClientSession() as http, ProcessHost(http, Layout(Path(root)), print) as host:
        await host.bring(resident, Residency.AWAKE)
        print((await host.find(resident)).generation.partition("-")[0], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
