"""`.env.example` has a line for every variable that there is, and for none that there is not."""

import re
from collections.abc import Iterator

from tests.deploy.files import COMPOSE, DEPLOY, EXAMPLE, ROOT, interpolated, of_settings, services

OTHER_NAMES = {"SWARM_BACKEND", "VAST_API_KEY", "HF_ENDPOINT", "HF_TOKEN"}
"""Understood too: the comment at the line of the usual name says so."""

NOT_AN_INSTALLATIONS = {
    # What our own code tells a process that it starts: a box's agent, an embedded server, the Telegram library.
    "AITHER_BOX",
    "AITHER_FOLDER",
    "CONTAINER_ID",
    "VAST_CONTAINERLABEL",
    "PTB_TIMEDELTA",
    "GOMAXPROCS",
    # The system's and the terminal's.
    "PATH",
    "HOME",
    "TERM",
    "NO_COLOR",
    "PYTHONPYCACHEPREFIX",
    "PYTHONDONTWRITEBYTECODE",
}


def lines() -> list[str]:
    return re.findall(r"^#?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text(), re.MULTILINE)


def read_by_code() -> Iterator[str]:
    """Variables that product code reads by name, past the settings."""
    for package in ("activities", "api", "infra", "workers", "workflows"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            yield from re.findall(r'environ(?:\.get|\.pop|\.setdefault)?[(\[]\s*"([A-Z][A-Z0-9_]+)"', text)
            yield from re.findall(r'getenv\(\s*"([A-Z][A-Z0-9_]+)"', text)
            yield from re.findall(r'envvar="([A-Z][A-Z0-9_]+)"', text)
            if re.search(r"environ(?:\.get|\.pop|\.setdefault)?[(\[]\s*[A-Z]", text):
                yield from re.findall(r'^[A-Z][A-Z_]* = "([A-Z][A-Z0-9]*_[A-Z0-9_]+)"$', text, re.MULTILINE)


def of_compose() -> set[str]:
    wanted = {name for path in COMPOSE for name, _ in interpolated(path.read_text())}
    for path in COMPOSE:
        for one in services(path).values():
            wanted |= {name for name, value in (one.get("environment") or {}).items() if value is None}
    return wanted


def test_every_setting_has_a_line() -> None:
    assert of_settings() - OTHER_NAMES - set(lines()) == set()


def test_what_else_the_code_reads_has_a_line() -> None:
    found = set(read_by_code())
    assert {"AITHER_API_KEY", "AITHER_API_URL", "AITHER_READY_FILE"} <= found, "this test has gone blind"
    assert found - NOT_AN_INSTALLATIONS - OTHER_NAMES - set(lines()) == set()


def test_there_is_no_line_for_what_nobody_reads() -> None:
    keys = set(re.findall(r'api_key_env = "(\w+)"', (DEPLOY / "aither.production.toml").read_text()))
    assert set(lines()) - of_settings() - set(read_by_code()) - of_compose() - keys == set()


def test_no_line_stands_twice_and_none_is_in_force() -> None:
    assert len(lines()) == len(set(lines()))
    assert not re.findall(r"^[A-Z]", EXAMPLE.read_text(), re.MULTILINE)
