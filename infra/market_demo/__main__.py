"""`python -m infra.market_demo --port 9300 --key KEY`: a market on this machine, whose boxes are processes."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.market_demo.book import book
from infra.market_demo.boxes import as_a_box
from infra.market_demo.market import StandInVast


async def serve(port: int, key: str, seed: int) -> None:
    """Until a signal ends it; its boxes end with it."""
    stop = asyncio.Event()
    for which in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(which, stop.set)
    with TemporaryDirectory() as folder:
        async with StandInVast(Path(folder), book(seed), key=key, port=port, launch=as_a_box) as market:
            sys.stdout.write(f"{market.url}\n")
            sys.stdout.flush()
            await stop.wait()


def main() -> None:
    """Parses the command line and serves."""
    parser = argparse.ArgumentParser(prog="python -m infra.market_demo", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one, which is printed")
    parser.add_argument("--key", default="demo", help="the key that it wants to see")
    parser.add_argument("--seed", type=int, default=1, help="of the offer book")
    asked = parser.parse_args()
    asyncio.run(serve(asked.port, asked.key, asked.seed))


if __name__ == "__main__":
    main()
