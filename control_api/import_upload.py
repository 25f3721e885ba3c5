"""The body of an import: a form with a CSV file, or contacts in JSON; into the spool, or refused.

A file is written as it comes, never held; its header is looked at before it is accepted, so that a
mapping that does not fit is told at once. Not here: the import itself (imports.py).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

from starlette.requests import Request

from control_api import filters
from control_api.contact_payload import read_status
from control_api.errors import ApiError, FieldError, invalid
from control_api.fields import Fields
from control_api.import_reader import layout_to_json
from control_api.import_rows import LOST, first_row
from control_api.multipart import MultipartError, read_form
from mta.core.contact import Status
from mta.core.contact_csv import (
    MAX_HEADER,
    Layout,
    LayoutError,
    codec_of,
    delimiter_of,
    targets_of,
)
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.json_text import JsonError, decode, encode
from storage.database import Database
from storage.spool import SpoolFile

FILE = "file"
MODES = ("overwrite", "skip")
MAX_ROWS = 50_000
"""Contacts of an import in JSON; a list of more comes as CSV."""


@frozen
class Wish:
    """What an import is to do with its rows.

    Attributes:
        mode: of MODES.
        status: of rows that name none; None: what the audience's way of joining says.
    """

    mode: str
    status: Status | None


@frozen
class Upload:
    """A file in the spool.

    Attributes:
        name: there.
        size: in bytes.
        wish: what is to be done with it.
        layout: how it is to be read; None: a JSON object a line.
        digest: of everything that was asked for.
    """

    name: str
    size: int
    wish: Wish
    layout: Layout | None
    digest: bytes

    def layout_json(self, status: Status) -> str:
        """Return what the reader is told of it, as the import keeps it."""
        layout = None if self.layout is None else layout_to_json(self.layout)
        return encode({"layout": layout, "status": status.value}).decode()


def read_wish(fields: Fields) -> Wish:
    """Take `mode` and `status`."""
    mode = fields.text("mode", 20) or "overwrite"
    if mode not in MODES:
        fields.fail("mode", "invalid_value", f"Expected one of {', '.join(MODES)}.")
    return Wish(mode, read_status(fields))


class _Sink:
    """Takes the file of a form: into the spool, its beginning into memory too."""

    def __init__(self, file: SpoolFile) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.head = b""
        self.size = 0

    def write(self, data: bytes) -> None:
        """Take a piece."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)
        if len(self.head) < MAX_HEADER:
            self.head += data[: MAX_HEADER - len(self.head)]

    def digest(self, fields: Mapping[str, str]) -> bytes:
        """Return the digest of the file and of what else the form says."""
        self._digest.update(encode(sorted(fields.items())))
        return self._digest.digest()


async def receive_file(request: Request, database: Database, tags: tuple[str, ...]) -> Upload:
    """Receive a form with a CSV file; the file is durable then, and the caller's.

    Args:
        request: whose body nobody has read yet.
        database: whose spool it goes to.
        tags: of the audience's fields.

    Raises:
        ApiError: 422.
        StorageError: there is no room.
    """
    file = await asyncio.to_thread(database.spool.begin)
    sink = _Sink(file)
    try:
        content_type = request.headers.get("content-type", "")
        form = await read_form(request.stream(), content_type, FILE, sink.write)
        fields = Fields(dict(form), [])
        wish = read_wish(fields)
        layout = _require_layout(fields, sink.head, tags)
        name = await asyncio.to_thread(file.commit)
    except MultipartError as error:
        file.abort()
        text = str(error)
        problem = FieldError("", "invalid_form", f"{text[:1].upper()}{text[1:]}.")
        raise ApiError(invalid([problem])) from None
    except BaseException:
        file.abort()
        raise
    return Upload(name, sink.size, wish, layout, sink.digest(form))


def _require_layout(fields: Fields, head: bytes, tags: tuple[str, ...]) -> Layout:
    """Take `encoding`, `delimiter` and `mapping`, and nothing else.

    Raises:
        ApiError: 422; also when they do not fit the file.
    """
    encoding, delimiter = fields.text("encoding", 20), fields.block("delimiter") or ""
    mapping = _mapping(fields)
    filters.finish(fields)
    try:
        return _layout(head, encoding, delimiter, mapping, tags)
    except LayoutError as error:
        problem = FieldError(error.field, error.code, str(error))
        raise ApiError(invalid([problem])) from None


def _layout(
    head: bytes, encoding: str, delimiter: str, mapping: Mapping[str, str], tags: tuple[str, ...]
) -> Layout:
    codec = codec_of(encoding, head)
    separator = delimiter_of(delimiter, head.decode(codec, "replace").partition("\n")[0])
    header = first_row(head, codec, separator)
    if any(LOST in cell for cell in header):
        raise LayoutError("encoding", "undecodable", "The header is not text in this encoding.")
    return Layout(codec, separator, targets_of(header, mapping, tags))


def _mapping(fields: Fields) -> Mapping[str, str]:
    text = fields.block("mapping") or "{}"
    try:
        value = decode(text)
    except JsonError:
        value = None
    is_fine = isinstance(value, dict) and all(
        target is None or isinstance(target, str) for target in value.values()
    )
    if not isinstance(value, dict) or not is_fine:
        message = 'Expected a JSON object such as {"E-mail": "email", "City": "properties.city"}.'
        fields.fail("mapping", "invalid_value", message)
        return {}
    return {column: str(target or "") for column, target in value.items()}


async def keep_rows(database: Database, rows: list[JsonValue], wish: Wish, body: bytes) -> Upload:
    """Write contacts that came as JSON into the spool, one a line; the file is the caller's then.

    Raises:
        StorageError: there is no room.
    """

    def write() -> tuple[str, int]:
        data = b"".join(encode(row) + b"\n" for row in rows)
        file = database.spool.begin()
        try:
            file.write(data)
            return file.commit(), len(data)
        except BaseException:
            file.abort()
            raise

    name, size = await asyncio.to_thread(write)
    return Upload(name, size, wish, None, hashlib.sha256(body).digest())
