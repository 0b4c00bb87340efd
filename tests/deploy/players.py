"""One stand-in for all the models of an installation: it echoes, plans, works, puts together, and embeds."""

import json
import re

import orjson

from tests.support.standin import Call, Reply, StandIn
from tests.support.standin_http import Exchange
from tests.swarm.swarming import Words, found, planned, put_together

CONFIGURATION = """
[backends.small]
dialect = "vllm"
base_url = "{url}"
model = "small"
slots = 8
window_tokens = 200_000
capabilities = ["tools", "prefill", "tokenize"]

[backends.dear]
dialect = "vllm"
base_url = "{url}"
model = "dear"
slots = 8
window_tokens = 200_000
price = {{ input_usd = 2.0, output_usd = 10.0, read_on = 2026-11-01 }}

[ladders.auto]
answer = ["small"]
"""
PARTS = 3


class Models(StandIn):
    """`held` is what a turn is answered with; a swarm's calls are answered at once, by their role."""

    def __init__(self) -> None:
        super().__init__()
        self.held = Reply()
        self._words = Words()

    async def _note(self, exchange: Exchange) -> Call:
        call = await super()._note(exchange)
        system = str(call.body["messages"][0]["content"])
        whole = "\n".join(str(message["content"]) for message in call.body["messages"][1:])
        # Nothing is awaited between this and the reply's choice.
        if "break a goal" in system:
            self.default = planned(PARTS)
        elif "one of several workers" in system:
            self.default = found(whole)
        elif re.search(r"\bF\d+", whole):
            self.default = put_together(whole)
        else:
            self.default = self.held
        return call

    async def _handle(self, exchange: Exchange) -> None:
        if (exchange.method, exchange.path) != ("POST", "/v1/embeddings"):
            await super()._handle(exchange)
            return
        vectors = await self._words.embed(json.loads(exchange.body)["input"])
        data = [{"object": "embedding", "index": n, "embedding": each} for n, each in enumerate(vectors)]
        exchange.send(200, orjson.dumps({"object": "list", "data": data, "usage": {"prompt_tokens": 1}}))
