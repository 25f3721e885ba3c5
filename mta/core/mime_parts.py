"""The body of a composed message: leaves, and multiparts around them (RFC 2045, 2046).

Everything comes out as 7-bit text in lines that every mail server passes on unchanged.

Not here: the message's own header fields (mime.py).
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import count

from mta.core import quoted_printable
from mta.core.dot import has_bare_line_end
from mta.core.frozen import frozen
from mta.core.header_writer import (
    MAX_LINE,
    ComposeError,
    FieldText,
    check_text,
    filename_parameters,
    header_block,
    parameters,
    plain,
)

MAX_FILENAME = 255
"""Characters of a file name: no usual file system takes more."""
_SHORT = 2_048
"""Characters of pieces that are remembered, with a thousand others."""
MAX_CONTENT_TYPE = 255
"""Characters of a media type with its parameters."""

_USUAL = 78
"""Characters of a line that may stand as it is (RFC 5322 2.1.1)."""
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"  # noqa: S105
_CONTENT_TYPE = re.compile(
    rf"({_TOKEN}/{_TOKEN})((?: *; *{_TOKEN}=(?:{_TOKEN}|\"(?:[ !#-\[\]-~]|\\[ -~])*\"))*)"
)
_PARAMETER = re.compile(r'; *([^=]+=(?:"(?:[^"\\]|\\.)*"|[^;" ]+))')
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")


@frozen
class Attachment:
    """A file that goes along.

    Attributes:
        filename: at most MAX_FILENAME characters, "" for none.
        content: the bytes of the file.
        content_type: such as "application/pdf" or "text/calendar; method=REQUEST"; "" for unknown.
        content_id: what "cid:" in the HTML names, with or without angle brackets; "" for none.
            With a content id and HTML the file belongs to the HTML and is shown inside it.
        disposition: "attachment" or "inline" (RFC 2183).
    """

    filename: str
    content: bytes
    content_type: str
    content_id: str = ""
    disposition: str = "attachment"


@frozen
class Part:
    """A MIME entity: its content fields and its encoded body."""

    fields: tuple[FieldText, ...]
    body: bytes


def text_part(subtype: str, text: str, field: str) -> Part:
    """Return a text/plain or text/html part in UTF-8 with line ends made CRLF and one at the end.

    Raises:
        ComposeError: lone surrogates, which no encoding holds.
    """
    try:
        encoding, body = _encode_text(text)
    except UnicodeEncodeError:
        raise ComposeError(field, "contains a lone surrogate") from None
    content_type = parameters(f"text/{subtype}", ["charset=utf-8"])
    return Part((("Content-Type", content_type), _encoded_as(encoding)), body)


def pieced_part(subtype: str, pieces: Sequence[str], field: str) -> Part:
    """Return a text part of pieces, each odd one of which stands on one line as it is.

    That makes what stands there replaceable by something as long without decoding the part.

    Args:
        subtype: "plain" or "html".
        pieces: together the text; the odd ones are at most 75 letters, digits, "-" and "_".
        field: whose fault it is that a piece cannot be encoded.

    Raises:
        ComposeError: lone surrogates, which no encoding holds.
    """
    try:
        body = b"=\r\n".join(
            piece.encode() if number % 2 else _encoded_piece(piece)
            for number, piece in enumerate(pieces)
        )
    except UnicodeEncodeError:
        raise ComposeError(field, "contains a lone surrogate") from None
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    content_type = parameters(f"text/{subtype}", ["charset=utf-8"])
    return Part((("Content-Type", content_type), _encoded_as("quoted-printable")), body)


def attachment_part(attachment: Attachment, field: str, *, is_related: bool) -> Part:
    """Return the part for a file; is_related when it belongs to the HTML, which makes it inline.

    A message inside the message stays as it is where that is possible, because no encoding is
    allowed on it (RFC 2046 5.2.1); an 8-bit one is sent as a file of octets.

    Raises:
        ComposeError: naming what of the attachment is wrong, such as "attachments[0].filename".
    """
    content_type, *items = _parse_content_type(attachment.content_type, f"{field}.content_type")
    encoding, body = "base64", base64_lines(attachment.content)
    if content_type.startswith("message/"):
        lines = attachment.content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if lines.isascii() and are_lines(lines):
            encoding, body = "7bit", lines
        else:
            content_type, items = "application/octet-stream", []
    fields = (
        ("Content-Type", parameters(content_type, items)),
        _encoded_as(encoding),
        ("Content-Disposition", _disposition(attachment, field, is_related=is_related)),
        *_content_id(attachment.content_id, f"{field}.content_id"),
    )
    return Part(fields, body)


def multipart(subtype: str, parts: Sequence[Part], seed: str, *items: str) -> Part:
    """Return the parts as one multipart (RFC 2046 5.1).

    Args:
        subtype: "mixed", "alternative" or "related".
        parts: at least one.
        seed: makes the boundary; the same seed and parts give the same bytes.
        items: further parameters of the content type.
    """
    boundary = next(
        candidate
        for candidate in (_boundary(f"{seed}/{number}") for number in count())
        if not any(candidate.encode() in part.body for part in parts)
    )
    delimiter = f"--{boundary}".encode()
    chunks: list[bytes] = []
    for part in parts:
        chunks += [delimiter, b"\r\n", header_block(part.fields), b"\r\n", part.body, b"\r\n"]
    chunks += [delimiter, b"--\r\n"]
    content_type = parameters(f"multipart/{subtype}", [*items, f'boundary="{boundary}"'])
    return Part((("Content-Type", content_type),), b"".join(chunks))


def are_lines(data: bytes) -> bool:
    """Tell whether data is "8bit" text, and "7bit" if it is ASCII (RFC 2045 2.7 and 2.8).

    That is lines of at most 998 octets between CRLFs, without NUL and without any other CR or LF.
    """
    if b"\0" in data or has_bare_line_end(data):
        return False
    return max(map(len, data.split(b"\r\n"))) <= MAX_LINE


def base64_lines(content: bytes) -> bytes:
    """Return base64 in lines of 76 characters, each with CRLF (RFC 2045 6.8)."""
    encoded = b2a_base64(content, newline=False)
    lines = [encoded[start : start + 76] for start in range(0, len(encoded), 76)]
    return b"\r\n".join([*lines, b""])


def _base64_size(size: int) -> int:
    """Return how long base64_lines() makes so many octets."""
    letters = (size + 2) // 3 * 4
    return letters + 2 * -(-letters // 76)


def _encode_text(text: str) -> tuple[str, bytes]:
    """Return transfer encoding and bytes: 7bit, or the shorter of quoted-printable and base64."""
    octets = _with_crlf(text)
    if octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    longest = max(map(len, octets.split(b"\r\n")))
    if longest <= _USUAL and quoted_printable.is_literal(octets):
        return "7bit", octets
    limit = _base64_size(len(octets))
    if quoted_printable.least_size(octets) <= limit:
        quoted = quoted_printable.encode(octets)
        if len(quoted) <= limit:
            return "quoted-printable", quoted
    return "base64", base64_lines(octets)


def _with_crlf(text: str) -> bytes:
    """Return text in UTF-8 whose line ends, of whatever kind, are CRLF.

    Plain replacements take a tenth of the time of one with a pattern.
    """
    octets = text.encode()
    if b"\r" in octets:
        octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return octets.replace(b"\n", b"\r\n")


def _encoded_piece(piece: str) -> bytes:
    """Return a piece encoded; short ones are mostly those of a letter to many, and come again."""
    return _remembered(piece) if len(piece) <= _SHORT else _joinable(_with_crlf(piece))


@lru_cache(maxsize=1024)
def _remembered(piece: str) -> bytes:
    return _joinable(_with_crlf(piece))


def _joinable(octets: bytes) -> bytes:
    """Return quoted-printable whose last line has room for a soft line break."""
    quoted = quoted_printable.encode(octets + b"\r\n").removesuffix(b"\r\n")
    start = quoted.rfind(b"\n") + 1
    if len(quoted) - start < 76:
        return quoted
    cut = start + 70
    while b"=" in quoted[cut - 2 : cut]:  # an escape stays whole
        cut -= 1
    return quoted[:cut] + b"=\r\n" + quoted[cut:]


def _encoded_as(encoding: str) -> FieldText:
    return "Content-Transfer-Encoding", [f" {encoding}"]


def _boundary(seed: str) -> str:
    """Return a boundary; neither base64 nor quoted-printable can contain "=_" (RFC 2045 6.7)."""
    return f"=_{sha256(seed.encode()).hexdigest()[:32]}"


def _parse_content_type(text: str, field: str) -> list[str]:
    """Return the type in lower case and its parameters as written."""
    match = _CONTENT_TYPE.fullmatch(text.strip(" ") or "application/octet-stream")
    if match is None or len(text) > MAX_CONTENT_TYPE:
        raise ComposeError(field, "is not a media type such as application/pdf")
    content_type = match[1].lower()
    if content_type.startswith("multipart/"):
        raise ComposeError(field, "may not be multipart: its parts are attachments of their own")
    return [content_type, *_PARAMETER.findall(match[2])]


def _disposition(attachment: Attachment, field: str, *, is_related: bool) -> list[str]:
    if attachment.disposition not in {"attachment", "inline"}:
        raise ComposeError(f"{field}.disposition", 'is neither "attachment" nor "inline"')
    check_text(attachment.filename, f"{field}.filename")
    if len(attachment.filename) > MAX_FILENAME:
        raise ComposeError(f"{field}.filename", f"is longer than {MAX_FILENAME} characters")
    disposition = "inline" if is_related else attachment.disposition
    items = filename_parameters(attachment.filename) if attachment.filename else []
    return parameters(disposition, items)


def _content_id(text: str, field: str) -> list[FieldText]:
    name = text.removeprefix("<").removesuffix(">")
    if not name:
        return []
    if not _CONTENT_ID.fullmatch(name):
        raise ComposeError(field, "is not a content id such as logo@example.com")
    return [("Content-ID", plain(f"<{name}>"))]
