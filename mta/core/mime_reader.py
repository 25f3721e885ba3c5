"""Reading mail from anyone: header fields and the parts of a body, capped and in linear time.

For reports, which are written by thousands of programs, most of them careless: whatever can be read
is read, nothing raises. Every cap cuts off what is beyond it. Not here: composing (mime.py), header
blocks of mail that we deliver (header.py), what a report says (report.py).
Follows RFC 5322, RFC 2045 and RFC 2046, leniently.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterator
from itertools import islice

from mta.core.frozen import frozen
from mta.core.header_text import decode_words

MAX_SIZE = 5_242_880
MAX_HEADER = 102_400
MAX_FIELDS = 1000
MAX_DEPTH = 20
MAX_PARTS = 100
MAX_LEAF_TEXT = 262_144
"""Octets of one part that are decoded to text."""

_FIELD = re.compile(rb"[!-9;-~]{1,100}[ \t]{0,20}:")
_PARAMETER = re.compile(r';\s{0,20}([\w.*-]{1,60})\s{0,20}=\s{0,20}(?:"([^"]*)"|([^\s;"]+))')
_CHARSET = re.compile(
    r"utf-?8|us-ascii|ascii|iso-8859-(?:[1-9]|1[013-6])|iso-2022-(?:jp|kr)|windows-125\d|koi8-[ru]"
    r"|gb2312|gbk|gb18030|big5|euc-(?:jp|kr)|shift_jis|ks_c_5601-1987"
)
"""Charsets of real mail; among Python's other codecs are slow ones and ones that are no charset."""
_ENDED_TWICE = re.compile(rb"(?<!\r)\r\r+\n")
_LINE_REST = rb"(--)?[ \t]*(?:\Z|(?=\n))"
_BLOCK_TAG = re.compile(
    r"<(?:br|/?p|/?div|/?tr|/?li|/?h\d|/?table|hr|/?pre|/?td)\b[^<>]*>", re.IGNORECASE
)
_TAG = re.compile(r"<[a-zA-Z/!][^<>@]*>")
_UNPRINTABLE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_INVISIBLE = re.compile(r"<(style|script|head)\b", re.IGNORECASE)


@frozen
class Fields:
    """Header fields in their order: lower-case name and unfolded value."""

    items: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Return the first value of a field, "" when there is none."""
        return next((value for key, value in self.items if key == name), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a field."""
        return tuple(value for key, value in self.items if key == name)

    def has(self, name: str) -> bool:
        """Return whether there is such a field."""
        return any(key == name for key, _ in self.items)


NO_FIELDS = Fields(())


@frozen
class Part:
    """A part of a body that has no parts of its own; an enclosed message is one such part.

    Attributes:
        content_type: "text/plain" and the like, lower case.
        fields: its own header fields.
        body: as it stands, line ends LF, nothing decoded.
        charset: lower case, "" where none is given.
    """

    content_type: str
    fields: Fields
    body: bytes
    charset: str

    @property
    def octets(self) -> bytes:
        """The body with its transfer encoding taken off (RFC 2045 6)."""
        encoding = self.fields.get("content-transfer-encoding").strip().lower()
        return _decoded(self.body, encoding)

    @property
    def text(self) -> str:
        """The body as text: decoded, of HTML only what a reader sees."""
        octets = self.octets[:MAX_LEAF_TEXT]
        text = decode_text(octets, self.charset)
        return plain_of_html(text) if self.content_type == "text/html" else text


@frozen
class Mail:
    """A mail that was read.

    Attributes:
        fields: its header.
        content_type: of the whole, such as "multipart/report".
        report_type: the parameter of that name (RFC 6522), lower case; "" for none.
        parts: the leaves, in their order; at least one.
    """

    fields: Fields
    content_type: str
    report_type: str
    parts: tuple[Part, ...]


def read_mail(data: bytes) -> Mail:
    """Read a mail with any line ends; beyond MAX_SIZE it is cut."""
    data = _unix_lines(data[:MAX_SIZE]).lstrip()
    fields, body = split_entity(data)
    content_type, parameters = content_type_of(fields)
    parts = islice(_leaves(fields, body, 0), MAX_PARTS)
    return Mail(fields, content_type, parameters.get("report-type", "").lower(), tuple(parts))


def split_entity(data: bytes) -> tuple[Fields, bytes]:
    """Return the header fields and the body of an entity whose lines end in LF.

    The header ends at the first line that is no field, whether it is empty or not.
    """
    lines: list[list[bytes]] = []
    position = 0
    limit = min(len(data), MAX_HEADER)
    while position < limit and len(lines) < MAX_FIELDS:
        end = data.find(b"\n", position, limit)
        end = limit if end < 0 else end
        line = data[position:end]
        if not line.strip():
            return _fields(lines), data[end + 1 :]
        if line[:1] in b" \t" and lines:
            lines[-1].append(line)
        elif _FIELD.match(line):
            lines.append([line])
        elif not (not lines and line.startswith((b"From ", b">From "))):
            return _fields(lines), data[position:]
        position = end + 1
    # Beyond the caps: the rest of the header is given up, the body still counts.
    end = data.find(b"\n\n", max(position - 1, 0))
    return _fields(lines), data[end + 2 :] if end >= 0 else b""


def _fields(lines: list[list[bytes]]) -> Fields:
    items = []
    for first, *folded in lines:
        name, _, start = first.partition(b":")
        value = b" ".join(piece.strip() for piece in (start, *folded))
        items.append((name.strip().decode("ascii").lower(), decode_text(value.strip(), "")))
    return Fields(tuple(items))


def content_type_of(fields: Fields) -> tuple[str, dict[str, str]]:
    """Return the media type, lower case, and its parameters (RFC 2045 5.1)."""
    value = fields.get("content-type")[:4000]
    media = value.partition(";")[0].partition(" ")[0].strip().lower() or "text/plain"
    parameters = {
        match[1].lower().partition("*")[0]: (match[2] if match[2] is not None else match[3])
        for match in _PARAMETER.finditer(value)
    }
    return media, parameters


def _leaves(fields: Fields, body: bytes, depth: int) -> Iterator[Part]:
    media, parameters = content_type_of(fields)
    if media.startswith("multipart/") and depth < MAX_DEPTH:
        pieces = _split(body, parameters.get("boundary", ""))
        if pieces:
            for piece in pieces:
                part_fields, part_body = split_entity(piece)
                yield from _leaves(part_fields, part_body, depth + 1)
            return
        media = "text/plain"
    yield Part(media, fields, body, parameters.get("charset", "").strip().lower())


def _split(body: bytes, boundary: str) -> list[bytes]:
    """Return the parts between boundary lines (RFC 2046 5.1.1); none without a boundary.

    Where no line is the boundary that the header names, the first line that could be one is.
    """
    padded = b"\n" + body
    for delimiter in (b"\n--" + boundary.encode("utf-8", "replace"), _guess(padded)):
        if len(delimiter) > 3 and delimiter in padded:
            return list(_between(padded, re.compile(re.escape(delimiter) + _LINE_REST)))
    return []


def _between(padded: bytes, delimiter: re.Pattern[bytes]) -> Iterator[bytes]:
    """Yield what stands between delimiter lines, the last of which may be missing."""
    start = -1
    for found in islice(delimiter.finditer(padded), MAX_PARTS + 1):
        if start >= 0:
            yield padded[start : max(start, found.start())]
        if found[1]:
            return
        start = found.end() + 1  # behind the line end, which an empty part shares
    if start >= 0:
        yield padded[start:]


def _guess(padded: bytes) -> bytes:
    start = padded.find(b"\n--")
    line = padded[start:].split(b"\n", 2)[1].rstrip() if start >= 0 else b""
    return b"\n" + line if len(line) > 8 and b" " not in line else b""


def _unix_lines(data: bytes) -> bytes:
    if b"\r\r\n" in data:  # of a gateway that ended lines that were ended
        data = _ENDED_TWICE.sub(b"\n", data)
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        try:
            return _unix_lines(binascii.a2b_base64(body + b"=="))
        except binascii.Error:
            return body
    if encoding == "quoted-printable":
        return _unix_lines(binascii.a2b_qp(body))
    return body


def decode_text(octets: bytes, charset: str) -> str:
    """Return octets as text; without a usable charset as what they look like."""
    if charset and charset not in {"us-ascii", "ascii"} and _CHARSET.fullmatch(charset):
        return octets.decode(charset, "replace")
    if b"\x1b$" in octets:
        return octets.decode("iso-2022-jp", "replace")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def plain_of_html(text: str) -> str:
    """Return what a reader sees of HTML, one line for each block; an address in <> stays."""
    visible = []
    position = 0
    while match := _INVISIBLE.search(text, position):
        visible.append(text[position : match.start()])
        end = text.lower().find(f"</{match[1].lower()}", match.end()) if len(visible) < 20 else -1
        position = len(text) if end < 0 else end
    visible.append(text[position:])
    return html.unescape(_TAG.sub("", _BLOCK_TAG.sub("\n", "".join(visible))))


def display_text(value: str) -> str:
    """Return a field value with its encoded words decoded (RFC 2047)."""
    return decode_words(value.encode("utf-8", "replace"))


def printable_text(text: str) -> str:
    """Return the text with controls, line separators and invisible marks as spaces; LF stays."""
    return _UNPRINTABLE.sub(" ", text)
