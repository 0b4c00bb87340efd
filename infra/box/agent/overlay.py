"""The box's way into our network: Tailscale without a network device, for a rented container has no right to one.

tailscale.com/kb/1112/userspace-networking: what comes in over the overlay lands on 127.0.0.1, what goes out to it
goes through a proxy.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

PROXY = "localhost:1056"
UP_S = 120


def bring_up(said: dict[str, Any]) -> str:
    """Starts Tailscale with a key that is good for one box; returns the box's address there.

    Raises `OSError` where it cannot be: without it nobody finds the box, and it ends by its own silence.
    """
    if not shutil.which("tailscaled"):
        raise OSError("tailscaled is not in this image")
    subprocess.Popen(
        [
            "tailscaled",
            "--tun=userspace-networking",
            "--state=mem:",
            "--socks5-server=localhost:1055",
            f"--outbound-http-proxy-listen={PROXY}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # The key by standard input's file: among the arguments every process of the box could read it.
    up = ["tailscale", "up", "--auth-key=file:/dev/stdin", f"--hostname={said['hostname']}", "--timeout=60s"]
    if said.get("login_server"):
        up.append(f"--login-server={said['login_server']}")
    try:
        subprocess.run(
            up, input=str(said["auth_key"]).encode(), check=True, capture_output=True, timeout=UP_S
        )
        shown = subprocess.run(["tailscale", "ip", "-4"], check=True, capture_output=True, timeout=UP_S)
    except subprocess.SubprocessError as error:
        raise OSError(f"tailscale does not come up ({type(error).__name__})") from None
    return shown.stdout.decode().split()[0]
