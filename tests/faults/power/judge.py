"""What is left of promises on a disk after a power cut: opened as the server would open it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from storage.database import Connection, Database
from storage.errors import StorageError


@dataclass
class Verdict:
    """Counts of disks, and of promises.

    Attributes:
        disks: looked at.
        losing: disks on which a promised email, or its body, was missing.
        broken: disks that could not be opened, or failed SQLite's integrity check.
        lost: promised emails that were missing, over all disks.
        example: why the first bad disk was bad.
    """

    disks: int = 0
    losing: int = 0
    broken: int = 0
    lost: int = 0
    example: str = ""
    seen: set[str] = field(default_factory=set)

    def look(self, directory: Path, promised: Sequence[str]) -> None:
        """Judge one disk."""
        self.disks += 1
        self.seen.update(promised)
        try:
            with closing(Database.open(directory)) as database:
                database.check_integrity()
                kept = database.read_now(_kept)
        except StorageError as error:
            self.broken += 1
            self.example = self.example or str(error)
            return
        missing = [one for one in promised if not _is_whole(kept.get(one), directory)]
        if missing:
            self.losing += 1
            self.lost += len(missing)
            self.example = self.example or f"{missing[0]} of {len(promised)} is missing"


_Kept = tuple[int, bytes | None, str | None]


def _kept(connection: Connection) -> dict[str, _Kept]:
    rows = connection.execute(
        "SELECT m.public_id, m.size, b.data, b.file FROM messages m"
        " JOIN bodies b ON b.message_id = m.id"
        " WHERE EXISTS (SELECT 1 FROM entries q WHERE q.message_id = m.id)"
        " AND EXISTS (SELECT 1 FROM events e WHERE e.message_id = m.id)"
    )
    return {public_id: (size, data, file) for public_id, size, data, file in rows}


def _is_whole(kept: _Kept | None, directory: Path) -> bool:
    if kept is None:
        return False
    size, data, file = kept
    if file is None:
        return data is not None and len(data) == size
    path = directory / "spool" / file
    return path.exists() and path.stat().st_size == size
