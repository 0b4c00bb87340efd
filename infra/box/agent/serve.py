"""The model server that the box runs: started, watched, read for how busy it is, and ended with the agent."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

ASK_S = 5.0
GRACE_S = 10.0
TAIL_BYTES = 600
_RUNNING = ("vllm:num_requests_running", "llamacpp:requests_processing")
_WAITING = ("vllm:num_requests_waiting", "llamacpp:requests_deferred")
_TOKENS = ("vllm:generation_tokens_total", "llamacpp:tokens_predicted_total")
_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+([-+.\deE]+)", re.ASCII | re.MULTILINE)
_PR_SET_PDEATHSIG = 1


class Server:
    """One process, and what it says of itself. `calls` are running and waiting ones, `tokens` of all its lives."""

    def __init__(self, plan: dict[str, Any], folder: Path, log: Path) -> None:
        self._port = port_of(int(plan["port"]))
        said = {"{models}": str(folder), "{port}": str(self._port)}
        self._argv = [_filled(str(word), said) for word in plan["command"]]
        own = {name: value for name, value in os.environ.items() if not name.startswith("AITHER_")}
        self._env = dict(own, **{name: _filled(str(value), said) for name, value in plan["env"].items()})
        self._health, self._metrics = plan["health_path"], plan["metrics_path"]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.calls = 0
        self.tokens = 0
        self._before = 0
        self._seen: int = 0
        self.busy_at = time.monotonic()

    def start(self) -> None:
        """Starts it. Raises `OSError` where there is no such program."""
        self._before, self._seen = self.tokens, 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_us,  # noqa: PLW1509 (the agent's threads hold no lock that it needs)
            )
        self.busy_at = time.monotonic()

    def ended(self) -> str:
        """How it ended, with its last words; empty while it runs."""
        if self._process is None or self._process.poll() is None:
            return ""
        try:
            words = self._log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace").strip()
        except OSError:
            words = ""
        return f"the server ended ({self._process.returncode}): {words}"

    def healthy(self) -> bool:
        """Whether it answers at its health page."""
        return self._ask(self._health) is not None

    def look(self) -> None:
        """Reads how busy it is. What it does not tell is taken for nothing to do."""
        text = self._ask(self._metrics)
        if text is None:
            return
        sums: dict[str, float] = {}
        for name, value in _LINE.findall(text):
            try:
                sums[name] = sums.get(name, 0.0) + float(value)
            except ValueError:
                continue
        self.calls = round(sum(sums.get(name, 0.0) for name in _RUNNING + _WAITING))
        seen: int = round(sum(sums.get(name, 0.0) for name in _TOKENS))
        if self.calls or seen != self._seen:
            self.busy_at = time.monotonic()
        self._seen = seen
        self.tokens = self._before + seen

    def stop(self) -> None:
        """Ends it and whatever it started; returns when it is gone."""
        process = self._process
        if process is None:
            return
        # The second time for what it started and left behind, and for a server that does not listen.
        for which in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, which)
                process.wait(GRACE_S)
        self._process = None

    def _ask(self, path: str) -> str | None:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ASK_S)
        try:
            line.request("GET", path)
            reply = line.getresponse()
            text = reply.read(4 << 20).decode("utf-8", "replace")
            return text if reply.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            line.close()


def port_of(port: int) -> int:
    """The port to listen at for one of the plan's: another where the box shares its network and was told so."""
    return int(os.environ.get(f"AITHER_PORT_{port}", port))


def _filled(word: str, said: dict[str, str]) -> str:
    for name, value in said.items():
        word = word.replace(name, value)
    return word


def _die_with_us() -> None:
    """A server that outlives its agent holds the port and the card, and nobody looks after it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
