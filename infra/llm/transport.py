"""An httpx2 transport over aiohttp: a third of the processor time of httpx2's own for a streamed answer.

openai ships a like one that it vendors; ours differs in what it says when things go wrong (a dropped
connection is a ReadError, never a timeout) and in handing over bytes as they come.
"""

from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager

import aiohttp
import httpx2
from yarl import URL

# Below the 5 s after which uvicorn (vLLM) and cpp-httplib (llama.cpp) drop an idle connection, so that no
# call is sent into one that is just being closed.
KEEPALIVE_S = 4.0

# llama.cpp's server closes the connection behind a streamed answer, although its headers promise to keep it;
# a call sent into that connection would be lost.
DROPS_CONNECTIONS = "llama.cpp"


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Sends httpx2 requests through one aiohttp session. Honours httpx2's timeouts, but for `write`.

    `proxied` lets the environment's proxy settings apply, as they should for what leaves the building only.
    """

    def __init__(self, *, proxied: bool = False) -> None:
        self._proxied = proxied
        self._session: aiohttp.ClientSession | None = None
        self._dropping: set[bytes] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response's head; the body streams. Raises httpx2's transport errors."""
        session = self._session or self._open()
        timeout = request.extensions.get("timeout", {})
        if request.url.netloc in self._dropping:
            request.headers["connection"] = "close"
        with _as_httpx2():
            response = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=timeout.get("pool"),
                    sock_connect=timeout.get("connect"),
                    sock_read=timeout.get("read"),
                ),
            )
        if response.headers.get("server") == DROPS_CONNECTIONS:
            self._dropping.add(request.url.netloc)
            if response.connection is not None and (protocol := response.connection.protocol) is not None:
                protocol.force_close()
        return httpx2.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=_Body(response),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        # Not in __init__: aiohttp wants the running loop. How many calls run at once is the pool's business.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=self._proxied,
        )
        return self._session


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx2():
            async for data in self._response.content.iter_any():
                yield data

    async def aclose(self) -> None:
        # A body that was read to its end has given its connection back already; any other one is cut here.
        self._response.close()


@contextmanager
def _as_httpx2() -> Generator[None]:
    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        raise httpx2.ConnectError(type(error).__name__) from error
    except TimeoutError as error:  # aiohttp's are, too
        raise httpx2.ReadTimeout(type(error).__name__) from error
    except aiohttp.InvalidURL as error:
        raise httpx2.UnsupportedProtocol(type(error).__name__) from error
    except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError) as error:
        raise httpx2.RemoteProtocolError(type(error).__name__) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx2.ReadError(type(error).__name__) from error
