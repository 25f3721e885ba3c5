"""Forms with a file in them (RFC 7578), read as they come: the file goes on, piece by piece.

Owner of python_multipart. Not here: where the file goes (import_upload.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

logging.getLogger("python_multipart.multipart").disabled = True  # a line for every bad form

MAX_FIELDS = 20
MAX_VALUE = 65_536
"""Bytes of a field that is no file."""


class MultipartError(ValueError):
    """Not such a form; one sentence that says why."""


async def read_form(
    stream: AsyncIterator[bytes], content_type: str, file_field: str, write: Callable[[bytes], None]
) -> Mapping[str, str]:
    """Read a form to its end, hand its one file on, and return its other fields.

    Args:
        stream: the body.
        content_type: of the request.
        file_field: name of the field that is the file.
        write: takes the pieces of the file, in a thread, in their order.

    Raises:
        MultipartError
        Exception: whatever `write` or the stream raised.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:  # RFC 2046 5.1.1
        raise MultipartError("the Content-Type has no boundary")
    form = _Form(file_field, write)
    parser = MultipartParser(boundary, form.callbacks())
    try:
        async for chunk in stream:
            await asyncio.to_thread(parser.write, chunk)
        parser.finalize()
    except FormParserError:
        raise MultipartError("the parts cannot be told apart") from None
    return form.result()


class _Form:
    """Takes what the parser finds."""

    def __init__(self, file_field: str, write: Callable[[bytes], None]) -> None:
        self._file_field = file_field
        self._write = write
        self._fields: dict[str, bytes] = {}
        self._files = 0
        self._name = ""
        self._header = b""
        self._value = b""
        self._is_ended = False

    def callbacks(self) -> MultipartCallbacks:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._take_header,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_data,
            "on_part_data": self._take_data,
            "on_end": self._end,
        }

    def result(self) -> Mapping[str, str]:
        """Return the fields.

        Raises:
            MultipartError: the form is not whole, or has no file, or a field is not text.
        """
        if not self._is_ended:
            raise MultipartError("the form breaks off")
        if not self._files:
            raise MultipartError(f"the form has no file in {self._file_field}")
        try:
            return {name: value.decode() for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise MultipartError("a field is not UTF-8 text") from None

    def _begin(self) -> None:
        self._name, self._header, self._value = "", b"", b""

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._header = self._value = b""

    def _begin_data(self) -> None:
        name = self._name
        if not name or name in self._fields or len(self._fields) == MAX_FIELDS:
            raise MultipartError("a part has no name, or there are too many")
        if name == self._file_field:
            self._files += 1
            if self._files > 1:
                raise MultipartError("the form has several files")
        else:
            self._fields[name] = b""

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == self._file_field:
            self._write(data[start:end])
            return
        self._fields[self._name] += data[start:end]
        if len(self._fields[self._name]) > MAX_VALUE:
            raise MultipartError(f"the field {self._name!a} is too long")

    def _end(self) -> None:
        self._is_ended = True
