"""The bytes of messages, for reading them back. Not here: writing (submissions.py, spool.py)."""

from __future__ import annotations

from mta.core.frozen import frozen
from storage.database import Connection


@frozen
class Body:
    """Where the bytes of a message are.

    Attributes:
        data: the whole message, b"" when it is in a file.
        file: name of the spool file; None when `data` is it.
    """

    data: bytes
    file: str | None


def get(connection: Connection, message_row: int) -> Body | None:
    """Return the body of a message (by row id), None when it is no longer kept."""
    row = connection.execute(
        "SELECT data, file FROM bodies WHERE message_id = ?", (message_row,)
    ).fetchone()
    return None if row is None else Body(row[0] or b"", row[1])
