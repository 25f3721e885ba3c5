"""Reading the text of header fields: encoded words and address lists, leniently and in linear time.

For display and for finding the sender's domain, never for rewriting: what is delivered stays as the
client wrote it. Not here: fields and blocks (header.py), strict addresses (address.py).
Follows RFC 2047 and RFC 5322 3.4, the obsolete forms of 4.4 only as far as old mail needs them.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from itertools import groupby

MAX_VALUE = 16_384
"""Octets of a field value that are looked at; a display needs no more."""
MAX_MAILBOXES = 100
"""Mailboxes kept for display."""

_WORD = re.compile(
    r"=\?([A-Za-z0-9_-]{2,20}+)(?:\*[A-Za-z0-9-]{1,20}+)?\?([bBqQ])\?([ ->@-~]*+)\?="
)
_CHARSET = re.compile(
    r"utf-?8|us-ascii|ascii|iso-8859-\d{1,2}|iso-2022-(?:jp|kr)|windows-125\d|koi8-[ru]"
    r"|gb2312|gbk|gb18030|big5|euc-(?:jp|kr)|shift_jis|ks_c_5601-1987"
)
"""Charsets of real mail; among Python's other codecs are slow ones and ones that are no charset."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_SIMPLE = re.compile(r"([\w .'-]*+)<([\w@.+-]++)>|([\w@.+-]++)", re.ASCII)
"""One mailbox that nothing is to be decoded in, as most are."""
_TOKEN = re.compile(
    r'(?P<quoted>"[^"\\]*+(?:\\.[^"\\]*+)*"?)|(?P<angle><[^<>]*+>?)|(?P<literal>\[[^\[\]]*+\]?)'
    r'|(?P<special>[(,:;])|(?P<text>[^"<\[(,:;]++)',
    re.DOTALL,
)
_COMMENT = re.compile(r"\\.|[()]|[^\\()]++|\\", re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def plain_text(value: bytes) -> str:
    """Return a field value as printable text, nothing decoded but UTF-8.

    Control characters and line ends become spaces. Only the first MAX_VALUE octets count.
    """
    text = value[:MAX_VALUE].decode("utf-8", "replace")
    return text if text.isprintable() else _UNPRINTABLE.sub(" ", text)


def decode_words(value: bytes) -> str:
    """Return a field value as text for display, its encoded words decoded (RFC 2047).

    An encoded word that cannot be decoded stays as it is; otherwise as plain_text, also for what
    the encoded words held.
    """
    text = plain_text(value)
    if "=?" not in text:
        return text
    pieces: list[tuple[str, bytes]] = []
    position = 0
    for word in _WORD.finditer(text):
        gap = text[position : word.start()]
        if gap.strip() or not pieces:  # white space between two encoded words is not text
            pieces.append(("utf-8", gap.encode()))
        pieces.append(_octets(word))
        position = word.end()
    pieces.append(("utf-8", text[position:].encode()))
    # One character may be cut in two by the border of two words, so equal charsets are joined.
    decoded = "".join(
        _text(charset, b"".join(octets for _, octets in group))
        for charset, group in groupby(pieces, key=lambda piece: piece[0])
    )
    return _UNPRINTABLE.sub(" ", decoded)


def read_mailboxes(value: bytes, *, limit: int = MAX_MAILBOXES) -> tuple[tuple[str, str], ...]:
    """Return the mailboxes of an address list as pairs of display name and address text.

    Names are decoded, "" where there is none; comments are dropped; members of a group stand in
    line with the others. Nothing says that an address is valid. A mailbox with two angle addresses
    has "" as address, since readers disagree on which one counts.

    Args:
        value: unfolded; only the first MAX_VALUE octets count.
        limit: mailboxes to return at most.
    """
    whole = plain_text(value)
    if simple := _SIMPLE.fullmatch(whole):
        name, address, bare = simple.groups()
        return (("", bare),) if bare else ((name.strip(), address),)
    found: list[tuple[str, str]] = []
    name, angles = "", list[str]()
    for kind, text in (*_tokens(whole), ("special", ",")):
        if kind == "angle":
            angles.append(text.strip("<> \t"))
        elif kind != "special":
            name += text
        elif text == ":" and not angles:
            name = ""  # it was the name of a group
        else:
            if angles or name.strip():
                found.append(_mailbox(name.strip(), angles))
            name, angles = "", []
        if len(found) == limit:
            break
    return tuple(found)


def _mailbox(name: str, angles: list[str]) -> tuple[str, str]:
    if not angles:
        return "", name
    if name.startswith('"'):
        name = _QUOTED_PAIR.sub(r"\1", name.removeprefix('"').removesuffix('"'))
    return decode_words(name.encode()).strip(), angles[0] if len(angles) == 1 else ""


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each token outside comments."""
    position, depth = 0, 0
    while match := (_COMMENT if depth else _TOKEN).match(text, position):
        position = match.end()
        if match[0] == "(":
            depth += 1
        elif depth:
            depth -= match[0] == ")"
        else:
            yield match.lastgroup or "text", match[0]


def _octets(word: re.Match[str]) -> tuple[str, bytes]:
    """Return charset and octets of an encoded word; the word itself where it makes no sense."""
    charset, encoding, text = word[1].lower(), word[2], word[3]
    try:
        if not _CHARSET.fullmatch(charset):
            return "utf-8", word[0].encode()
        if encoding in "qQ":
            return charset, binascii.a2b_qp(text, header=True)
        return charset, binascii.a2b_base64(text + "==")
    except ValueError:
        return "utf-8", word[0].encode()


def _text(charset: str, octets: bytes) -> str:
    try:
        return octets.decode(charset, "replace")
    except LookupError:  # iso-8859-12 and its like
        return octets.decode("ascii", "replace")
