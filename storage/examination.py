"""What `mta doctor` asks of storage. Reads all of the queue: not for the running engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mta.core import ids
from storage.database import Connection


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the queue is.

    Attributes:
        without_body: messages that wait and have no body.
        files: names of the spool files of messages that wait.
        newest: when the newest event happened (aware, UTC); None when nothing ever did.
    """

    without_body: int
    files: tuple[str, ...]
    newest: datetime | None


def vitals(connection: Connection) -> Vitals:
    """Look at everything that waits."""
    [without_body] = connection.execute(
        "SELECT COUNT(*) FROM ("
        "SELECT message_id FROM entries WHERE state < 10 EXCEPT SELECT message_id FROM bodies)"
    ).fetchone()
    files = connection.execute(
        "SELECT file FROM bodies WHERE file IS NOT NULL"
        " AND message_id IN (SELECT message_id FROM entries WHERE state < 10)"
    ).fetchall()
    newest = connection.execute("SELECT at FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return Vitals(
        int(without_body),
        tuple(name for (name,) in files),
        None if newest is None else ids.moment(newest[0]),
    )
