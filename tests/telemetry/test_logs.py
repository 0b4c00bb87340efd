"""Logs: JSON lines that name the turn, and hold neither what was said nor any key."""

import logging
import subprocess
import sys
from collections.abc import Callable

import orjson
import pytest
from pydantic import SecretStr

from activities.errors import BackendRejected, StoreUnavailable
from infra.ids import new_id
from infra.settings import Settings
from infra.telemetry.logs import JsonLines, TextLines, told_of
from infra.telemetry.redaction import HIDDEN, Redaction, known_secrets
from infra.telemetry.subject import about
from infra.telemetry.trace_ids import trace_id_of
from tests.support.standin import Fault, Reply
from tests.telemetry.installed import BOT, CLOUD_KEY, PROMPT, Installed

SECRETS = {
    "a key of ours": "ak_0123456789abcdefghijKLMNOPQRSTUVWXYZ-_0123",
    "OpenAI's": "sk-proj-abcdefgh12345678",
    "Google's": "AIzaSyA1234567890abcdefghij",
    "a bot's": BOT,
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.SflKxwRJSMeKKF2QT4fwpM",
    "an address with a password": "postgresql://aither_app:hunter2@db:5432/aither",
    "a header": "Authorization: Bearer abcdef123456",
    "a signed link": "https://s3/models/x?X-Amz-Signature=0123456789abcdef&n=1",
}


def line_of(formatter: logging.Formatter, message: str, *, error: BaseException | None = None) -> str:
    record = logging.LogRecord("there", logging.WARNING, __file__, 1, message, None, None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return formatter.format(record)


def raised(error: Callable[[], BaseException], cause: BaseException | None = None) -> BaseException:
    secret_local = PROMPT
    try:
        assert secret_local
        raise error() from cause
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("name", SECRETS)
def test_what_looks_like_a_secret_is_in_no_line(name: str) -> None:
    secret = SECRETS[name]
    for formatter in (JsonLines({}, Redaction()), TextLines("%(message)s", Redaction())):
        line = line_of(formatter, f"it was {secret} that failed")
        assert HIDDEN in line and "that failed" in line
        for part in ("0123456789abcdef", "hunter2", "abcdef123456", "AAcanary", "SflKxw", "abcdefgh"):
            assert part not in line or part not in secret


def test_innocent_words_stay() -> None:
    line = (
        "turn turn_01k5h6v9c2m8r4t0x3z7q5w1ne: 17 tokens=4, http://127.0.0.1:8199/v1, task-runner, ak_short"
    )
    assert Redaction()(line) == line


def test_every_secret_of_the_settings_and_the_environment_is_known_by_its_value() -> None:
    settings = Settings.model_validate(
        {
            "database_url": "postgresql://app:plain-as-day@h/db",
            "burst_master_key": "k" * 32,
            "telegram_token": SecretStr("whatever-it-is"),
        }
    )
    known = known_secrets(settings, {"DEEPSEEK_API_KEY": "no-shape-at-all", "HOME": "/home/somebody"})
    assert {"plain-as-day", "k" * 32, "whatever-it-is", "no-shape-at-all"} <= known
    assert "/home/somebody" not in known
    assert Redaction(known)("it said no-shape-at-all, plain-as-day") == f"it said {HIDDEN}, {HIDDEN}"


def test_of_an_exception_a_line_tells_the_class_and_the_place_and_no_words_that_may_be_a_prompts() -> None:
    cause = raised(lambda: ValueError(f"could not convert {PROMPT}"))
    told = told_of(raised(lambda: RuntimeError(PROMPT), cause))
    assert PROMPT not in told and "secret_local = " not in told.replace("secret_local = PROMPT", "")
    assert "ValueError" in told and "RuntimeError" in told and "caused by" in told and __file__ in told
    rejected = told_of(raised(lambda: BackendRejected(f"front answered 400: {PROMPT}")))
    assert PROMPT not in rejected and "backend_rejected" in rejected
    assert "the database is away" in told_of(raised(lambda: StoreUnavailable("the database is away")))
    line = orjson.loads(line_of(JsonLines({}, Redaction()), "failed", error=raised(lambda: KeyError(PROMPT))))
    assert line["error_type"] == "KeyError" and PROMPT not in line["exc_info"]


def test_a_line_names_the_turn_that_it_is_about() -> None:
    turn, other = new_id("turn"), new_id("turn")
    formatter = JsonLines({"service": "aither-api"}, Redaction())
    assert orjson.loads(line_of(formatter, f"turn {turn} is left to the sweep"))["turn_id"] == turn
    about(turn_id=turn, tenant_id="acme")
    line = orjson.loads(line_of(formatter, f"not {other}"))
    assert (line["turn_id"], line["tenant"], line["service"]) == (turn, "acme", "aither-api")
    about()


def test_a_line_that_is_strange_is_a_line_all_the_same() -> None:
    formatter = JsonLines({}, Redaction())
    for message in ("two\nlines", 'a "quote"', "\ud800 half a pair", "\x00\x1b[31m"):
        line = line_of(formatter, message)
        assert "\n" not in line
        orjson.loads(line)


async def test_turns_that_succeed_fail_and_are_cancelled_leave_no_word_of_theirs_in_the_logs(
    installed: Installed,
) -> None:
    """At the level debug, API and worker. Every line is a JSON object, and those of a turn name it and its trace."""
    front = installed.front
    answered = await installed.ask(effort=3)
    front.script(Reply(status=400, error=f"no: {PROMPT} {CLOUD_KEY}"))
    async with installed.client() as client:
        body = {"input": f"{PROMPT} again", "effort": 3}
        failed = (await client.post("/v1/turns", json=body, headers={"Prefer": "wait=30"})).json()
        front.script(Reply(fault=Fault.SILENCE))
        before = front.total
        begun = (await client.post("/v1/turns", json=body)).json()
        await front.arrived(before + 1, within_s=30)
        assert (await client.post(f"/v1/turns/{begun['id']}/cancel")).status_code == 200
        wrong = await client.post("/v1/turns", json={"input": {"oops": PROMPT}})
        assert wrong.status_code == 422
        await client.get(f"/v1/{PROMPT}")
        await client.get("/v1/turns", headers={"Authorization": f"Bearer {installed.key}x"})
    assert (answered["status"], failed["status"]) == ("completed", "failed")
    lines = [*installed.api.lines, *installed.worker.lines]
    for canary in installed.canaries:
        for process in (installed.api, installed.worker):
            assert canary not in process.log
    for line in lines:
        assert line.keys() >= {"ts", "level", "logger", "message", "service", "build"}
    for turn in (answered["id"], failed["id"], begun["id"]):
        of_turn = [line for line in lines if turn in orjson.dumps(line).decode()]
        assert of_turn
        assert all(line.get("turn_id") == turn for line in of_turn)
        assert {line["trace_id"] for line in of_turn if "trace_id" in line} == {trace_id_of(turn)}
        assert all("attempt" in line for line in of_turn if line.get("activity"))


def test_nothing_of_opentelemetrys_sdk_is_imported_while_it_is_off() -> None:
    """FastAPI and redis import some of OpenTelemetry by themselves; nobody what traces, or sends."""
    program = (
        "import sys, workers.main, api.server, infra.temporal\n"
        "from infra.settings import Settings\n"
        "from infra.telemetry.process import telemetry\n"
        "from infra.telemetry.tracing import temporal_plugins, traced\n"
        "with telemetry(Settings(config_file=None), service='aither-worker'):\n"
        "    assert temporal_plugins(Settings(config_file=None)) == []\n"
        "    transport = object()\n"
        "    assert traced(transport, tells=True) is transport\n"
        "heavy = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'infra.telemetry.trace_')\n"
        "found = [m for m in sys.modules if m.startswith(heavy) and m != 'infra.telemetry.trace_ids']\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
