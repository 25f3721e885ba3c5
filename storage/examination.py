"""What `mta doctor` asks of storage. Reads all of the queue: not for the running engine."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import Any

from mta.core import ids
from mta.core.canonical import BodyHasher
from mta.core.frozen import frozen
from storage.database import Connection
from storage.errors import StorageError
from storage.spool import Spool

_CHUNK = 1 << 20


@frozen
class Vitals:
    """How the queue is.

    Attributes:
        damaged: messages that wait and whose body is missing or not what was accepted.
        newest: when the newest event happened (aware, UTC); None when nothing ever did.
    """

    damaged: int
    newest: datetime | None


_BODIES = """
SELECT m.size, m.header_size, m.body_hash, b.data, b.file
FROM (SELECT DISTINCT message_id FROM entries WHERE state < 10) e
LEFT JOIN messages m ON m.id = e.message_id LEFT JOIN bodies b ON b.message_id = e.message_id
"""


def vitals(connection: Connection, spool: Spool) -> Vitals:
    """Look at everything that waits, and read all of it."""
    damaged = sum(not _is_whole(row, spool) for row in connection.execute(_BODIES))
    newest = connection.execute("SELECT at FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return Vitals(
        damaged,
        None if newest is None else ids.moment(newest[0]),
    )


def _is_whole(row: tuple[Any, ...], spool: Spool) -> bool:
    size, header_size, accepted, data, file = row
    if size is None or (data is None and file is None):
        return False
    try:
        with BytesIO(data) if data is not None else spool.open(file) as body:
            found = len(body.read(header_size))
            hasher = BodyHasher()
            while chunk := body.read(_CHUNK):
                found += len(chunk)
                hasher.update(chunk)
    except (OSError, StorageError, ValueError):  # ValueError: that is no name of a file
        return False
    return bool(found == size and hasher.digest() == accepted)
