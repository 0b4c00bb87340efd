"""How the processes log: as text, or as one JSON object a line with the ids of what the line is about.

JSON lines hold no text of a conversation. Of an exception they tell its class and where it came from; its message
only where its class is known to quote nobody. Local variables are never told.
"""

import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

import orjson
from temporalio import activity, workflow
from temporalio.service import RPCError

from activities.errors import AitherError, BackendError
from infra.ids import is_id
from infra.settings import Settings
from infra.telemetry.redaction import Redaction, known_secrets
from infra.telemetry.subject import subject
from infra.telemetry.trace_ids import trace_id_of

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
QUIET = {"httpx2": logging.WARNING, "asyncio": logging.INFO, "urllib3": logging.WARNING}
"""A line for every call, without the turn it belongs to, tells nobody anything."""
NOT_BELOW_INFO = (
    "openai",
    "anthropic",
    "httpx2",
    "httpcore",
    "httpcore2",
    "aiohttp",
    "redis",
    "asyncpg",
    "qdrant_client",
    "temporalio.worker",
)
"""At DEBUG these tell what they send, prompts (or what of them a trace in Temporal may show) and all."""
MOST_FRAMES = 40
QUOTES_NOBODY = (AitherError, OSError, RPCError, ImportError, AttributeError, NameError)

_WORKFLOWS = {"turn/": "turn_id", "swarm/": "job_id"}

Ids = Callable[[], tuple[str, str] | None]


@dataclass(slots=True)
class Tracing:
    """Where a line's trace and span come from; nowhere while nobody traces."""

    ids: Ids | None = None


tracing = Tracing()


def log_to_stderr(settings: Settings, *, service: str, fleets: tuple[str, ...] = (), build: str = "") -> None:
    """Sets up logging for the whole process, as the settings want it."""
    redaction = Redaction(known_secrets(settings))
    handler = logging.StreamHandler(sys.stderr)
    if settings.log_format == "json":
        told = {"service": service, "fleets": list(fleets), "build": build}
        handler.setFormatter(JsonLines({name: value for name, value in told.items() if value}, redaction))
        logging.captureWarnings(True)
        sys.excepthook = _log_the_end
    else:
        handler.setFormatter(TextLines(TEXT, redaction))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    quiet = dict.fromkeys(NOT_BELOW_INFO, logging.INFO) | QUIET
    for name, level in quiet.items():
        logging.getLogger(name).setLevel(max(level, logging.getLogger().level))


class TextLines(logging.Formatter):
    """Lines for a person, without secrets."""

    def __init__(self, form: str, redaction: Redaction) -> None:
        super().__init__(form)
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return self._redaction(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, told: Mapping[str, object], redaction: Redaction) -> None:
        super().__init__()
        self._told = told
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`. Never raises for what it is to tell of."""
        message = self._redaction(_said(record))
        line: dict[str, object] = {
            "ts": _instant(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
            **_ids(record, message),
            **self._told,
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error_type"] = _name(record.exc_info[1])
            line["exc_info"] = self._redaction(told_of(record.exc_info[1]))
        if record.stack_info:
            line["stack_info"] = self._redaction(record.stack_info)
        return orjson.dumps(line, default=str).decode()


def _said(record: logging.LogRecord) -> str:
    """The message, as a text that JSON can carry; without its arguments where they do not fit."""
    try:
        message = record.getMessage()
    except (TypeError, ValueError, KeyError):
        message = str(record.msg)
    return message.encode("utf-8", "replace").decode()


def told_of(error: BaseException) -> str:
    """The exception and what caused it, as a traceback without messages that may quote somebody."""
    parts: list[str] = []
    seen: set[int] = set()
    next_one: BaseException | None = error
    while next_one is not None and id(next_one) not in seen:
        seen.add(id(next_one))
        frames = "".join(traceback.format_tb(next_one.__traceback__, limit=-MOST_FRAMES))
        parts.append(f"{frames}{_name(next_one)}{_message(next_one)}")
        hidden = next_one.__suppress_context__
        next_one = next_one.__cause__ or (None if hidden else next_one.__context__)
    return "\ncaused by\n".join(parts)


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    if isinstance(error, BackendError):
        # In the vendor's words, which may be the prompt's.
        return f" ({error.code})"
    return f": {error}" if isinstance(error, QUOTES_NOBODY) else ""


def _ids(record: logging.LogRecord, message: str) -> dict[str, object]:
    """What the line is about: by the activity or workflow that it comes from, the request, or its own words."""
    about = subject()
    found: dict[str, object] = {
        "turn_id": about.turn_id,
        "job_id": about.job_id,
        "tenant": about.tenant_id,
    }
    found.update(_temporal_ids(record))
    found.update(_by_workflow(str(found.get("workflow_id", ""))))
    if not found["turn_id"] and (named := _named(message)):
        found["turn_id"] = named
    if tracing.ids is not None:
        found.update(_trace(tracing.ids(), str(found["turn_id"] or found["job_id"] or "")))
    return {name: value for name, value in found.items() if value}


def _trace(ids: tuple[str, str] | None, key: str) -> dict[str, str]:
    """The span of here; outside of any, the trace that the turn's (or job's) own id names."""
    if ids is not None:
        return {"trace_id": ids[0], "span_id": ids[1]}
    return {"trace_id": trace_id_of(key)} if is_id(key.partition("_")[0], key) else {}


def _temporal_ids(record: logging.LogRecord) -> dict[str, object]:
    if activity.in_activity():
        info = activity.info()
        return {
            "workflow_id": info.workflow_id,
            "run_id": info.workflow_run_id,
            "activity": info.activity_type,
            "attempt": info.attempt,
        }
    if workflow.in_workflow():
        info = workflow.info()
        return {"workflow_id": info.workflow_id, "run_id": info.run_id, "attempt": info.attempt}
    extra: object = getattr(record, "temporal_activity", None) or getattr(record, "temporal_workflow", None)
    if not isinstance(extra, dict):
        return {}
    told = cast("dict[str, Any]", extra)
    return {
        "workflow_id": told.get("workflow_id"),
        "run_id": told.get("workflow_run_id") or told.get("run_id"),
        "activity": told.get("activity_type"),
        "attempt": told.get("attempt"),
    }


def _by_workflow(workflow_id: str) -> dict[str, str]:
    for prefix, field in _WORKFLOWS.items():
        if workflow_id.startswith(prefix):
            return {field: workflow_id[len(prefix) :].split("/", 1)[0]}
    return {}


def _named(message: str) -> str:
    at = message.find("turn_")
    named = message[at : at + 31] if at >= 0 else ""
    return named if is_id("turn", named) else ""


def _instant(seconds: float) -> str:
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((seconds - whole) * 1000):03d}Z"


def _log_the_end(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """What nobody caught, in the form of every other line."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("process").critical("the process ends: nobody caught this", exc_info=(kind, error, at))
