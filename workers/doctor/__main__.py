"""`python -m workers.doctor [--faults] [--backend NAME]`: one JSON object a line, as each result comes.

It is a process of its own because it talks to model servers, which the command line does not.
"""

import argparse
import asyncio
import os
import sys
from dataclasses import asdict
from typing import Any

import orjson

from activities.contracts.backends import Backend, BackendKind
from activities.contracts.topology import Topology
from infra.config.mistakes import ConfigError
from infra.llm.backends import open_backends
from infra.settings import settings
from infra.topology import load_topology
from workers.doctor.backends import examine
from workers.doctor.drills import DRILLS
from workers.doctor.ground import score

AT_ONCE = 4


async def check_backends(topology: Topology, backends: list[Backend]) -> None:
    """Examines them all at once."""
    async with open_backends(topology, os.environ) as clients:

        async def one(backend: Backend) -> None:
            seen = await examine(backend, clients[backend.name], os.environ)
            _say("backend", **asdict(seen), well=seen.well)

        await asyncio.gather(*map(one, backends))


async def drill_faults(topology: Topology, like: Backend) -> None:
    """Runs every drill with copies of one backend, a few at a time."""
    _say("drilling", backend=like.name, kind=like.kind, dialect=like.dialect, drills=len(DRILLS))
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with room:
            scored = await score(DRILLS[number], topology, like)
        _say("drill", number=number, **asdict(scored))

    await asyncio.gather(*map(one, range(len(DRILLS))))


def main() -> int:
    """Runs; 2 where it cannot. What was found is in the lines, not in the exit code."""
    parser = argparse.ArgumentParser(prog="python -m workers.doctor", description=__doc__)
    parser.add_argument("--faults", action="store_true", help="drill the faults instead")
    parser.add_argument("--backend", action="append", help="only this one; may be repeated")
    words = parser.parse_args()
    try:
        topology = load_topology(settings())
    except ConfigError:
        return _refuse("the configuration has mistakes; `aither config check` names them")
    named: list[str] = words.backend or []
    known = {backend.name: backend for backend in topology.backends}
    unknown = [name for name in named if name not in known]
    if unknown:
        return _refuse(f"there is no backend {unknown[0]!r}; there are: {', '.join(known)}")
    wanted = [known[name] for name in named] or list(topology.backends)
    if not words.faults:
        asyncio.run(check_backends(topology, wanted))
        return 0
    speaking = [backend for backend in wanted if backend.kind is BackendKind.OPENAI]
    if not speaking:
        return _refuse("the drills speak OpenAI's protocol; name a backend of kind `openai`")
    asyncio.run(drill_faults(topology, speaking[0]))
    return 0


def _refuse(message: str) -> int:
    _say("refused", message=message)
    return 2


def _say(event: str, **data: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps({"event": event, **data}) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
