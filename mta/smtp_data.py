"""A message between DATA and the final dot: checked, hashed and kept as it arrives.

Memory stays bounded whatever the client sends: a message above INLINE_LIMIT goes to a spool file in
pieces, written by a thread. Not here: reading the socket, deadlines and replies (smtp_server.py),
dots and line ends (mta/core/dot.py). Follows RFC 5321 2.3.8, 4.5.3.1.6 and 6.3.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Sequence

from mta.core.canonical import BodyHasher
from mta.core.dot import DotDecoder, LineCheck
from mta.core.esmtp import Refusal
from mta.core.header import MAX_HEADER_SIZE
from mta.core.loops import MAX_HOPS
from mta.core.message import Message
from mta.core.reply import Reply
from mta.smtp_session import Arrival
from storage.spool import INLINE_LIMIT, Spool, SpoolFile

_RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)

Begin = Callable[[bytes], Arrival | Reply]
"""Takes the header block without its blank line; returns what becomes of the message."""


class MessageReceiver:
    """Takes the octets of one message and hands the message over when it is whole.

    The order is decode, take for each chunk, then finish; aclose at the end of any of it. Once take
    or finish has raised, only decode still makes sense: it goes on looking for the final dot.

    Attributes:
        received: octets that came, those of a message already refused included.
    """

    def __init__(self, begin: Begin, *, spool: Spool | None, max_size: int) -> None:
        """Take what to call at the end of the header, and the spool; None keeps all in memory."""
        self.received = 0
        self._begin = begin
        self._max_size = max_size
        self._decoder = DotDecoder()
        self._check = LineCheck()
        self._hasher = BodyHasher()
        self._size = 0
        self._head = bytearray()
        self._arrival: Arrival | None = None
        self._store = _Store(spool)

    @property
    def is_complete(self) -> bool:
        """Whether the final dot has come."""
        return self._decoder.is_complete

    @property
    def rest(self) -> bytes:
        """What came after the final dot: commands sent ahead."""
        return self._decoder.rest

    def decode(self, data: bytes) -> bytes:
        """Return the octets of the message in the next octets of the stream."""
        self.received += len(data)
        return self._decoder.feed(data)

    async def take(self, content: bytes) -> None:
        """Check and keep the next octets of the message.

        Raises:
            Refusal: the message breaks a rule.
            StorageError: the spool could not be written.
        """
        self._size += len(content)
        self._check.feed(content)
        self._refuse_faults()
        if self._arrival is None:
            content = self._take_header(content)
        if content:
            self._hasher.update(content)
            await self._store.add(content)

    async def finish(self) -> Reply:
        """Hand the whole message over; return what is replied.

        Raises:
            Refusal, StorageError: as in take.
        """
        self._check.finish()
        self._refuse_faults()
        arrival = self._arrival or self._start(bytes(self._head))
        message = await self._store.message(len(arrival.header), self._hasher.digest())
        reply = await arrival.complete(message)
        if not reply.is_positive:
            await self._store.forget(message)
        return reply

    async def aclose(self) -> None:
        """Remove the spool file of a message that did not become whole."""
        await self._store.aclose()

    def _refuse_faults(self) -> None:
        if self._check.has_bare_line_end:
            # Whoever relays to us may take such a line end for a real one and so disagree with us
            # about where this message ends: nothing that follows is believed (SMTP smuggling).
            raise Refusal(550, "5.5.2", "A line must end in CR LF", ends_session=True)
        if self._check.has_long_line:
            raise Refusal(550, "5.6.0", "A line may have 998 octets (RFC 5321 4.5.3.1.6)")
        if self._size > self._max_size:
            raise Refusal(552, "5.3.4", f"A message may have {self._max_size} bytes here")

    def _take_header(self, content: bytes) -> bytes:
        """Gather the header; return the octets of the body that came with its end."""
        searched = max(len(self._head) - 3, 0)
        if self._head:
            self._head += content
        gathered = self._head or content  # most come in one piece, which need not be copied
        if gathered.startswith(b"\r\n"):
            end, body = 0, 2
        else:
            end = gathered.find(b"\r\n\r\n", searched) + 2
            body = end + 2
            if end < 2:
                _refuse_large_header(len(gathered))
                self._head = self._head or bytearray(content)
                return b""
        _refuse_large_header(end)
        self._start(bytes(gathered[:end]))
        content = bytes(gathered[body:])
        self._head.clear()
        return content

    def _start(self, header: bytes) -> Arrival:
        if header.count(b"\n") > MAX_HOPS and len(_RECEIVED.findall(header)) > MAX_HOPS:
            raise Refusal(554, "5.4.6", f"Mail loop: more than {MAX_HOPS} Received fields")
        arrival = self._begin(header)
        if isinstance(arrival, Reply):
            raise Refusal(arrival.code, arrival.enhanced, arrival.text)
        self._store.keep(arrival.header)
        self._arrival = arrival
        return arrival


def _refuse_large_header(size: int) -> None:
    if size > MAX_HEADER_SIZE:
        raise Refusal(552, "5.3.4", f"A header may have {MAX_HEADER_SIZE} bytes")


class _Store:
    """Where a message grows: in memory, and from INLINE_LIMIT on in a spool file."""

    def __init__(self, spool: Spool | None) -> None:
        self._spool = spool
        self._file: SpoolFile | None = None
        self._lock = threading.Lock()  # the file may be aborted while a thread still writes
        self._parts: list[bytes] = []
        self._held = 0
        self._size = 0
        self._is_8bit = False

    def keep(self, data: bytes) -> None:
        """Keep data in memory."""
        self._parts.append(data)
        self._held += len(data)
        self._size += len(data)
        self._is_8bit = self._is_8bit or not data.isascii()

    async def add(self, data: bytes) -> None:
        """Keep data, in the file when there is too much for memory."""
        self.keep(data)
        if self._held > INLINE_LIMIT and self._spool:
            parts, self._parts, self._held = self._parts, [], 0
            await asyncio.to_thread(self._write, self._spool, parts)

    async def message(self, header_size: int, body_hash: bytes) -> Message:
        """Return the message; durable when it is in a file."""
        data, file = None, None
        if self._file:
            file = await asyncio.to_thread(self._commit, self._file, self._parts)
        else:
            data = b"".join(self._parts)
        return Message(data, file, self._size, header_size, body_hash, self._is_8bit)

    async def forget(self, message: Message) -> None:
        """Remove a message that was refused after all."""
        if message.file and self._spool:
            await asyncio.to_thread(self._spool.remove, message.file)

    async def aclose(self) -> None:
        if self._file:
            await asyncio.to_thread(self._abort, self._file)

    def _write(self, spool: Spool, parts: Sequence[bytes]) -> None:
        with self._lock:
            self._file = self._file or spool.begin()
            for part in parts:
                self._file.write(part)

    def _commit(self, file: SpoolFile, parts: Sequence[bytes]) -> str:
        with self._lock:
            for part in parts:
                file.write(part)
            name = file.commit()
            self._file = None
            return name

    def _abort(self, file: SpoolFile) -> None:
        with self._lock:
            file.abort()
            self._file = None
