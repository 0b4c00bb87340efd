"""The stand-in market's boxes: real local processes, each with its folder, its ports and its state.

A box's own TCP port is a free port of this machine: its process is told by `VAST_TCP_PORT_<port>` where to listen,
and by whatever `launch` adds. It is killed with its whole session.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.market_demo.faults import Boot
from infra.market_demo.ledger import Clock, Ledger

ROOT = Path(__file__).parents[2]
BILLS_GPU = frozenset({"running", "frozen", "rebooting"})


@dataclass(slots=True)
class Box:
    """One contract. `base_usd` is its GPU's price an hour, as of now; `key` is good for this box alone."""

    id: int
    offer: dict[str, Any]
    label: str
    image: str
    disk_gb: float
    env: dict[str, str]
    ports: dict[int, int]
    onstart: str
    args: list[str]
    folder: Path
    base_usd: float
    created: float
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    state: str | None = None
    message: str = ""
    process: asyncio.subprocess.Process | None = None
    life: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def storage_usd(self) -> float:
        """What its disk costs an hour."""
        return float(self.offer["storage_cost"]) * self.disk_gb / 730

    @property
    def log(self) -> str:
        """What its process has said."""
        path = self.folder / "box.log"
        return path.read_text(errors="replace") if path.exists() else ""


Launch = Callable[[Box], tuple[Sequence[str], Mapping[str, str]]]
"""The command that a box runs, and what is added to its environment. What it may do is the test's business."""


def as_ordered(box: Box) -> tuple[Sequence[str], Mapping[str, str]]:
    """What was ordered: `onstart` by a shell, or the arguments as a command of this Python."""
    return (("bash", "-c", box.onstart) if box.onstart else (sys.executable, *box.args)), {}


class Boxes:
    """All boxes that there are, and the ledger of all that there were."""

    def __init__(self, folder: Path, ledger: Ledger, clock: Clock, launch: Launch) -> None:
        self._folder = folder
        self._ledger = ledger
        self._clock = clock
        self._launch = launch
        self._ids = 7_000_000
        self.there: dict[int, Box] = {}
        self.boot_delay = 0.0

    def rent(self, offer: dict[str, Any], order: Mapping[str, Any], boot: Boot) -> Box:
        """A new box for an order, which begins to boot."""
        self._ids += 1
        flags = {key: value for key, value in order["env"].items() if key.startswith("-p ")}
        inner = [int(flag.removeprefix("-p ").split(":")[1]) for flag in flags]
        folder = self._folder / str(self._ids)
        folder.mkdir(parents=True)
        box = Box(
            id=self._ids,
            offer=offer,
            label=order.get("label") or "",
            image=order["image"],
            disk_gb=float(order["disk"]),
            env={key: str(value) for key, value in order["env"].items() if key not in flags},
            ports=dict(zip(inner, _free_ports(len(inner)), strict=True)),
            onstart=order.get("onstart") or "",
            args=list(order.get("args") or ()),
            folder=folder,
            base_usd=float(offer["dph_base"]),
            created=self._clock(),
        )
        self.there[box.id] = box
        self._ledger.open(box.id, box.label, box.storage_usd)
        box.life = asyncio.create_task(self._live(box, boot))
        return box

    async def destroy(self, box: Box) -> None:
        """Its processes are dead when this returns, and it costs no more."""
        self.there.pop(box.id, None)
        self._ledger.close(box.id)
        if box.life is not None:
            box.life.cancel()
            await asyncio.gather(box.life, return_exceptions=True)
        await self._end(box)
        shutil.rmtree(box.folder, ignore_errors=True)

    async def close(self) -> None:
        """Ends all of them."""
        for box in list(self.there.values()):
            await self.destroy(box)

    def turn(self, box: Box, state: str | None, message: str = "") -> None:
        """Says this of it from now on, and bills it so."""
        box.state, box.message = state, message
        if box.id in self.there:
            gpu = box.base_usd if state in BILLS_GPU else 0.0
            self._ledger.price(box.id, gpu + box.storage_usd)
        box.changed.set()
        box.changed = asyncio.Event()

    def raise_price(self, box: Box, base_usd: float) -> None:
        """Its GPU costs this from now on."""
        box.base_usd = base_usd
        self.turn(box, box.state, box.message)

    async def die(self, box: Box, state: str = "exited") -> None:
        """Its process is killed; the contract stays, and bills its disk."""
        if box.life is not None:
            box.life.cancel()
            await asyncio.gather(box.life, return_exceptions=True)
        await self._end(box)
        self.turn(box, state)

    async def become(self, box: Box, *states: str) -> None:
        """Waits until it is in one of these."""
        while box.state not in states:
            changed = box.changed
            await changed.wait()

    async def _live(self, box: Box, boot: Boot) -> None:
        self.turn(box, "created")
        self.turn(box, "loading", f"pulling {box.image}")
        await asyncio.sleep(self.boot_delay)
        if boot is Boot.STUCK:
            return
        if boot is Boot.OCI:
            self.turn(box, "created", "Error response: OCI runtime create failed: no such device")
            return
        if boot is not Boot.WELL:
            self.turn(box, "exited" if boot is Boot.EXITS else boot.value, "it did not come up")
            return
        command, added = self._launch(box)
        mapped = {f"VAST_TCP_PORT_{inner}": str(public) for inner, public in box.ports.items()}
        with (box.folder / "box.log").open("ab") as log:
            box.process = await asyncio.create_subprocess_exec(
                *command,
                cwd=box.folder,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(box.folder),
                    "CONTAINER_ID": str(box.id),
                    "CONTAINER_API_KEY": box.key,
                    "PUBLIC_IPADDR": "127.0.0.1",
                    **mapped,
                    **box.env,
                    **added,
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.turn(box, "running", f"success, running {box.image}")
        await box.process.wait()
        self.turn(box, "exited", f"the container ended with {box.process.returncode}")

    @staticmethod
    async def _end(box: Box) -> None:
        if box.process is None:
            return
        # The session outlives its leader where that has ended: helpers go too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(box.process.pid, signal.SIGKILL)
        await box.process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def as_a_box(box: Box) -> tuple[Sequence[str], Mapping[str, str]]:
    """What was ordered, by this machine's shell and Python, in the box's own folder and at its own ports."""
    own = {"AITHER_FOLDER": str(box.folder / "aither"), "AITHER_PYTHON": sys.executable}
    ports = {f"AITHER_PORT_{inner}": str(public) for inner, public in box.ports.items()}
    # The server is started with modules of this repository: here the box is this machine.
    return ("bash", "-c", box.onstart), {**own, **ports, "PYTHONPATH": str(ROOT)}
