"""The agent as one file, and the order's environment that carries it to the box.

What is pushed is a zip that Python runs by itself: the modules of `infra/box/agent` and the proof that both sides
share, the same bytes each time. Nothing is fetched from anywhere, so nothing can be gone.
"""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from infra.box.proof import lease_key

FOLDER = "/var/lib/aither"
PAGE_PORT = 8159
_HERE = Path(__file__).parent
_MAIN = b"from infra.box.agent.main import main\nmain()\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)
ONSTART = (
    'set -e; folder="${AITHER_FOLDER:-' + FOLDER + '}"; mkdir -p "$folder"; umask 077;'
    ' printf %s "$AITHER_AGENT" | base64 -d > "$folder/agent.pyz";'
    ' exec "${AITHER_PYTHON:-python3}" "$folder/agent.pyz" >> "$folder/agent.log" 2>&1\n'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxCall:
    """How a box finds us, and ends itself.

    Without a `url` our side collects what the box has to say, at its page. `silence_s` is how long it lives
    unheard before it has joined; after that the plan says. `tailscale` holds `auth_key`, `hostname` and perhaps
    `login_server`. `halt` is the market's own call by which a box ends itself, with the key that the market gave
    it: `url` and `method`, and the variable `bearer_env`; `kill_init` ends its container besides.
    """

    url: str | None
    silence_s: float = 900.0
    folder: str = FOLDER
    page_port: int | None = PAGE_PORT
    page_host: str = ""
    tailscale: Mapping[str, str] | None = field(default=None, repr=False)
    halt: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def with_overlay(self, tailscale: Mapping[str, str]) -> "BoxCall":
        """The same by way of the overlay; then only what comes from there gets to the page."""
        return replace(self, tailscale=tailscale, page_host="127.0.0.1")


@cache
def agent() -> bytes:
    """The agent's file: `python3 FILE` runs it."""
    buffer = io.BytesIO()
    parts: dict[str, bytes] = {"__main__.py": _MAIN, "infra/__init__.py": b"", "infra/box/__init__.py": b""}
    parts["infra/box/proof.py"] = (_HERE / "proof.py").read_bytes()
    for path in sorted((_HERE / "agent").glob("*.py")):
        parts[f"infra/box/agent/{path.name}"] = path.read_bytes()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, content in sorted(parts.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, content)
    return buffer.getvalue()


def environment(master: bytes, lease_id: str, attempt: int, call: BoxCall) -> dict[str, str]:
    """What the box of an attempt is started with. The host can read it: the key in it is of this one box."""
    told: dict[str, Any] = {
        "lease": lease_id,
        "attempt": attempt,
        "key": lease_key(master, lease_id, attempt).hex(),
        "url": call.url,
        "folder": call.folder,
        "silence_s": call.silence_s,
        "page_port": call.page_port,
        "page_host": call.page_host,
        "halt": dict(call.halt),
    }
    if call.tailscale:
        told["tailscale"] = dict(call.tailscale)
    return {"AITHER_BOX": json.dumps(told), "AITHER_AGENT": base64.b64encode(agent()).decode()}
