"""The Bot API as the library meets it: polling and webhook, taps and messages from people, and its faults.

Requests are form-encoded with nested fields as JSON; updates carry what the library's parser insists on. What a
person sees is in `messages`; `until` waits for it. Updates go out one by one: `getUpdates` confirms by offset,
a webhook gets each as it happens, and again with `deliver` for as long as it does not say 200.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.standin_aiohttp import Place

TOKEN = "4242:AAStandInStandInStandInStandInStandIn"
PATIENCE_S = 60.0
AT = 1_790_000_000
"""Unix seconds at which everything happens here; nobody may depend on Telegram's clock."""


@dataclass(frozen=True)
class Person:
    """Somebody with an account. In a private chat with the bot, the chat's id is theirs."""

    id: int
    name: str

    @property
    def wire(self) -> dict[str, Any]:
        return {"id": self.id, "is_bot": False, "first_name": self.name, "username": self.name.lower()}


@dataclass
class Shown:
    """A message of the bot as it stands. `buttons` are rows of (label, data)."""

    id: int
    chat_id: int
    text: str
    buttons: list[list[tuple[str, str]]]
    reply_to: int | None = None
    earlier: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        return [label for row in self.buttons for label, _ in row]

    def data(self, label: str) -> str:
        return next(data for row in self.buttons for name, data in row if name == label)


class Refusal(Exception):
    """How a call is refused: the HTTP status, and what stands in the reply."""

    def __init__(self, status: int, description: str, retry_after: int | None = None) -> None:
        self.status = status
        self.body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
        if retry_after is not None:
            self.body["parameters"] = {"retry_after": retry_after}


BLOCKED = Refusal(403, "Forbidden: bot was blocked by the user")
BROKEN = Refusal(500, "Internal Server Error")
NOT_EDITABLE = Refusal(400, "Bad Request: message can't be edited")


def flooded(seconds: int) -> Refusal:
    return Refusal(429, f"Too Many Requests: retry after {seconds}", seconds)


class Telegram(Place):
    """One bot's Telegram. `blocked` are chats that want nothing of it."""

    def __init__(self, token: str = TOKEN, port: int = 0) -> None:
        super().__init__(port)
        self.token = token
        self.messages: dict[tuple[int, int], Shown] = {}
        self.toasts: list[tuple[str, str]] = []
        """Answers to taps: the query's id and the text."""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.called_at: list[float] = []
        self.blocked: set[int] = set()
        self.webhook: str | None = None
        self.secret: str | None = None
        self.updates: list[dict[str, Any]] = []
        self.pollers = 0
        self.most_pollers = 0
        self.offset = 0
        self._faults: dict[str, list[tuple[Refusal, int | None]]] = defaultdict(list)
        self._numbers = iter(range(1, 1_000_000))
        self._changed = asyncio.Condition()

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/bot{token}/{method}", self._call)]

    # What a test does -------------------------------------------------------------------------------------

    def fail(self, method: str, *refusals: Refusal, chat: int | None = None) -> None:
        """The next calls of this method (to this chat) are refused so, one each."""
        self._faults[method] += [(refusal, chat) for refusal in refusals]

    async def until(self, seen: Callable[[], Any]) -> Any:
        """Waits until `seen` gives something, looking whenever something has happened here."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            while not (found := seen()):
                await self._changed.wait()
            return found

    def sent_to(self, chat_id: int) -> list[Shown]:
        return [shown for (chat, _), shown in self.messages.items() if chat == chat_id]

    async def card(self, chat_id: int, words: str = "") -> Shown:
        """The newest message with buttons in this chat whose text has these words."""
        return await self.until(
            lambda: next((m for m in reversed(self.sent_to(chat_id)) if m.buttons and words in m.text), None)
        )

    async def tap(self, who: Person, shown: Shown, label: str, **more: Any) -> str:
        """Somebody taps a button; the query's id."""
        return await self.tap_data(who, shown.chat_id, shown.id, shown.data(label), **more)

    async def tap_data(
        self, who: Person, chat_id: int, message_id: int, data: str, *, inaccessible: bool = False
    ) -> str:
        query_id = f"query-{next(self._numbers)}"
        message = {
            "message_id": message_id,
            "date": 0 if inaccessible else AT,
            "chat": self._chat(chat_id, who),
        }
        query = {
            "id": query_id,
            "from": who.wire,
            "chat_instance": f"instance-{chat_id}",
            "data": data,
            "message": message if inaccessible else message | {"text": "card"},
        }
        await self.inject({"callback_query": query})
        return query_id

    async def say(
        self, who: Person, text: str, *, chat_id: int | None = None, reply_to: Shown | None = None
    ) -> int:
        """Somebody writes; the update's id."""
        chat = self._chat(chat_id or who.id, who)
        message: dict[str, Any] = {
            "message_id": next(self._numbers),
            "date": AT,
            "chat": chat,
            "from": who.wire,
            "text": text,
        }
        if reply_to is not None:
            message["reply_to_message"] = {
                "message_id": reply_to.id,
                "date": AT,
                "chat": chat,
                "text": reply_to.text,
            }
        return await self.inject({"message": message})

    async def inject(self, update: dict[str, Any], update_id: int | None = None) -> int:
        """An update happens. In webhook mode it is sent at once, once."""
        number = update_id or next(self._numbers)
        async with self._changed:
            self.updates.append({"update_id": number, **update})
            self._changed.notify_all()
        if self.webhook:
            await self.deliver()
        return number

    async def deliver(self, *, keep: bool = False) -> list[int]:
        """Sends what waits to the webhook; the statuses. `keep`: as if no reply had arrived."""
        assert self.webhook is not None
        statuses: list[int] = []
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.secret} if self.secret else {}
        async with aiohttp.ClientSession() as session:
            for update in list(self.updates):
                async with session.post(self.webhook, json=update, headers=headers) as reply:
                    statuses.append(reply.status)
                if statuses[-1] == 200 and not keep:
                    self.updates.remove(update)
        return statuses

    async def toast(self, query_id: str) -> str:
        """What the person who tapped was told."""
        await self.until(lambda: any(known == query_id for known, _ in self.toasts))
        return next(text for known, text in self.toasts if known == query_id)

    # What the bot does ------------------------------------------------------------------------------------

    async def _call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        fields: dict[str, Any] = {}
        for name, value in (await request.post()).items():
            try:
                fields[name] = json.loads(str(value)) if str(value)[:1] in "[{" else str(value)
            except ValueError:
                fields[name] = str(value)
        try:
            if request.match_info["token"] != self.token:
                raise Refusal(401, "Unauthorized")
            self._maybe_fail(method, fields)
            result = await getattr(self, f"_{method}")(fields)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status)
        finally:
            async with self._changed:
                self.calls.append((method, fields))
                self.called_at.append(asyncio.get_running_loop().time())
                self._changed.notify_all()
        return web.json_response({"ok": True, "result": result})

    def _maybe_fail(self, method: str, fields: dict[str, Any]) -> None:
        waiting = self._faults[method]
        for fault in waiting:
            if fault[1] is None or str(fault[1]) == fields.get("chat_id"):
                waiting.remove(fault)
                raise fault[0]

    async def _getMe(self, _: dict[str, Any]) -> Any:
        return {
            "id": int(self.token.split(":")[0]),
            "is_bot": True,
            "first_name": "Aither",
            "username": "aither_bot",
        }

    async def _getUpdates(self, fields: dict[str, Any]) -> Any:
        if self.webhook:
            raise Refusal(409, "Conflict: can't use getUpdates method while webhook is active")
        self.offset = max(self.offset, int(fields.get("offset", 0)))
        self.pollers += 1
        self.most_pollers = max(self.most_pollers, self.pollers)
        try:
            async with self._changed:
                self._changed.notify_all()
                self.updates = [u for u in self.updates if u["update_id"] >= self.offset]
                waits = min(float(fields.get("timeout", 0)), 1.0)
                if waits and not self.updates:
                    try:
                        await asyncio.wait_for(self._changed.wait_for(lambda: self.updates), waits)
                    except TimeoutError:
                        return []
                return self.updates[: int(fields.get("limit", 100))]
        finally:
            self.pollers -= 1

    async def _setWebhook(self, fields: dict[str, Any]) -> Any:
        self.webhook, self.secret = fields["url"] or None, fields.get("secret_token")
        return True

    async def _deleteWebhook(self, _: dict[str, Any]) -> Any:
        self.webhook = self.secret = None
        return True

    async def _sendMessage(self, fields: dict[str, Any]) -> Any:
        chat_id = int(fields["chat_id"])
        if chat_id in self.blocked:
            raise BLOCKED
        _check(fields)
        reply = fields.get("reply_parameters", {}).get("message_id")
        shown = Shown(next(self._numbers), chat_id, fields["text"], _buttons(fields), reply)
        self.messages[chat_id, shown.id] = shown
        return self._wire(shown)

    async def _editMessageText(self, fields: dict[str, Any]) -> Any:
        if int(fields["chat_id"]) in self.blocked:
            raise BLOCKED
        _check(fields)
        shown = self.messages.get((int(fields["chat_id"]), int(fields["message_id"])))
        if shown is None:
            raise Refusal(400, "Bad Request: message to edit not found")
        if (shown.text, shown.buttons) == (fields["text"], _buttons(fields)):
            raise Refusal(
                400, "Bad Request: message is not modified: specified new message content is the same"
            )
        shown.earlier.append(shown.text)
        shown.text, shown.buttons = fields["text"], _buttons(fields)
        return self._wire(shown)

    async def _answerCallbackQuery(self, fields: dict[str, Any]) -> Any:
        if len(fields.get("text", "")) > 200:
            raise Refusal(400, "Bad Request: MESSAGE_TOO_LONG")
        if any(known == fields["callback_query_id"] for known, _ in self.toasts):
            raise Refusal(
                400, "Bad Request: query is too old and response timeout expired or query ID is invalid"
            )
        self.toasts.append((fields["callback_query_id"], fields.get("text", "")))
        return True

    def _wire(self, shown: Shown) -> dict[str, Any]:
        chat = {"id": shown.chat_id, "type": "private" if shown.chat_id > 0 else "supergroup"}
        return {"message_id": shown.id, "date": AT, "chat": chat, "text": shown.text}

    def _chat(self, chat_id: int, who: Person) -> dict[str, Any]:
        if chat_id > 0:
            return {"id": chat_id, "type": "private", "first_name": who.name}
        return {"id": chat_id, "type": "supergroup", "title": "Ops"}


def _buttons(fields: dict[str, Any]) -> list[list[tuple[str, str]]]:
    rows = fields.get("reply_markup", {}).get("inline_keyboard", [])
    return [[(button["text"], button["callback_data"]) for button in row] for row in rows]


def _check(fields: dict[str, Any]) -> None:
    if not fields["text"].strip():
        raise Refusal(400, "Bad Request: message text is empty")
    if len(fields["text"].encode("utf-16-le")) // 2 > 4096:
        raise Refusal(400, "Bad Request: message is too long")
    for row in _buttons(fields):
        for _, data in row:
            if not 1 <= len(data.encode()) <= 64:
                raise Refusal(400, "Bad Request: BUTTON_DATA_INVALID")
