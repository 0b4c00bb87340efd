"""Turns and answers in PostgreSQL. Every hot call is one round trip to a function of `infra/sql`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import orjson

from activities.contracts.agents import AgentTexts
from activities.contracts.chat import Message, Role, Sampling, ToolCall
from activities.contracts.policy import Bounds, Estimate, Intent
from activities.contracts.records import Answer, CallCost, DueTurn, Recorded, TurnContext, TurnStart
from activities.contracts.turn import Hop, TurnEnding, TurnStatus
from activities.errors import TurnNotFound
from activities.ports import FREE
from infra.postgres.database import Connection, Database

PATIENCE_S = 5.0
"""How long a call waits for a PostgreSQL that restarts before it reports `StoreUnavailable`."""


class AcceptOutcome(StrEnum):
    """What accepting a turn came to."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    CONFLICT = "conflict"
    NO_CONVERSATION = "no_conversation"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTurn:
    """A validated turn on its way into the database.

    `conversation_id` with `new_conversation` makes the conversation; without it the conversation must
    exist; None keeps the turn out of any. `policy` is the whole of what the turn may do. `input` and `sampling`
    are JSON texts of tuple[Message] and Sampling, `metadata` of an object. `request_sha256` identifies the
    request's body for its idempotency key.
    """

    tenant_id: str
    turn_id: str
    conversation_id: str | None
    new_conversation: bool
    model: str
    effort: int
    effort_why: str
    intent: str
    intent_why: str
    priority: int
    agent: str | None
    agent_version: int | None
    policy: Bounds
    prompt_tokens: int
    answer_tokens: int
    input: bytes
    sampling: bytes
    metadata: bytes
    key_id: str
    idempotency_key: str | None = None
    request_sha256: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The turn that stands for the request, and its status when it was accepted."""

    outcome: AcceptOutcome
    turn_id: str = ""
    status: TurnStatus = TurnStatus.QUEUED


class _Turn(msgspec.Struct, frozen=True):
    input: tuple[Message, ...]
    text: str
    tool_calls: tuple[ToolCall, ...]


class _ContextRow(msgspec.Struct, frozen=True):
    status: TurnStatus
    input: tuple[Message, ...]
    sampling: Sampling
    agent: AgentTexts | None
    answer: Answer | None
    earlier: tuple[Answer, ...]
    history: tuple[_Turn, ...]


_context_row = msgspec.json.Decoder(_ContextRow)
_recorded = msgspec.json.Decoder(Recorded)
_bounds = msgspec.json.Decoder(Bounds)


class PostgresTurns:
    """Implements `activities.ports.TurnStore`, and what the API needs of turns beside it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # --- what the activities need

    async def context(
        self, tenant_id: str, turn_id: str, step: int, history_bytes: int, earlier: Sequence[int] = ()
    ) -> TurnContext:
        """See `TurnStore`."""
        raw = await self._value(
            "select aither.turn_context($1, $2, $3, $4, $5)",
            tenant_id,
            turn_id,
            step,
            history_bytes,
            list(earlier),
        )
        if raw is None:
            raise TurnNotFound(f"there is no turn {turn_id}")
        row = _context_row.decode(raw)
        history: list[Message] = []
        for turn in row.history:
            history.extend(turn.input)
            history.append(Message(role=Role.ASSISTANT, content=turn.text, tool_calls=turn.tool_calls))
        return TurnContext(
            status=row.status,
            input=row.input,
            history=tuple(history),
            sampling=row.sampling,
            agent=row.agent,
            answer=row.answer,
            earlier={answer.step: answer for answer in row.earlier},
        )

    async def record_answer(
        self,
        tenant_id: str,
        turn_id: str,
        answer: Answer,
        route: Sequence[Hop],
        *,
        final: bool,
        cost: CallCost = FREE,
    ) -> Recorded:
        """See `TurnStore`."""
        usage = answer.usage
        return await self._record(
            "select aither.record_answer($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19)",
            tenant_id,
            turn_id,
            answer.step,
            storable(answer.text),
            answer.finish_reason.value,
            _json(answer.tool_calls) if answer.tool_calls else None,
            storable(answer.reasoning),
            _json(answer.logprobs) if answer.logprobs else None,
            answer.backend,
            storable(answer.model),
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
            cost.local,
            cost.nano_usd,
            cost.reference_nano_usd,
            _json(route),
            final,
        )

    async def record_partial(self, tenant_id: str, turn_id: str, partial: Answer) -> None:
        """See `TurnStore`."""
        await self._db.in_tenant(
            tenant_id,
            lambda c: c.execute(
                "insert into aither.partials (tenant_id, turn_id, step, text, backend, model)"
                " values ($1,$2,$3,$4,$5,$6) on conflict (tenant_id, turn_id, step)"
                " do update set text = excluded.text, backend = excluded.backend, model = excluded.model",
                tenant_id,
                turn_id,
                partial.step,
                storable(partial.text),
                partial.backend,
                storable(partial.model),
            ),
            patience=PATIENCE_S,
        )

    async def record_estimate(self, tenant_id: str, turn_id: str, estimate: Estimate) -> None:
        """See `activities.routing.RouterStore`."""
        await self._db.in_tenant(
            tenant_id,
            lambda c: c.execute(
                "update aither.turns set effort = $3, effort_why = $4, intent = $5, intent_why = $6"
                " where tenant_id = $1 and id = $2 and status = 'running'",
                tenant_id,
                turn_id,
                estimate.effort,
                estimate.effort_why,
                estimate.intent.value,
                estimate.intent_why,
            ),
            patience=PATIENCE_S,
        )

    async def end_turn(self, ending: TurnEnding) -> Recorded:
        """See `TurnStore`."""
        return await self._record(
            "select aither.end_turn($1,$2,$3,$4,$5,$6)",
            ending.tenant_id,
            ending.turn_id,
            ending.status.value,
            ending.answer_step,
            _json(ending.route),
            _json(ending.error) if ending.error else None,
        )

    async def due_turns(self, limit: int) -> Sequence[DueTurn]:
        """See `TurnStore`."""
        rows = await self._db.run(
            lambda c: c.fetch("select tenant_id, turn_id from aither.due_turns($1)", limit),
            patience=PATIENCE_S,
        )
        return [DueTurn(tenant_id=row["tenant_id"], turn_id=row["turn_id"]) for row in rows]

    # --- what the API needs

    async def accept(self, turn: NewTurn) -> Accepted:
        """Stores the turn, or finds the one that the same idempotency key stored before."""
        row = await self._db.run(
            lambda c: c.fetchrow(
                "select outcome, turn_id, status from aither.accept_turn("
                "$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21)",
                turn.tenant_id,
                turn.turn_id,
                turn.conversation_id,
                turn.new_conversation,
                turn.model,
                turn.effort,
                turn.effort_why,
                turn.intent,
                turn.intent_why,
                turn.priority,
                turn.agent,
                turn.agent_version,
                _json(turn.policy),
                turn.prompt_tokens,
                turn.answer_tokens,
                turn.input.decode(),
                turn.sampling.decode(),
                turn.metadata.decode(),
                turn.key_id,
                turn.idempotency_key,
                turn.request_sha256,
            ),
            patience=PATIENCE_S,
        )
        if row is None or row["outcome"] in {AcceptOutcome.NO_CONVERSATION, AcceptOutcome.CONFLICT}:
            return Accepted(outcome=AcceptOutcome(row["outcome"]) if row else AcceptOutcome.CONFLICT)
        return Accepted(
            outcome=AcceptOutcome(row["outcome"]),
            turn_id=row["turn_id"],
            status=TurnStatus(row["status"]),
        )

    async def view(self, tenant_id: str, turn_id: str) -> dict[str, Any] | None:
        """The turn as `GET /v1/turns/{id}` shows it, with its `input`; None where there is none."""

        async def query(connection: Connection) -> dict[str, Any] | None:
            row = await connection.fetchrow(
                "select aither.turn_view(t) as turn, t.input from aither.turns t"
                " where t.tenant_id = $1 and t.id = $2",
                tenant_id,
                turn_id,
            )
            return {**orjson.loads(row["turn"]), "input": orjson.loads(row["input"])} if row else None

        return await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)

    async def page(
        self,
        tenant_id: str,
        *,
        before: str | None,
        limit: int,
        status: TurnStatus | None = None,
        conversation_id: str | None = None,
        job_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """Up to `limit` turns with ids below `before`, newest first, without their inputs.

        Those of jobs are left out, unless the job is named.
        """

        async def query(connection: Connection) -> list[dict[str, Any]]:
            rows = await connection.fetch(
                "select aither.turn_view(t) as turn from aither.turns t where t.tenant_id = $1"
                " and ($2::text is null or t.id < $2) and ($3::text is null or t.status = $3)"
                " and ($4::text is null or t.conversation_id = $4) and t.job_id is not distinct from $6"
                " order by t.id desc limit $5",
                tenant_id,
                before,
                status.value if status else None,
                conversation_id,
                limit,
                job_id,
            )
            return [orjson.loads(row["turn"]) for row in rows]

        return await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)

    async def start_of(self, tenant_id: str, turn_id: str, preview_chars: int) -> TurnStart:
        """What starting the turn's workflow needs. Raises `TurnNotFound`."""

        async def query(connection: Connection) -> TurnStart | None:
            row = await connection.fetchrow(
                "select t.status, t.model, t.effort, t.effort_why, t.intent, t.intent_why, t.priority, t.policy,"
                " t.prompt_tokens, t.answer_tokens, t.input, o.fairness_weight"
                " from aither.turns t join aither.tenants o on o.id = t.tenant_id"
                " where t.tenant_id = $1 and t.id = $2",
                tenant_id,
                turn_id,
            )
            if row is None:
                return None
            last = orjson.loads(row["input"])[-1].get("content") or ""
            return TurnStart(
                status=TurnStatus(row["status"]),
                model=row["model"],
                effort=row["effort"],
                effort_why=row["effort_why"],
                intent=row["intent"] or Intent.QUESTION,
                intent_why=row["intent_why"] or "",
                priority=row["priority"],
                policy=_bounds.decode(row["policy"]),
                prompt_tokens=row["prompt_tokens"],
                answer_tokens=row["answer_tokens"],
                preview=last[:preview_chars],
                fairness_weight=row["fairness_weight"],
            )

        start = await self._db.in_tenant(tenant_id, query, patience=PATIENCE_S)
        if start is None:
            raise TurnNotFound(f"there is no turn {turn_id}")
        return start

    # --- plumbing

    async def _value(self, sql: str, *parameters: object) -> str | None:
        return await self._db.run(lambda c: c.fetchval(sql, *parameters), patience=PATIENCE_S)

    async def _record(self, sql: str, *parameters: object) -> Recorded:
        raw = await self._value(sql, *parameters)
        if raw is None:
            raise TurnNotFound(f"there is no turn {parameters[1]}")
        return _recorded.decode(raw)


def storable(text: str) -> str:
    """The text without what PostgreSQL's `text` cannot hold: NUL, and halves of surrogate pairs."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
