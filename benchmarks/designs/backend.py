"""The stand-in backend: answers POST /<delay in ms> after that delay."""

import asyncio
import os
import sys

import uvloop

ANSWER = b'{"text":"Forty-two, and a little more, said the stand-in.","model":"stand-in","tokens":12}'
REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)


async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
            delay_ms = int(head.split(b" ", 2)[1].lstrip(b"/"))
            if delay_ms:
                await asyncio.sleep(delay_ms / 1000)
            writer.write(REPLY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve_connection, "127.0.0.1", int(os.environ["PORT"]))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
