"""How the agent gets model files: in parts, over several connections, going on where it was cut off.

A file is only there when all of it has the right SHA-256; until then it lies beside as `NAME.part` with a journal
of the parts that are safe on disk. What is no model file (a login page, an error in JSON) is not taken for one.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S = 30.0
CHUNK = 1 << 20
TRIES = 6
"""In a row, without a byte gained, before a source is given up."""
PAUSE_S = 0.5
RENEWALS = 24
"""URLs of one source that are used up for one file: a day of them, an hour each."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
BINARY = (".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".zip")


class Unfit(Exception):
    """The source has not what is wanted: another source may."""


class Expired(Unfit):
    """The source wants another URL than the one that we were given."""


class Cut(Exception):
    """The line broke, or was too slow: the same again may help."""


class Whole(NamedTuple):
    """What a source says of the file: the URL that has it, its tag, its size."""

    url: str
    headers: dict[str, str]
    tag: str
    size: int


def request(url: str, headers: dict[str, str]) -> tuple[str, dict[str, str], Any]:
    """Opens a GET, following redirects; URL and headers as they were at the end, and the response.

    Headers of ours (a token) are for the first host alone. Raises `Cut`.
    """
    for _ in range(6):
        place = urlsplit(url)
        secure = place.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        extra: dict[str, Any] = {"context": ssl.create_default_context()} if secure else {}
        line = kind(place.hostname or "", place.port, timeout=TIMEOUT_S, **extra)
        try:
            path = (place.path or "/") + ("?" + place.query if place.query else "")
            line.request("GET", path, headers=dict(headers, **{"Accept-Encoding": "identity"}))
            reply = line.getresponse()
        except (OSError, http.client.HTTPException) as error:
            line.close()
            raise Cut(type(error).__name__) from None
        onward = reply.getheader("Location")
        if reply.status not in (301, 302, 303, 307, 308) or not onward:
            return url, headers, reply
        reply.close()
        line.close()
        onward = urljoin(url, onward)
        if urlsplit(onward)[:2] != place[:2]:
            headers = {name: value for name, value in headers.items() if name in ("Range", "If-Match")}
        url = onward
    raise Unfit("sends us on for ever")


def look(source: dict[str, Any], name: str, size: int) -> Whole:
    """Asks the source for its first byte. Raises `Unfit`, `Expired` and `Cut`."""
    own = dict(source.get("headers") or {})
    url, headers, reply = request(source["url"], dict(own, Range="bytes=0-0"))
    try:
        kind = (reply.getheader("Content-Type") or "").split(";")[0].strip().lower()
        _check_status(reply.status)
        page = kind in ("text/html", "application/xhtml+xml")
        if page or (name.endswith(BINARY) and (kind.startswith("text/") or kind == "application/json")):
            raise Unfit(f"sends a page ({kind}) instead of the file")
        if reply.status != 206:
            raise Unfit(f"does not send parts of a file ({reply.status})")
        total = (reply.getheader("Content-Range") or "").rpartition("/")[2]
        if total != str(size):
            raise Unfit(f"has {total or 'unknown'} bytes, not {size}")
        headers.pop("Range", None)
        return Whole(url, headers, reply.getheader("ETag") or "", size)
    finally:
        reply.close()


def _check_status(status: int) -> None:
    if status in (401, 403, 410):
        raise Expired(f"refuses ({status})")
    if status in (408, 425, 429) or status >= 500:
        raise Cut(f"answers {status}")
    if status not in (200, 206):
        raise Unfit(f"answers {status}")


class Download:
    """One file on its way into a folder."""

    def __init__(self, file: dict[str, Any], folder: Path, pace: dict[str, Any]) -> None:
        dir_, name = str(file["dir"]), str(file["name"])
        if not NAME.fullmatch(dir_) or not NAME.fullmatch(name):
            raise Unfit("has a name that leads elsewhere")
        self.name, self.size, self.sha256 = name, int(file["size"]), str(file["sha256"])
        self.place = folder / dir_ / name
        self.part = self.place.with_name(name + ".part")
        self.journal = self.place.with_name(name + ".journal")
        self._step, self._lines = int(pace["part_bytes"]), int(pace["connections"])
        self.have = 0
        self._stop = threading.Event()
        self._writing = threading.Lock()

    def there(self) -> bool:
        """Whether the file is there, whole and right."""
        if not self.place.is_file() or self.place.stat().st_size != self.size:
            return False
        return self._right(self.place)

    def get(self, source: dict[str, Any]) -> None:
        """Gets the file. Raises `Unfit`, `Expired`, and `Cut` when trying again has stopped to help."""
        self.place.parent.mkdir(parents=True, exist_ok=True)
        whole = _patiently(lambda: look(source, self.name, self.size))
        done = self._begin(whole)
        self._stop.clear()
        parts = [start for start in range(0, self.size, self._step) if start // self._step not in done]
        with ThreadPoolExecutor(self._lines) as pool:
            waits = [pool.submit(self._fetch, whole, start) for start in parts]
            failed = [error for error in (wait.exception() for wait in waits) if error is not None]
        if failed:
            # The most telling first: a URL that ran out has the others fail too.
            raise sorted(failed, key=lambda error: not isinstance(error, Expired))[0]
        self._finish()

    def _begin(self, whole: Whole) -> set[int]:
        """The parts that are there already, of this very file; makes room for the others."""
        head = {"tag": whole.tag, "size": whole.size, "step": self._step, "sha256": self.sha256}
        try:
            lines = self.journal.read_text().splitlines()
            if json.loads(lines[0]) == head and whole.tag and self.part.stat().st_size == self.size:
                # Whatever was being written when the power went is not a number.
                done = {int(line) for line in lines[1:] if line.isdigit()}
                self.have = sum(min(self._step, self.size - part * self._step) for part in done)
                return done
        except (OSError, ValueError, IndexError):
            pass
        self.have = 0
        with self.part.open("wb") as file:
            file.truncate(self.size)
        self.journal.write_text(json.dumps(head) + "\n")
        return set()

    def _fetch(self, whole: Whole, start: int) -> None:
        """One part, to the disk and into the journal."""
        end = min(start + self._step, self.size)
        at, tries = start, 0
        while at < end and not self._stop.is_set():
            try:
                at, before = self._read(whole, at, end), at
                tries = tries + 1 if at == before else 0
            except Cut:
                tries += 1
            except Exception:
                self._stop.set()
                raise
            if tries >= TRIES:
                self._stop.set()
                raise Cut("the line breaks again and again")
            if tries:
                self._stop.wait(PAUSE_S * tries)
        if at < end:
            raise Cut("given up")
        with self._writing, self.journal.open("a") as file:
            file.write(f"{start // self._step}\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, whole: Whole, at: int, end: int) -> int:
        """Reads on from `at`, as far as the line holds; returns how far, all of it safe on disk."""
        headers = dict(whole.headers, Range=f"bytes={at}-{end - 1}")
        if whole.tag and not whole.tag.startswith("W/"):
            headers["If-Match"] = whole.tag
        _, _, reply = request(whole.url, headers)
        try:
            _check_status(reply.status)
            said = f"bytes {at}-{end - 1}/{whole.size}"
            if reply.status != 206 or reply.getheader("Content-Range") != said:
                raise Unfit(f"does not send the part that was asked for ({reply.status})")
            if whole.tag and reply.getheader("ETag") not in (None, whole.tag):
                raise Unfit("has another file now")
            with self.part.open("r+b") as file:
                file.seek(at)
                try:
                    while at < end and not self._stop.is_set():
                        read = reply.read(min(CHUNK, end - at))
                        if not read:
                            break
                        file.write(read)
                        at += len(read)
                        with self._writing:
                            self.have += len(read)
                except (OSError, http.client.HTTPException, socket.timeout):  # noqa: UP041
                    pass
                finally:
                    file.flush()
                    os.fsync(file.fileno())
            return at
        finally:
            reply.close()

    def _finish(self) -> None:
        """Looks at the whole of it, and gives it its name. Raises `Unfit`."""
        right = self._looks_right() and self._right(self.part)
        if right:
            with self.part.open("rb") as file:
                os.fsync(file.fileno())
            self.part.replace(self.place)
            folder = os.open(str(self.place.parent), os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        for left in (self.part, self.journal):
            with contextlib.suppress(FileNotFoundError):
                left.unlink()
        if not right:
            self.have = 0
            raise Unfit("has another file under that name")

    def _looks_right(self) -> bool:
        """Whether it begins as a file of its kind does; what this says of no kind, its digest will."""
        with self.part.open("rb") as file:
            head = file.read(9)
        if self.name.endswith(".gguf"):
            return head[:4] == b"GGUF"
        if self.name.endswith(".safetensors"):
            return len(head) == 9 and int.from_bytes(head[:8], "little") + 8 <= self.size and head[8:] == b"{"
        return True

    def _right(self, path: Path) -> bool:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            for chunk in iter(lambda: file.read(4 << 20), b""):
                digest.update(chunk)
        return hmac.compare_digest(digest.hexdigest(), self.sha256)


def _patiently(ask: Callable[[], Whole]) -> Whole:
    for tried in range(1, TRIES):
        try:
            return ask()
        except Cut:
            time.sleep(PAUSE_S * tried)
    return ask()


class Puller:
    """Gets all files of a lease, some at a time. `again` asks for a file's sources anew."""

    def __init__(
        self, folder: Path, pace: dict[str, Any], again: Callable[[str], list[dict[str, Any]]]
    ) -> None:
        self._folder, self._pace, self._again = folder, pace, again
        self._downloads: list[Download] = []
        self.total = 0

    @property
    def have(self) -> int:
        """Bytes that are here, of `total`."""
        return sum(each.have for each in self._downloads)

    def pull(self, files: list[dict[str, Any]]) -> dict[str, str]:
        """Gets the files; returns those that are not to be had, by address, each with the reason."""
        self.total = sum(int(file["size"]) for file in files)
        with ThreadPoolExecutor(int(self._pace["files"])) as pool:
            whys = list(pool.map(self._one, files))
        return {str(file["uri"]): why for file, why in zip(files, whys) if why}  # noqa: B905 (newer than 3.8)

    def _one(self, file: dict[str, Any]) -> str:
        try:
            download = Download(file, self._folder, self._pace)
        except Unfit as error:
            return str(error)
        self._downloads.append(download)
        if download.there():
            download.have = download.size
            return ""
        whys: list[str] = []
        for source in file["sources"]:
            why = self._from(download, file, source)
            if not why:
                return ""
            whys.append(f"{source['tier']} {why}")
        return "; ".join(whys) or "there is no source of it"

    def _from(self, download: Download, file: dict[str, Any], source: dict[str, Any]) -> str:
        """Gets it from this source, by a new URL where one has run out; empty, or why not."""
        for _ in range(RENEWALS):
            have = download.have
            try:
                download.get(source)
                return ""
            except Expired as error:
                why = str(error)
                fresh = [each for each in self._again(str(file["uri"])) if each["tier"] == source["tier"]]
                if not fresh or (download.have <= have and fresh[0]["url"] == source["url"]):
                    return why
                source = fresh[0]
            except (Unfit, Cut, OSError) as error:
                return str(error) or type(error).__name__
        return "refuses every new URL"
