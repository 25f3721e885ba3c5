"""A raw SMTP client: sends the octets it is told to, in the pieces it is told to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

WAIT = 10.0


class Dialogue:
    """One connection. Replies are text such as "250-a\\n250 b"."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        if self.writer.is_closing():
            raise ConnectionResetError  # as asyncio does, where uvloop raises RuntimeError
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> str:
        """Read one reply; "" when the server has closed."""
        lines = []
        async with asyncio.timeout(WAIT):
            while True:
                line = (await self.reader.readline()).decode()
                lines.append(line.removesuffix("\r\n"))
                if line[3:4] != "-":
                    return "\n".join(lines)

    async def ask(self, *lines: str | bytes) -> str:
        """Send lines in one piece; return the reply to the last of them."""
        octets = (line.encode() if isinstance(line, str) else line for line in lines)
        await self.send(b"".join(line + b"\r\n" for line in octets))
        for _ in lines[1:]:
            await self.reply()
        return await self.reply()

    async def submit(
        self, message: bytes, *, sender: str = "<a@sender.test>", to: str = "<b@rcpt.test>"
    ) -> str:
        """Run one transaction with `message` as it goes on the wire, less the final dot."""
        assert (await self.ask(f"MAIL FROM:{sender}")).startswith("250")
        assert (await self.ask(f"RCPT TO:{to}")).startswith("250")
        assert (await self.ask("DATA")).startswith("354")
        await self.send(message + b".\r\n")
        return await self.reply()

    async def start_tls(self, context: ssl.SSLContext, name: str | None = None) -> None:
        await self.writer.start_tls(context, server_hostname=name)

    async def is_closed(self) -> bool:
        """Tell whether the server has nothing more to say."""
        async with asyncio.timeout(WAIT):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    def reset(self) -> None:
        """End the connection with RST."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def dialogue(
    port: int, *, tls: ssl.SSLContext | None = None, helo: str = "client.test"
) -> AsyncIterator[Dialogue]:
    """Connect and read the greeting, then say EHLO unless helo is ""."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    client = Dialogue(reader, writer)
    try:
        assert (await client.reply())[:3] in {"220", "421"}
        if helo:
            assert (await client.ask(f"EHLO {helo}")).startswith("250-")
        yield client
    finally:
        writer.transport.abort()
