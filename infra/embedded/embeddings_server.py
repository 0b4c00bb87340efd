"""The embedded embedding model as a server of its own: OpenAI's `/v1/embeddings` over MiniLM in ONNX.

`python -m infra.embedded.embeddings_server --port 8209 --model-name NAME`. One thread computes; requests
queue for it. Kept free of a web framework, for its memory and its start.
"""

import argparse
import asyncio
import base64
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import orjson

from infra.embedded.minilm import DIMENSIONS, Embedded, MiniLm

MAX_INPUTS = 2048
MAX_BODY_BYTES = 16 * 1024 * 1024

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class BadRequest(Exception):
    """The request cannot be served; says why in OpenAI's terms."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400):
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        }


class EmbeddingsApp:
    """The ASGI application."""

    def __init__(self, model: MiniLm, model_name: str) -> None:
        self._model = model
        self._name = model_name
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected ASGI scope {scope['type']}")
        try:
            status, body = 200, await self._answer(scope["method"], scope["path"], receive)
        except BadRequest as refusal:
            status, body = refusal.status, refusal.body
        raw = orjson.dumps(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": raw})

    async def _answer(self, method: str, path: str, receive: Receive) -> dict[str, Any]:
        match method, path:
            case "GET" | "HEAD", "/health":
                return {"status": "ok"}
            case "GET", "/v1/models":
                entry = {"id": self._name, "object": "model", "created": 0, "owned_by": "aither"}
                return {"object": "list", "data": [entry]}
            case "POST", "/v1/embeddings":
                return await self._embeddings(await _read(receive))
            case _:
                raise BadRequest(f"there is no {method} {path}", code="not_found", status=404)

    async def _embeddings(self, raw: bytes) -> dict[str, Any]:
        try:
            body: Any = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise BadRequest("the body must be a JSON object")
        request = cast(dict[str, Any], body)
        self._check(request)
        texts = _texts(request.get("input"))
        as_base64 = _encoding_format(request) == "base64"
        result = await asyncio.get_running_loop().run_in_executor(self._thread, self._model.embed, texts)
        return {
            "object": "list",
            "model": self._name,
            "data": _data(result, as_base64),
            "usage": {"prompt_tokens": result.tokens, "total_tokens": result.tokens},
        }

    def _check(self, request: dict[str, Any]) -> None:
        asked = request.get("model")
        if not isinstance(asked, str):
            raise BadRequest("model must be a string", param="model")
        if asked != self._name:
            raise BadRequest(
                f"there is no model {asked!r} here, only {self._name!r}",
                param="model",
                code="model_not_found",
                status=404,
            )
        if request.get("dimensions") not in {None, DIMENSIONS}:
            raise BadRequest(
                f"{self._name} has {DIMENSIONS} dimensions and cannot be cut to another number",
                param="dimensions",
            )


def _encoding_format(request: dict[str, Any]) -> str:
    asked = request.get("encoding_format") or "float"
    if asked not in ("float", "base64"):
        raise BadRequest("encoding_format must be float or base64", param="encoding_format")
    return asked


def _texts(given: Any) -> list[str]:
    if not isinstance(given, str | list) or not given:
        raise BadRequest("input must be a string or a list of strings, and not be empty", param="input")
    texts = cast(list[Any], [given] if isinstance(given, str) else given)
    if len(texts) > MAX_INPUTS:
        raise BadRequest(f"input holds {len(texts)} texts; at most {MAX_INPUTS} are taken", param="input")
    for position, text in enumerate(texts):
        if isinstance(text, int | list):
            raise BadRequest("input as tokens is not taken here: send text", param="input")
        if not isinstance(text, str) or not text:
            raise BadRequest(f"input[{position}] must be a string that is not empty", param="input")
    return texts


def _data(result: Embedded, as_base64: bool) -> list[dict[str, Any]]:
    return [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist(),
        }
        for index, vector in enumerate(result.vectors)
    ]


async def _read(receive: Receive) -> bytes:
    raw = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the client went away", status=499)
        raw += message.get("body", b"")
        if len(raw) > MAX_BODY_BYTES:
            raise BadRequest(f"the body has more than {MAX_BODY_BYTES} bytes", status=413)
        if not message.get("more_body"):
            return bytes(raw)


def main(argv: list[str]) -> None:
    """Loads the model and serves it until SIGTERM or SIGINT."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="embeddings_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-name", required=True)
    asked = parser.parse_args(argv)
    app = EmbeddingsApp(MiniLm.load(), asked.model_name)
    uvicorn.run(
        app,
        host=asked.host,
        port=asked.port,
        access_log=False,
        log_level="warning",
        lifespan="off",
        ws="none",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
