"""From a queued message to the transaction that carries it: body, signature, envelope.

The stored message never changes; a signature is made anew for each attempt (mta/signing.py). Mail
of a domain that has keys is never sent unsigned: what cannot be signed waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from mta.core.canonical import BodyHasher, body_hash
from mta.core.message import Message
from mta.core.outcome import Stage, Unreachable
from mta.core.transaction import SpooledBody, Transaction, TransactionRecipient
from mta.engine_store import EngineStore, KeyBook
from mta.entry_marks import NO_MARKS, EntryMarks
from mta.signing import SigningError, key_domain
from mta.signing_thread import SigningThread
from storage.errors import StorageError
from storage.queue import QueuedEntry, QueuedMessage
from storage.spool import Spool

_CHUNK = 1 << 20


class _DamagedError(Exception):
    """What is stored of a message is not what was accepted."""


class TransactionBuilder:
    """Makes transactions with the signing keys of the moment."""

    def __init__(
        self,
        store: EngineStore,
        spool: Spool,
        signer: SigningThread | None,
        marks: EntryMarks = NO_MARKS,
    ) -> None:
        """Take where keys and large messages are, who signs, and what differs between recipients.

        Without a signer all mail goes unsigned; without marks, with its sender's return path.
        """
        self._marks = marks
        self._store = store
        self._spool = spool
        self._signer = signer
        self._book = KeyBook({}, -1)

    async def follow_keys(self, version: int) -> None:
        """Read the keys again unless they are of this version."""
        if version != self._book.version:
            self._book = await self._store.key_book()

    def is_individual(self, message: QueuedMessage) -> bool:
        """Tell whether each recipient of a message needs a transaction of its own."""
        return self._marks.is_individual(message)

    def has_own_path(self, message: QueuedMessage) -> bool:
        """Tell whether a message goes out with a return path of ours."""
        return self._marks.has_own_path(message)

    async def build(
        self, message: QueuedMessage, entries: Sequence[QueuedEntry], now: datetime
    ) -> Transaction | Unreachable:
        """Return the transaction of a message for some entries, in their order.

        Returns:
            Unreachable with stage LOCAL when the message cannot be read or signed for now, with
            stage DAMAGED when it is not what was accepted. Its length is always compared, its hash
            only after a failed attempt: reading all of it twice is too dear for every message.
        """
        is_own = self.has_own_path(message)
        try:
            header, body = await self._parts(message)
            if any(entry.attempts for entry in entries):
                await _check(body, message.message.body_hash)
            marked = self._marks.marked(header, message, entries[0])
            hashed = message.message.body_hash
            if message.tracking is not None and isinstance(body, bytes):
                body = self._marks.filled(body, message, entries[0])
                hashed = body_hash(body)
            signature = await self._signature(message, marked, hashed, now)
            return Transaction(
                mail_from=self._marks.return_path(
                    message,
                    entries[0],
                    self._book.return_host(message.tenant_id, message.sender_domain),
                ),
                # Reports come to us then, who want them in any case, and without the whole mail.
                recipients=tuple(
                    TransactionRecipient(
                        entry.recipient, "" if is_own else entry.notify, entry.orcpt
                    )
                    for entry in entries
                ),
                header=signature + marked,
                body=body,
                size=len(signature) + len(marked) - len(header) + message.message.size,
                is_8bit=message.message.is_8bit,
                needs_smtputf8=message.header_8bit,
                ret="HDRS" if is_own else message.ret,
                envid=message.envid,
            )
        except (_DamagedError, ValueError) as error:  # ValueError: a damaged row
            return Unreachable(Stage.DAMAGED, str(error))
        except (SigningError, StorageError) as error:
            return Unreachable(Stage.LOCAL, str(error))

    async def _parts(self, queued: QueuedMessage) -> tuple[bytes, bytes | SpooledBody]:
        message = queued.message
        if message.data is not None:
            _compare("the message", len(message.data), message.size)
            return message.data[: message.header_size], message.data[message.header_size :]
        if message.file is None:
            raise _DamagedError("the body of the message is missing")
        header = await asyncio.to_thread(self._read, message.file, message)
        return header, SpooledBody(self._spool.path(message.file), message.header_size)

    def _read(self, name: str, message: Message) -> bytes:
        """Return the header of a spooled message, having looked at the length of its file."""
        try:
            size = self._spool.path(name).stat().st_size
            _compare(f"spool file {name}", size, message.size)
            with self._spool.open(name) as file:
                return file.read(message.header_size)
        except FileNotFoundError:
            raise _DamagedError(f"spool file {name} is missing") from None
        except OSError as error:
            raise StorageError(f"spool file {name}: {error.strerror}") from error

    async def _signature(
        self, message: QueuedMessage, header: bytes, hashed: bytes, now: datetime
    ) -> bytes:
        domain = key_domain(message.sender_domain, self._book.keys)
        if domain is None or self._signer is None:
            return b""
        return await self._signer.sign(
            header, hashed, domain=domain, keys=self._book.keys[domain], at=now
        )


def _compare(name: str, size: int, accepted: int) -> None:
    if size != accepted:
        raise _DamagedError(f"{name} has {size} octets, and had {accepted} when it was accepted")


async def _check(body: bytes | SpooledBody, accepted: bytes) -> None:
    found = body_hash(body) if isinstance(body, bytes) else await asyncio.to_thread(_hash, body)
    if found != accepted:
        raise _DamagedError("the body is not the one that was accepted: its hash differs")


def _hash(body: SpooledBody) -> bytes:
    hasher = BodyHasher()
    try:
        with body.path.open("rb") as file:
            file.seek(body.offset)
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
    except OSError as error:
        raise StorageError(f"spool file {body.path.name}: {error.strerror}") from error
    return hasher.digest()
