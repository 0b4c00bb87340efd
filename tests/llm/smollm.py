"""The real small model behind llama.cpp's own server, as the embedded stack runs it."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

MODEL = "smollm2"
WINDOW_TOKENS = 1024


@asynccontextmanager
async def real_model() -> AsyncGenerator[str]:
    """The origin of a server that has its model loaded, with one slot."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.embedded.chat_server", "--port", str(port)),
        *("--model-name", MODEL, "--slots", "1", "--window", str(WINDOW_TOKENS)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        async for line in process.stderr:
            # The engine logs from threads of its own, and may have begun this line.
            if b"serving" in line:
                break
        reading = asyncio.ensure_future(process.stderr.read())  # so that it never waits for its log's reader
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()
    await reading
