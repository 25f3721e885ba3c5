"""Encoded words: header text of any script as ASCII (RFC 2047).

Not here: which text needs them and where a field folds (header_writer.py).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator

MAX_WORD = 64
"""Characters of one encoded word. RFC 2047 2 allows 75; 64 also fits behind "Reply-To: " in a line
of 76, so that a word never has to know what stands before it."""

_ROOM = MAX_WORD - len("=?utf-8?q??=")
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
"""What Q leaves alone: the set that is also safe in a display name (RFC 2047 5 rule 3)."""
_Q = tuple(chr(octet) if octet in _PLAIN else f"={octet:02X}" for octet in range(256))
_QUOTED = (*_Q[:32], "_", *_Q[33:])
"""Octet -> its Q encoding (RFC 2047 4.2); a space is an underscore."""


def encode_words(text: str) -> list[str]:
    """Return `text` as encoded words, to be written with white space between them.

    Readers drop that white space, so the text comes back exactly. Q or B is taken, whichever is
    shorter for the whole. No character is split between words (RFC 2047 5). `text` is not empty
    and has no lone surrogates.
    """
    octets = len(text.encode())
    if len(_quoted(text)) <= 4 * -(-octets // 3):
        return [f"=?utf-8?q?{_quoted(chunk)}?=" for chunk in chunks(text, _ROOM, _quoted)]
    return [
        f"=?utf-8?b?{b64encode(chunk.encode()).decode()}?="
        for chunk in chunks(text, _ROOM // 4 * 3, str.encode)
    ]


def chunks(text: str, room: int, encode: Callable[[str], str | bytes]) -> Iterator[str]:
    """Cut `text` into runs of whole characters, each at most `room` long once it is encoded."""
    start = used = 0
    for index, character in enumerate(text):
        size = len(encode(character))
        if used + size > room:
            yield text[start:index]
            start, used = index, 0
        used += size
    yield text[start:]


def _quoted(text: str) -> str:
    return "".join([_QUOTED[octet] for octet in text.encode()])
