"""What PostgreSQL has of a turn, read past the API and past row-level security."""

from typing import Any

import asyncpg

from tests.support.stack import Stack


async def _rows(stack: Stack, sql: str, *parameters: object) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(stack.admin_dsn)
    try:
        return [dict(row) for row in await connection.fetch(sql, *parameters)]
    finally:
        await connection.close()


async def answers(stack: Stack, turn_id: str) -> list[dict[str, Any]]:
    """The turn's recorded answers, by step."""
    return await _rows(stack, "select * from aither.answers where turn_id = $1 order by step", turn_id)


async def settled(stack: Stack, turn_id: str) -> list[int]:
    """The steps that were booked as paid for, each as often as it was."""
    sql = "select step from aither.spend where turn_id = $1 and kind = 'settled' order by step"
    return [row["step"] for row in await _rows(stack, sql, turn_id)]


async def status(stack: Stack, turn_id: str) -> str:
    found = await _rows(stack, "select status from aither.turns where id = $1", turn_id)
    return found[0]["status"]


async def stored(stack: Stack, word: str) -> list[str]:
    """The ids of the turns whose question holds the word."""
    sql = "select id from aither.turns where position($1 in input::text) > 0 order by id"
    return [row["id"] for row in await _rows(stack, sql, word)]


async def in_order(stack: Stack, conversation_id: str) -> list[str]:
    """The ids of the conversation's turns, in the order in which they were accepted."""
    sql = "select id from aither.turns where conversation_id = $1 order by seq"
    return [row["id"] for row in await _rows(stack, sql, conversation_id)]


async def grow_old(stack: Stack, turn_id: str) -> None:
    """Makes the turn old enough for the sweep, which leaves new ones to those who are starting them."""
    sql = "update aither.turns set accepted_at = accepted_at - interval '1 minute' where id = $1"
    await _rows(stack, sql, turn_id)
