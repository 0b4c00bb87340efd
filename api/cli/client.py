"""How a command reaches the API: where it is, with which key, and what its failures mean to a script."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Self
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    import httpx2

CREDENTIALS = "credentials.json"
CONNECT_S = 5.0
SILENCE_S = 40.0
"""A stream says something every 15 seconds; one that is silent for longer has been cut."""
PAUSE_S = 0.3


class ExitCode(IntEnum):
    """What a script can tell from a command's end."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORISED = 4
    TIMED_OUT = 5
    INTERRUPTED = 130


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where `aither up` keeps its data, and the key it made.",
        show_default=".aither",
        envvar="AITHER_DATA_DIR",
    ),
]
ApiUrl = Annotated[
    str | None,
    typer.Option("--api-url", help="Address of another API than the local one.", envvar="AITHER_API_URL"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API is, and the key to it."""

    url: str
    key: str


def fail(code: ExitCode, message: str, hint: str | None = None) -> NoReturn:
    """Says why on stderr, and what to do next, and ends the command."""
    red, dim, off = ("\033[31m", "\033[2m", "\033[0m") if coloured(sys.stderr.isatty()) else ("", "", "")
    sys.stderr.write(f"{red}aither: {message}{off}\n")
    if hint:
        sys.stderr.write(f"{dim}{hint}{off}\n")
    raise typer.Exit(int(code))


def coloured(is_terminal: bool) -> bool:
    """Whether colours are welcome."""
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def data_dir(given: Path | None) -> Path:
    """The data directory: the one given, or what the environment or `.env` says."""
    if given is not None:
        return given
    if Path(".env").exists():
        from infra.settings import settings

        return settings().data_dir
    return Path(".aither")


def find(given_url: str | None, given_dir: Path | None) -> Access:
    """Address and key: given, from the environment, or what `aither up` wrote down."""
    key = os.environ.get("AITHER_API_KEY")
    folder = data_dir(given_dir)
    known: dict[str, Any] = {}
    try:
        known = json.loads((folder / CREDENTIALS).read_bytes())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        fail(ExitCode.USAGE, f"{folder / CREDENTIALS} cannot be read: {error}")
    url = given_url or known.get("api_url")
    key = key or known.get("api_key")
    if not url:
        fail(
            ExitCode.UNREACHABLE,
            f"no running Aither is known here ({folder}/{CREDENTIALS} is missing)",
            "start it with `aither up`, or set AITHER_API_URL and AITHER_API_KEY",
        )
    if not key:
        fail(
            ExitCode.UNAUTHORISED,
            "there is no API key",
            "set AITHER_API_KEY; `aither key create NAME` makes one",
        )
    return Access(url.rstrip("/"), key)


ENDS = {f"{what}.{how}" for what in ("turn", "job") for how in ("completed", "failed", "cancelled")}


class Client:
    """The API over HTTP. Every method ends the command by `fail` where it cannot do what it is for."""

    def __init__(self, access: Access) -> None:
        import httpx2

        self._access = access
        self._broken = (httpx2.TransportError,)
        self._http = httpx2.Client(
            base_url=access.url,
            headers={"Authorization": f"Bearer {access.key}"},
            timeout=self._timeout(SILENCE_S),
        )

    @staticmethod
    def _timeout(silence_s: float) -> httpx2.Timeout:
        import httpx2

        return httpx2.Timeout(silence_s, connect=CONNECT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON at `path`."""
        said = {name: value for name, value in parameters.items() if value is not None}
        return self._json("GET", path, params=said)

    def put(self, path: str, body: Any) -> Any:
        """What comes of putting `body` at `path`."""
        return self._json("PUT", path, json=body)

    def post(self, path: str, body: Any) -> Any:
        """What comes of posting `body` to `path`."""
        return self._json("POST", path, json=body)

    def delete(self, path: str, **parameters: Any) -> Any:
        """What comes of deleting what is at `path`; None where that is nothing."""
        said = {name: value for name, value in parameters.items() if value is not None}
        return self._json("DELETE", path, params=said)

    def turn(self, turn_id: str) -> Any:
        """The turn as it stands."""
        return self._json("GET", f"/v1/turns/{quote(turn_id, safe='')}")

    def cancel(self, turn_id: str) -> Any:
        """The turn after it was asked to stop."""
        return self._json("POST", f"/v1/turns/{quote(turn_id, safe='')}/cancel")

    def ask(self, body: dict[str, Any], deadline: float) -> Any:
        """The accepted turn. A reply that is lost is asked for again, and finds the same turn."""
        return self.post_once("/v1/turns", body, str(uuid.uuid4()), deadline)

    def post_once(self, path: str, body: dict[str, Any], key: str, deadline: float | None = None) -> Any:
        """What was accepted. A reply that is lost is asked for again, and finds the same by its key."""
        sent, until = False, deadline or time.monotonic() + SILENCE_S
        while True:
            try:
                return self._checked(self._http.post(path, json=body, headers={"Idempotency-Key": key}))
            except self._broken as error:
                import httpx2

                sent = sent or not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
                if not sent or time.monotonic() > until:
                    self._unreachable(error)
            time.sleep(PAUSE_S)

    def follow(self, turn_id: str, deadline: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """The turn's events as (kind, data), to its end, across lost connections; ceases at the deadline."""
        return self.follow_at(f"/v1/turns/{turn_id}/events", deadline)

    def follow_at(self, path: str, deadline: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events at the path, to the end of what they tell of, as `follow` gives a turn's."""
        last = ""
        while (left := deadline - time.monotonic()) > 0:
            headers = {"Last-Event-ID": last} if last else {}
            # A stream that is silent longer than anybody waits is not waited for.
            timeout = self._timeout(min(left, SILENCE_S))
            try:
                with self._http.stream("GET", path, headers=headers, timeout=timeout) as reply:
                    if reply.status_code != 200:
                        reply.read()
                        if reply.status_code < 500:
                            self._checked(reply)
                    else:
                        for event_id, kind, data in _events(reply.iter_lines()):
                            if kind:
                                last = event_id
                                yield kind, data
                            if kind in ENDS:
                                return
                            if time.monotonic() > deadline:
                                return
            except self._broken:
                pass
            time.sleep(PAUSE_S)

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            return self._checked(self._http.request(method, path, **arguments))
        except self._broken as error:
            self._unreachable(error)

    def _checked(self, reply: httpx2.Response) -> Any:
        if reply.is_success:
            return reply.json() if reply.content else None
        try:
            problem: dict[str, Any] = reply.json()
        except ValueError:
            problem = {}
        detail = str(problem.get("detail") or f"{self._access.url} answered {reply.status_code}")
        if reply.status_code == 401:
            fail(ExitCode.UNAUTHORISED, detail)
        fail(ExitCode.UNREACHABLE if reply.status_code >= 500 else ExitCode.USAGE, detail)

    def _unreachable(self, error: Exception) -> NoReturn:
        fail(
            ExitCode.UNREACHABLE,
            f"nothing answers at {self._access.url} ({type(error).__name__})",
            "is it running? `aither status` tells, `aither up` starts it",
        )


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(id, kind, data) of each event that is complete; all empty for a sign of life."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])
            fields = {}
        else:
            yield "", "", {}
