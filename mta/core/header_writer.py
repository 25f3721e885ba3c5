"""Writing header fields from text that strangers wrote: encoded, folded, proven not to inject.

A field is a pair (name, pieces). Every piece begins with the space at which a line may break, and
header_block is the only place that turns pairs into bytes. Python's own email package is not used
here: up to 3.12 a display name can make it write a line break.

Not here: reading headers (header.py), and which fields a message gets (mime.py).
Follows RFC 5322 2.2 and 3.2 to 3.4, RFC 2047, RFC 2231, and RFC 6532 for local parts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from mta.core.address import Address
from mta.core.encoded_words import MAX_WORD, chunks, encode_words
from mta.core.frozen import frozen

MAX_FOLDED = 76
"""Where lines fold: the limit of lines with encoded words (RFC 2047 2)."""
MAX_LINE = 998
"""Octets of any line without its CRLF (RFC 5322 2.1.1)."""
MAX_PIECE = 900
"""Characters that cannot be folded and share a line with the field name, so less than MAX_LINE."""

_SECTION = 50
"""Characters of a file name's percent encoding in one line, behind "filename*0*=utf-8''"."""

FieldText = tuple[str, Sequence[str]]
"""Field name and pieces: ("To", [" Ant", " <ant@example.com>"])."""

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PIECE = re.compile(" +[^ ]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ATOMS = re.compile(f"{_ATOM}(?: {_ATOM})*")
_NOT_IN_FILENAME = re.compile(r"[^A-Za-z0-9 !#$&'()+,.;=@^_`{}~-]")
_LINE = rb" *+[!-~\x80-\xff][ -~\x80-\xff]*+\r\n"
_BLOCK = re.compile(rb"(?:[!-9;-~]++:(?:\r\n|%s)(?:(?= )%s)*)*" % (_LINE, _LINE))


class ComposeError(ValueError):
    """The draft cannot become a message.

    Attributes:
        field: what is wrong, as the API names it: "subject", "to[1]", "attachments[0].filename".
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


@frozen
class Mailbox:
    """A display name, "" for none, and an address (RFC 5322 3.4)."""

    name: str
    address: Address


def check_text(text: str, field: str) -> None:
    """Refuse what has no place in one header line: controls, line ends of any kind, surrogates.

    Raises:
        ComposeError: naming `field` and the character.
    """
    if match := _UNSAFE.search(text):
        raise ComposeError(field, f"contains the character U+{ord(match[0]):04X}")


def plain(text: str) -> list[str]:
    """Return pieces for ASCII text that readers must find unchanged, outer spaces dropped."""
    return _PIECE.findall(f" {text.strip(' ')}")


def unstructured(text: str) -> list[str]:
    """Return pieces for free text such as a subject (RFC 5322 3.2.5), outer spaces dropped.

    From the first to the last word that needs it, text becomes encoded words; the rest stays
    readable.
    """
    pieces = plain(text)
    special = [index for index, piece in enumerate(pieces) if _needs_encoding(piece)]
    if not special:
        return pieces
    first, after = special[0], special[-1] + 1
    words = encode_words("".join(pieces[first:after])[1:])
    return [*pieces[:first], *(f" {word}" for word in words), *pieces[after:]]


def mailboxes(boxes: Sequence[Mailbox]) -> list[str]:
    """Return pieces for an address list of at least one (RFC 5322 3.4)."""
    pieces: list[str] = []
    for box in boxes:
        phrase = _phrase(box.name)
        pieces += [*phrase, f" <{box.address}>," if phrase else f" {box.address},"]
    return [*pieces[:-1], pieces[-1].removesuffix(",")]


def parameters(value: str, items: Sequence[str]) -> list[str]:
    """Return pieces for a value with parameters (RFC 2045 5.1); the items are never broken."""
    *rest, last = [value, *items]
    return [*(f" {item};" for item in rest), f" {last}"]


def filename_parameters(filename: str) -> list[str]:
    """Return the parameters that carry a file name: one, or RFC 2231 with an ASCII name beside it.

    The encoded name comes first: readers that know both take it, and some take the first they see.
    """
    simple = _ascii_filename(filename)
    fallback = f'filename="{simple}"'
    if simple == filename:
        return [fallback]
    first, *more = [_percent(chunk) for chunk in chunks(filename, _SECTION, _percent)]
    section = "*0" if more else ""
    continued = [f"filename*{number}*={chunk}" for number, chunk in enumerate(more, 1)]
    return [f"filename{section}*=utf-8''{first}", *continued, fallback]


def header_block(fields: Sequence[FieldText]) -> bytes:
    """Return the fields folded, each line with CRLF, without the blank line that ends a header.

    Raises:
        ComposeError: the bytes do not hold exactly these fields. The checks before this one should
            have refused such text; here nothing can get past.
    """
    block = "".join([fold(name, pieces) for name, pieces in fields]).encode()
    names = "".join([name for name, _ in fields])
    starts = block.count(b"\r\n") - block.count(b"\r\n ")  # with such names, one a field at least
    has_only_these = ":" not in names and " " not in names and starts == len(fields)
    if not has_only_these or not _BLOCK.fullmatch(block) or _has_long_line(block):
        raise ComposeError("headers", "would break the header apart")
    return block


def _has_long_line(block: bytes) -> bool:
    return len(block) > MAX_LINE and max(map(len, block.split(b"\r\n"))) > MAX_LINE


def fold(name: str, pieces: Sequence[str]) -> str:
    """Return one field in lines of at most MAX_FOLDED characters, or of one longer piece each.

    Such a piece follows its name in the same line: a fold in between would not shorten it enough.
    """
    whole = f"{name}:{''.join(pieces)}"
    if len(whole) <= MAX_FOLDED:
        return f"{whole}\r\n"
    line, rest = f"{name}:", list(pieces)
    if rest and len(rest[0]) > MAX_FOLDED:
        line += rest.pop(0)
    lines = [line]
    for piece in rest:
        if len(lines[-1]) + len(piece) > MAX_FOLDED:
            lines.append(piece)
        else:
            lines[-1] += piece
    return "\r\n".join(lines) + "\r\n"


def _needs_encoding(piece: str) -> bool:
    return not piece.isascii() or "=?" in piece or len(piece) > MAX_PIECE


@lru_cache(maxsize=256)
def _phrase(name: str) -> tuple[str, ...]:
    """Return pieces for a display name: atoms, a quoted string, or encoded words."""
    name = name.strip(" ")
    if not name:
        return ()
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if not name.isascii() or "=?" in name or len(quoted) > MAX_WORD:
        return tuple([f" {word}" for word in encode_words(name)])
    return tuple(plain(name)) if _ATOMS.fullmatch(name) else (f" {quoted}",)


def _percent(text: str) -> str:
    """Return text in percent encoding (RFC 2231 7), more of it than need be."""
    return quote(text, safe="")


def _ascii_filename(filename: str) -> str:
    """Return a name as alike as possible that needs neither encoding nor escapes."""
    letters = [
        unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "_"
        for letter in unicodedata.normalize("NFC", filename)
    ]
    return _NOT_IN_FILENAME.sub("_", "".join(letters))
