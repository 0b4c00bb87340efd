"""A TLS end in front of a server that has none, with certificates of a CA of its own."""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Paper:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class Authority:
    """A CA, which writes into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.cert = folder / f"{name}.pem"
        made = self._certificate(self._name, self._key.public_key(), days=30, is_ca=True, dns=None)
        self.cert.write_bytes(made.public_bytes(Encoding.PEM))

    def paper(self, name: str, *, days: int = 30, dns: str | None = None, passphrase: bytes = b"") -> Paper:
        """One that it has signed: for a server (on loopback, and by `dns`), or for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._certificate(subject, key.public_key(), days=days, is_ca=False, dns=dns)
        paper = Paper(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        paper.cert.write_bytes(made.public_bytes(Encoding.PEM))
        lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        paper.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        return paper

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int, is_ca: bool, dns: str | None
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        names: list[x509.GeneralName] = [x509.DNSName(dns)] if dns else []
        names += [] if is_ca or dns else [x509.IPAddress(ipaddress.ip_address(HOST))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


class _Ending:
    """The TLS of one connection. It says why it refuses, as servers do, and as asyncio's own does not."""

    def __init__(
        self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._reader, self._writer = reader, writer

    async def agreed(self) -> bool:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._take_in():
                    return False
            except ssl.SSLError:
                # Whoever hangs up on what has come in and is unread takes back what it has said.
                await self._flush()
                self._writer.write_eof()
                while await self._reader.read(65_536):
                    pass
                return False
            else:
                await self._flush()
                return True

    async def outward(self, inner: asyncio.StreamWriter) -> None:
        """What the client says, to the server."""
        while True:
            try:
                while data := self._tls.read(65_536):
                    inner.write(data)
                break
            except ssl.SSLWantReadError:
                await inner.drain()
                if not await self._take_in():
                    break
        inner.close()

    async def inward(self, inner: asyncio.StreamReader) -> None:
        """What the server says, to the client."""
        while data := await inner.read(65_536):
            self._tls.write(data)
            await self._flush()
        self._writer.close()

    async def _take_in(self) -> bool:
        data = await self._reader.read(65_536)
        self._incoming.write(data)
        return bool(data)

    async def _flush(self) -> None:
        self._writer.write(self._outgoing.read())
        await self._writer.drain()


@asynccontextmanager
async def tls_in_front(port: int, paper: Paper, clients: Path | None = None) -> AsyncGenerator[str]:
    """`host:port` of the TLS end; with `clients`, only those are let in whom that CA knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paper.cert, paper.key)
    context.set_alpn_protocols(["h2"])
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    at_work, writers = set[asyncio.Task[None]](), set[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        at_work.add(task)
        writers.add(writer)
        with contextlib.suppress(OSError, ssl.SSLError):
            ending = _Ending(context, reader, writer)
            if await ending.agreed():
                inner_reader, inner = await asyncio.open_connection(HOST, port)
                writers.add(inner)
                await asyncio.gather(ending.outward(inner), ending.inward(inner_reader))
        writer.close()
        at_work.discard(task)

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*at_work, return_exceptions=True)
