"""A chat completion is a turn like any other: accepted, followed to its end, told in OpenAI's words."""

import hashlib
import re
import time

import msgspec
from fastapi import Request, Response
from msgspec.structs import replace

from activities.contracts.policy import Bounds
from activities.contracts.topology import Topology
from activities.contracts.turn import TurnStatus
from api.asking import TurnRequest
from api.openai_compat.errors import CLIENT_GONE, TURN_ID_HEADER, CompatError, compat_error, turn_error
from api.openai_compat.messages import to_messages
from api.openai_compat.reading import decode, invalid
from api.openai_compat.requests import ChatRequest, refuse_unsupported, to_sampling
from api.openai_compat.stream import ChatStream
from api.openai_compat.transcript import Transcript
from api.openai_compat.waiting import ClientGone, Leave, ended, leaving, no_answer
from api.openai_compat.wire import Chunks, completion
from api.served import served_headers
from api.state import State
from infra.postgres.keys import Caller
from workflows.policy.models import ladder_for, model_names

IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")

_chat_request = msgspec.json.Decoder(ChatRequest)


async def complete(request: Request, state: State, caller: Caller) -> Response:
    """Accepts the turn and answers with its completion, whole or streamed."""
    chat = decode(_chat_request, await request.body())
    key = request.headers.get("idempotency-key")
    turn = to_turn(chat, state.topology, key)
    created = int(time.time())
    turn_id = (await state.turns.accept(caller, turn)).turn_id
    leave = leaving(state.turns, caller, turn_id, may_return=key is not None)
    try:
        if not chat.stream:
            return await _whole(request, state, caller, turn_id, leave=leave, created=created)
        include_usage = bool(chat.stream_options and chat.stream_options.include_usage)
        chunks = Chunks(turn_id, created, chat.model, include_usage=include_usage)
        batches = await state.turns.batches(caller, turn_id, None)
        assert batches is not None, "only a stream that is resumed at its end has nothing to say"
        return ChatStream(turn_id, batches, Transcript(chunks), leave, {TURN_ID_HEADER: turn_id})
    except CompatError:
        raise
    except Exception as error:
        await leave()
        raise compat_error(error).of_turn(turn_id) from error


def to_turn(chat: ChatRequest, topology: Topology, idempotency_key: str | None = None) -> TurnRequest:
    """The request as a turn. Raises `CompatError` for what cannot be one."""
    refuse_unsupported(chat)
    if idempotency_key is not None and not IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise invalid(
            "Idempotency-Key", "The header Idempotency-Key must be 1 to 255 visible ASCII characters."
        )
    if ladder_for(topology, chat.model) is None:
        raise unknown_model(chat.model, model_names(topology))
    conversation_id = chat.aither.conversation_id if chat.aither else None
    return TurnRequest(
        messages=to_messages(chat.messages, continued=conversation_id is not None),
        sampling=to_sampling(chat),
        model=chat.model,
        conversation_id=conversation_id,
        keep_conversation=conversation_id is not None,
        effort=chat.effort,
        agent=chat.aither.agent if chat.aither else None,
        bounds=chat.aither.policy.bounds() if chat.aither and chat.aither.policy else Bounds(),
        priority=chat.aither.priority if chat.aither else None,
        metadata=chat.metadata or {},
        idempotency_key=idempotency_key,
        body_sha256=_digest(chat) if idempotency_key is not None else None,
    )


def unknown_model(model: str, known: tuple[str, ...]) -> CompatError:
    """No such model; says which there are."""
    message = f"The model '{model}' does not exist. There are: {', '.join(known)}."
    return CompatError(404, message, code="model_not_found", param="model")


def _digest(chat: ChatRequest) -> bytes:
    """Equal for requests that ask the same, however they want to be told."""
    asked = replace(chat, stream=None, stream_options=None)
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).digest()


async def _whole(
    request: Request, state: State, caller: Caller, turn_id: str, *, leave: Leave, created: int
) -> Response:
    seconds = state.settings.max_wait_seconds
    headers = {TURN_ID_HEADER: turn_id}
    try:
        view = await ended(state.turns.wait(caller, turn_id, seconds), request.receive)
    except ClientGone:
        await leave()
        return Response(status_code=CLIENT_GONE, headers=headers)
    if view is None:
        # What stands after a cancel may be the answer after all, come at the last moment.
        view = await leave()
        if view is None or view["status"] != TurnStatus.COMPLETED:
            raise no_answer(turn_id, seconds, closing=state.closing.is_set())
    if view["status"] != TurnStatus.COMPLETED or view["answer"] is None:
        raise turn_error(view)
    headers |= served_headers(view)
    return Response(completion(view, created), headers=headers, media_type="application/json")
