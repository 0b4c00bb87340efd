"""The agent of a rented box: joins, gets the models, runs the server, tells how it does, and ends itself in time.

It is told all by two things: the variable AITHER_BOX (where we are, the lease, its key) and our signed answers. It
holds no account's key. Nothing that it hears and cannot be proved to come from us is acted on, and when it has
heard nothing from us for `silence_s`, it ends the box: a box that nobody looks after only costs.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.box import proof
from infra.box.agent import overlay, status
from infra.box.agent.fetch import Puller
from infra.box.agent.serve import Server, port_of
from infra.box.agent.talk import Carried, Direct, Key, Refused, Session, Silent

RETRY_S = 3.0
WATCH_S = 0.25
RESTARTS = 3
HALT_S = 30.0


class Agent:
    """One box. The main thread does the work; another beats, and a third ends the box when nobody is heard."""

    def __init__(self, said: dict[str, Any]) -> None:
        self._said = said
        self._folder = Path(os.environ.get("AITHER_FOLDER") or said["folder"])
        self._folder.mkdir(parents=True, exist_ok=True)
        self._over = threading.Event()
        self._beat_now = threading.Event()
        self._heard_at = time.monotonic()
        self._silence_s = float(said["silence_s"])
        self._retry_s = min(RETRY_S, self._silence_s / 4)
        self.phase, self.detail, self.missing, self.restarts = "joined", "", {}, 0
        self._plan: dict[str, Any] = {}
        self._puller: Puller | None = None
        self._server: Server | None = None
        self._overlay: str | None = None
        self._way = self._open_way()
        first = Key(proof.LEASE, int(said["attempt"]), 0, bytes.fromhex(said.pop("key")))
        self._session = Session(self._way, str(said["lease"]), first, self._folder / "session.json")
        if said.get("page_port") is not None:
            page = status.serve(
                said.get("page_host", ""), port_of(int(said["page_port"])), self.tell, self._way
            )
            say(f"page at {page.server_port}")

    def _open_way(self) -> Direct | Carried:
        said = self._said
        if said.get("tailscale"):
            try:
                self._overlay = overlay.bring_up(said.pop("tailscale"))
            except OSError as error:
                say(str(error))
        if said.get("url"):
            return Direct(said["url"], f"http://{overlay.PROXY}" if self._overlay else None)
        return Carried(self._silence_s / 4)

    def run(self) -> int:
        """Everything, to the end of the box; the exit status."""
        for work in (self._watch_silence, self._work):
            threading.Thread(target=work, daemon=True, name=work.__name__).start()
        self._over.wait()
        if self._server:
            self._server.stop()
        halt(self._said.get("halt") or {})
        return 0 if self.phase == "leaving" else 3

    def end(self, *_: object) -> None:
        """Has the box end; good for a signal's handler too."""
        self._over.set()

    def tell(self) -> dict[str, Any]:
        """How the box does, as it is told in heartbeats and on its page."""
        server, puller = self._server, self._puller
        slots = max(1, int(self._plan.get("slots", 1)))
        calls = server.calls if server else 0
        return {
            "phase": self.phase,
            "calls": calls,
            "tokens": server.tokens if server else 0,
            "load": min(1.0, calls / slots) if server else None,
            "idle_s": time.monotonic() - server.busy_at if server else 0.0,
            "pulled_bytes": puller.have if puller else 0,
            "total_bytes": puller.total if puller else 0,
            "missing": dict(self.missing),
            "detail": self.detail[:1000],
            "restarts": self.restarts,
        }

    def _enter(self, phase: str, detail: str = "") -> None:
        say(f"{phase} {detail}".rstrip())
        self.phase, self.detail = phase, detail
        self._beat_now.set()

    def _work(self) -> None:
        try:
            self._plan = self._join()
            self._silence_s = float(self._plan["pace"]["silence_s"])
            threading.Thread(target=self._beat, daemon=True, name="beat").start()
            if self._pull():
                self._serve()
        except Exception as error:
            # Told, and left to those who can see what to do about it.
            self._enter("failed", f"{type(error).__name__}: {error}")

    def _join(self) -> dict[str, Any]:
        instance = os.environ.get("CONTAINER_ID") or os.environ.get("VAST_CONTAINERLABEL", "")[2:]
        said = {"instance": instance or None, "overlay": self._overlay}
        while True:
            try:
                plan = self._session.join(said)
                self._heard_at = time.monotonic()
                say("joined")
                return plan
            except (Silent, Refused) as error:
                say(f"not joined: {error or type(error).__name__}")
            self._over.wait(self._retry_s)

    def _watch_silence(self) -> None:
        while not self._over.wait(min(WATCH_S, self._silence_s / 4)):
            if time.monotonic() - self._heard_at > self._silence_s:
                say(f"nothing heard for {self._silence_s:g} s: ending")
                self.end()

    def _beat(self) -> None:
        """Tells how the box does, as often as it is wanted and whenever that changes."""
        every = float(self._plan["pace"]["heartbeat_s"])
        while not self._over.is_set():
            self._beat_now.clear()
            last = self.phase == "leaving"
            pause = every
            try:
                if self._server:
                    self._server.look()
                answer = self._session.say("heartbeat", self.tell())
                self._heard_at = time.monotonic()
                if answer.get("wish") == "leave" and not last:
                    self._enter("leaving")
                    continue
            except Refused:
                # Another of its own, perhaps: the session is made anew, with the key that it had.
                self._renew()
                pause = min(every, self._retry_s)
            except Silent:
                pause = min(every, self._retry_s)
            if last:
                self.end()
            self._beat_now.wait(pause)

    def _renew(self) -> None:
        try:
            self._session.join({"instance": None, "overlay": self._overlay})
            self._heard_at = time.monotonic()
        except (Silent, Refused) as error:
            say(f"not joined again: {error or type(error).__name__}")

    def _models(self, uri: str | None = None) -> dict[str, Any]:
        while True:
            try:
                answer = self._session.say("models", {"uri": uri} if uri else {})
                self._heard_at = time.monotonic()
                return answer
            except (Silent, Refused):
                self._over.wait(self._retry_s)
                if self._over.is_set():
                    return {"files": [], "missing": []}

    def _again(self, uri: str) -> list[dict[str, Any]]:
        return [source for file in self._models(uri)["files"] for source in file["sources"]]

    def _pull(self) -> bool:
        """Gets the models; False where one that is required is missing: then there is nothing to serve."""
        wanted = self._models()
        required = {str(each["uri"]): bool(each["required"]) for each in wanted["files"] + wanted["missing"]}
        self.missing = {str(each["uri"]): str(each["why"]) for each in wanted["missing"]}
        self._puller = Puller(self._folder / "models", self._plan["pace"], self._again)
        self._enter("pulling")
        if not any(required[uri] for uri in self.missing):
            self.missing.update(self._puller.pull(wanted["files"]))
        lost = [uri for uri in self.missing if required[uri]]
        if lost:
            self._enter("failed", f"required and not to be had: {lost[0]}: {self.missing[lost[0]]}")
        return not lost

    def _serve(self) -> None:
        server = self._server = Server(self._plan, self._folder / "models", self._folder / "server.log")
        server.start()
        self._enter("starting")
        deadline = time.monotonic() + float(self._plan["pace"]["start_s"])
        while not self._over.wait(WATCH_S):
            why = server.ended()
            if not why and self.phase == "starting" and time.monotonic() > deadline:
                why = "the server was not well in time"
            if self.phase == "leaving":
                return
            if why and self.restarts >= RESTARTS:
                server.stop()
                self._enter("failed", why)
                return
            if why:
                # Told before anything else: calls go elsewhere meanwhile.
                self._enter("starting", why)
                self.restarts += 1
                server.stop()
                server.start()
                deadline = time.monotonic() + float(self._plan["pace"]["start_s"])
            elif self.phase == "starting" and server.healthy():
                self._enter("serving")


def halt(said: dict[str, Any]) -> None:
    """Ends the box itself: by the market's own call for that, with the key that it gave this box, else by its init."""
    try:
        place = urlsplit(str(said.get("url", "")).format_map(os.environ))
        if place.hostname:
            kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
            line = kind(place.hostname, place.port, timeout=HALT_S)
            key = os.environ.get(str(said.get("bearer_env", "")), "")
            line.request(
                str(said.get("method", "DELETE")), place.path, headers={"Authorization": f"Bearer {key}"}
            )
            say(f"the market was told: {line.getresponse().status}")
    except (OSError, KeyError, ValueError, http.client.HTTPException) as error:
        say(f"the market could not be told: {type(error).__name__}")
    if said.get("kill_init"):
        os.kill(1, signal.SIGTERM)


def say(words: str) -> None:
    """One line in the box's log."""
    sys.stderr.write(f"agent: {words}\n")
    sys.stderr.flush()


def main() -> None:
    """Runs the agent of AITHER_BOX until the box is to end."""
    # Taken out: what the server starts needs none of it.
    agent = Agent(json.loads(os.environ.pop("AITHER_BOX")))
    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, agent.end)
    sys.exit(agent.run())
