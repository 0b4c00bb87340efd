"""How the agent speaks with us: it joins, and signs what it says; what is not signed by us is not believed.

Its words go straight to our address, or, where the box cannot reach us, lie in an outbox that our side comes to
collect (`status.py`). Either way they are the same bytes with the same signatures.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import threading
from pathlib import Path
from typing import Any, NamedTuple, Tuple  # noqa: UP035 (Pythons before 3.9 run this)
from urllib.parse import urlsplit

from infra.box import proof

TIMEOUT_S = 20.0
MOST_KEYS = 16


class Silent(Exception):
    """Nobody answered, or nobody who could prove to be us. Trying again may help."""


class Refused(Exception):
    """We were told that we are not who we say."""


class Key(NamedTuple):
    """A key and how it is named: what for, of which attempt, after how many joins."""

    kind: str
    attempt: int
    joins: int
    secret: bytes

    @property
    def name(self) -> str:
        """As it is sent."""
        return proof.key_id(self.kind, self.attempt, self.joins)


class Message(NamedTuple):
    """A request on its way."""

    method: str
    path: str
    host: str
    headers: dict[str, str]
    body: bytes


Answer = Tuple[int, Any, bytes]  # noqa: UP006
"""Status, headers by their names in lower case, body."""


class Direct:
    """The way over HTTP to our address; through a proxy of the overlay where there is one."""

    def __init__(self, url: str, proxy: str | None = None) -> None:
        self._place = urlsplit(url)
        self._proxy = urlsplit(proxy) if proxy else None
        self.host = self._place.netloc

    def send(self, message: Message) -> Answer:
        """The reply. Raises `Silent`."""
        place, near = self._place, self._proxy or self._place
        secure = place.scheme == "https"
        port = near.port or (443 if secure and not self._proxy else 80)
        host = near.hostname or ""
        if secure:
            line: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            line = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            if self._proxy:
                line.set_tunnel(place.hostname or "", place.port or (443 if secure else 80))
            headers = dict(message.headers, Host=message.host)
            line.request(message.method, place.path.rstrip("/") + message.path, message.body, headers)
            reply = line.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read(8 << 20)
        except (OSError, http.client.HTTPException) as error:
            raise Silent(type(error).__name__) from None
        finally:
            line.close()


class Carried:
    """The way by an outbox. One message lies there at a time, until its reply has been brought or time is up."""

    host = "carried"

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._ready = threading.Condition()
        self._sending = threading.Lock()
        self._count = 0
        self._message: Message | None = None
        self._answer: Answer | None = None

    def send(self, message: Message) -> Answer:
        """The reply. Raises `Silent`."""
        with self._sending, self._ready:
            self._count += 1
            self._message, self._answer = message, None
            self._ready.notify_all()
            self._ready.wait_for(lambda: self._answer is not None, self._timeout_s)
            answer, self._message, self._answer = self._answer, None, None
        if answer is None:
            raise Silent("nobody came to collect")
        return answer

    def outbox(self, wait_s: float) -> dict[str, Any] | None:
        """The message that lies there, waited for a while."""
        with self._ready:
            self._ready.wait_for(lambda: self._message is not None, wait_s)
            message = self._message
            if message is None:
                return None
            said = dict(message._asdict(), body=message.body.decode())
            return {"id": self._count, **said}

    def inbox(self, told: dict[str, Any]) -> bool:
        """Takes the reply to the message that lies there; its signature is looked at by whoever sent it."""
        with self._ready:
            if self._message is None or told.get("id") != self._count:
                return False
            headers = {str(k).lower(): str(v) for k, v in dict(told["headers"]).items()}
            self._answer = (int(told["status"]), headers, str(told["body"]).encode())
            self._ready.notify_all()
            return True


class Session:
    """Who we are to the other side. The keys are kept in a file that only we may read, for a reboot."""

    def __init__(self, way: Direct | Carried, lease: str, first: Key, file: Path) -> None:
        self._way, self._lease, self._file = way, lease, file
        self._first = first
        self._keys = self._read() or [first]
        self._count = 0
        self._speaking = threading.Lock()

    def join(self, said: dict[str, Any]) -> dict[str, Any]:
        """Proves who we are with the newest key that still counts; returns what we are told to do.

        Raises `Refused` where no key counts, and `Silent`.
        """
        with self._speaking:
            for key in list(self._keys):
                try:
                    return self._join(key, said)
                except Refused:
                    self._keep([each for each in self._keys if each.joins < key.joins] or [key])
            raise Refused("no key of ours counts")

    def _join(self, key: Key, said: dict[str, Any]) -> dict[str, Any]:
        status, _, raw = self._way.send(self._message("challenge", b"{}", {}))
        ours = str(_read(raw).get("nonce", "")) if status == 200 else ""
        if not ours:
            raise Silent(f"no challenge: {status}")
        fresh, body = proof.nonce(), json.dumps(said).encode()
        secret = proof.session_key(key.secret, (ours + fresh).encode())
        new = Key(proof.SESSION, key.attempt, key.joins + 1, secret)
        # Kept before it is known whether it counts: a reply that is lost must not lock us out.
        self._keep([new, *(each for each in self._keys if each.joins <= key.joins)])
        answer = self._ask("join", body, key, ours, fresh, new.secret)
        self._keep([new])
        self._count = 0
        return answer

    def say(self, verb: str, said: dict[str, Any]) -> dict[str, Any]:
        """Says something in the session; returns the answer. Raises `Refused` and `Silent`."""
        with self._speaking:
            self._count += 1
            key = self._keys[0]
            body = json.dumps(said).encode()
            return self._ask(verb, body, key, str(self._count), proof.nonce(), key.secret)

    def _ask(  # noqa: PLR0917
        self, verb: str, body: bytes, key: Key, ours: str, fresh: str, theirs: bytes
    ) -> dict[str, Any]:
        path = f"/v1/boxes/{self._lease}/{verb}"
        signed = proof.sign_request(key.secret, key.name, "POST", path, self._way.host, ours, fresh, body)
        headers = {proof.PROOF: signed, proof.KEY_ID: key.name, proof.NONCE: ours, proof.FRESH: fresh}
        status, heard, raw = self._way.send(self._message(verb, body, headers))
        if status == 403:
            raise Refused(verb)
        right = proof.sign_reply(theirs, key.name, fresh, status, raw)
        if status != 200 or not proof.same(right, heard.get(proof.PROOF.lower(), "")):
            raise Silent(f"not a word of theirs: {status}")
        return _read(raw)

    def _message(self, verb: str, body: bytes, headers: dict[str, str]) -> Message:
        path = f"/v1/boxes/{self._lease}/{verb}"
        return Message(
            "POST", path, self._way.host, dict(headers, **{"Content-Type": "application/json"}), body
        )

    def _keep(self, keys: list[Key]) -> None:
        if len(keys) > MOST_KEYS:
            keys = [*keys[: MOST_KEYS - 1], keys[-1]]
        self._keys = keys
        told = [[k.kind, k.attempt, k.joins, k.secret.hex()] for k in keys if k.kind == proof.SESSION]
        fresh = self._file.with_name(self._file.name + ".new")
        handle = os.open(str(fresh), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)

    def _read(self) -> list[Key]:
        try:
            told = json.loads(self._file.read_text())
            keys = [Key(str(k), int(a), int(j), bytes.fromhex(s)) for k, a, j, s in told]
        except (OSError, ValueError, TypeError):
            return []
        # Of an earlier attempt they are good for nothing; and the first key may not have been used up.
        mine = [key for key in keys if key.attempt == self._first.attempt]
        return [*mine, self._first] if mine else []


def _read(raw: bytes) -> dict[str, Any]:
    try:
        told: Any = json.loads(raw)
    except ValueError:
        return {}
    return dict(told) if isinstance(told, dict) else {}  # pyright: ignore[reportUnknownArgumentType]
