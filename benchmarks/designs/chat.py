"""The activities: read the context, call the backend, record the answer once, tell the waiting client."""

import time

import asyncpg
import msgspec
from redis.asyncio import Redis
from redis.typing import EncodableT, FieldT
from temporalio import activity

from benchmarks.designs.messages import ChatIn, ChatOut
from benchmarks.designs.wire import HttpClient

SCHEMA = """
CREATE TABLE turns (
    turn_id text PRIMARY KEY, tenant_id text NOT NULL, conversation_id text NOT NULL, text text NOT NULL,
    delay_ms int NOT NULL, status text NOT NULL DEFAULT 'running', at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON turns (conversation_id, at);
CREATE TABLE answers (
    turn_id text, step int, text text NOT NULL, model text NOT NULL, tokens int NOT NULL,
    PRIMARY KEY (turn_id, step));
"""

CONTEXT = """
SELECT t.text, t.delay_ms, a.text AS answer, a.model, a.tokens,
       ARRAY(SELECT p.text FROM turns p WHERE p.conversation_id = t.conversation_id AND p.turn_id <> t.turn_id
             ORDER BY p.at DESC LIMIT 50) AS before
FROM turns t LEFT JOIN answers a ON a.turn_id = t.turn_id AND a.step = $2
WHERE t.turn_id = $1 AND t.tenant_id = $3
"""

RECORD = """
WITH first AS (INSERT INTO answers VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING turn_id)
UPDATE turns SET status = 'answered' WHERE turn_id IN (SELECT turn_id FROM first)
"""


class Answer(msgspec.Struct):
    """The backend's reply."""

    text: str
    model: str
    tokens: int


class ChatActivities:
    """`chat` is the gated one; `estimate` stands for a small ungated step."""

    def __init__(self, pool: asyncpg.Pool, redis: Redis, backend: HttpClient) -> None:
        self._pool = pool
        self._redis = redis
        self._backend = backend

    @activity.defn(name="estimate")
    async def estimate(self, turn_id: str) -> int:
        return int(await self._pool.fetchval("SELECT length(text) FROM turns WHERE turn_id = $1", turn_id))

    @activity.defn(name="chat")
    async def chat(self, ask: ChatIn) -> ChatOut:
        marks = [time.time()]
        row = await self._pool.fetchrow(CONTEXT, ask.turn_id, ask.step, ask.tenant_id)
        marks.append(time.time())
        if row is None:
            raise LookupError(ask.turn_id)
        if row["answer"] is None:
            body = msgspec.json.encode({"messages": [*row["before"], row["text"]]})
            answer = msgspec.json.decode(await self._backend.post(f"/{row['delay_ms']}", body), type=Answer)
            marks.append(time.time())
            await self._pool.execute(RECORD, ask.turn_id, ask.step, answer.text, answer.model, answer.tokens)
        else:
            answer = Answer(text=row["answer"], model=row["model"], tokens=row["tokens"])
        marks.append(time.time())
        end: dict[FieldT, EncodableT] = {
            "turn_id": ask.turn_id,
            "text": answer.text,
            "marks": msgspec.json.encode(marks),
        }
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(ask.reply_to, end, maxlen=1000, approximate=True)
            pipe.expire(ask.reply_to, 600)
            await pipe.execute()
        return ChatOut(preview=answer.text[:80], tokens=answer.tokens, model=answer.model)
