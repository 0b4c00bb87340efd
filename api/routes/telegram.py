"""`/v1/telegram/webhook`: what Telegram itself calls, known by its secret and not by a key."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Request, Response

from api.problems import FieldError, Problem, invalid
from api.state import state_of

router = APIRouter(prefix="/v1/telegram", include_in_schema=False)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"


class _Update(msgspec.Struct):
    update_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


_update = msgspec.json.Decoder(_Update)


@router.post("/webhook")
async def take_update(request: Request, secret: Annotated[str, Header(alias=SECRET_HEADER)] = "") -> Response:
    """Keeps one update and says so; only then does Telegram forget it. The same one again changes nothing."""
    hook = state_of(request).telegram
    if hook is None:
        raise Problem(
            "not_found", "no webhook is configured here: AITHER_TELEGRAM_MODE says how updates come"
        )
    if not hook.knows(secret):
        raise Problem(
            "unauthenticated",
            "this address is Telegram's own",
            FieldError(field=SECRET_HEADER, message="missing or wrong"),
        )
    body = await request.body()
    try:
        update = _update.decode(body)
        text = body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid("update_id", "an update of the Bot API, with its number, is wanted") from None
    await hook.inbox.keep([(update.update_id, text)])
    return Response(status_code=200)
