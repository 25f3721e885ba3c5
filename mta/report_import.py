"""Reports from files, for mailboxes that return paths or complaints used to lead to: a Maildir, an
mbox, a folder of mails, one mail. Nothing there is changed.

Not here: keeping them (storage/reports.py) and reading them (report_intake.py).
"""

from __future__ import annotations

import hashlib
import mailbox
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mta.core.dsn import addresses_in
from mta.core.mime_reader import MAX_SIZE, split_entity
from mta.core.report_address import digest_of
from storage.reports import NewReport

MAX_ADDRESSES = 20
_ENVELOPE_FIELDS = ("delivered-to", "x-original-to", "envelope-to", "to")
"""Fields in which mail systems keep the address that a mail came to."""


def mails_in(path: Path) -> Iterator[bytes]:
    """Yield the mails at a path in order of their names, each cut at MAX_SIZE.

    A directory with `cur` and `new` is a Maildir; of any other the files are mails, those below it
    included, hidden ones left out. A file that begins with "From " is an mbox.

    Raises:
        OSError: something cannot be read.
    """
    if path.is_dir():
        for file in _files(path):
            yield _head(file)
    elif _head(path, 5) == b"From ":
        with closing(mailbox.mbox(path, create=False)) as box:
            for key in box.iterkeys():
                yield box.get_bytes(key)[:MAX_SIZE]
    else:
        yield _head(path)


def _files(path: Path) -> Iterator[Path]:
    parts = [path / "cur", path / "new"]
    places = parts if all(part.is_dir() for part in parts) else [path]
    for place in places:
        for file in sorted(place.rglob("*")):
            is_hidden = any(part.startswith(".") for part in file.relative_to(place).parts)
            if file.is_file() and not is_hidden:
                yield file


def _head(path: Path, size: int = MAX_SIZE) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def report_of(data: bytes) -> NewReport:
    """Return a mail from a file as a report, with the addresses that its header says it came to."""
    fields, body = split_entity(data.replace(b"\r\n", b"\n"))
    values = [value for name in _ENVELOPE_FIELDS for value in fields.all(name)[:5]]
    found = [address.lower() for value in values for _, address in addresses_in(value[:2000])]
    recipients = tuple(dict.fromkeys(found))[:MAX_ADDRESSES]
    return NewReport(
        data=data,
        recipients=recipients,
        digest=digest_of(recipients, hashlib.sha256(body).digest()),
        source="import",
    )
