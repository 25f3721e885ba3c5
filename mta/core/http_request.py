"""What an HTTP request may look like before anybody handles it (RFC 9110, RFC 9112).

Only what two readers could take for two different requests, or what costs memory without end, is
refused here. The parser under the server has refused most of it already: white space around names,
folded and bare-LF lines, several Content-Lengths, bad chunks. Not here: answering, which is the
application's part; a server hands it a Refusal under REFUSAL in the state of the request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mta.core.frozen import frozen

REFUSAL = "http_refusal"
"""The name under which a request's state holds its Refusal, where it has one."""

MAX_TARGET = 8192
"""Bytes of path and query (RFC 9110 4.1 asks for 8000 at least)."""
MAX_HEAD = 16_384
"""Bytes of target and header fields, or of trailer fields."""
MAX_FIELDS = 100

_HOST = re.compile(rb"[\w.%-]+(?::\d{0,5})?|\[[\da-fA-F:.]+\](?::\d{0,5})?", re.ASCII)
_VERSIONS = ("1.0", "1.1")
_SINGLE = (
    b"host",
    b"authorization",
    b"x-api-key",
    b"content-type",
    b"content-length",
    b"transfer-encoding",
    b"content-encoding",
    b"idempotency-key",
)
"""Fields that have one value: of two, a proxy may have looked at the other."""


@frozen
class Refusal:
    """Why a request is not handled.

    Attributes:
        status: HTTP status, 400 to 599.
        code: a word for programs, such as "malformed_request".
        message: a sentence for people.
        retry_after: seconds after which the same request may do; 0 for never.
    """

    status: int
    code: str
    message: str
    retry_after: int = 0


MALFORMED = Refusal(400, "malformed_request", "This is not HTTP/1.1 as RFC 9112 has it.")
TARGET_TOO_LONG = Refusal(
    414, "target_too_long", f"Path and query may have {MAX_TARGET} bytes at most."
)
HEAD_TOO_LARGE = Refusal(
    431,
    "headers_too_large",
    f"At most {MAX_FIELDS} header fields of {MAX_HEAD} bytes in all are allowed.",
)
TOO_SLOW = Refusal(408, "request_timeout", "The request took too long to arrive.")
CROWDED = Refusal(503, "overloaded", "There are too many connections.", retry_after=2)


def check_head(
    version: str, target: bytes, fields: Sequence[tuple[bytes, bytes]]
) -> Refusal | None:
    """Return why a request is refused because of its head, None when it may go on.

    Args:
        version: of HTTP, such as "1.1".
        target: as in the request line.
        fields: names in lower case, and values.
    """
    if version not in _VERSIONS:
        return Refusal(505, "version_unsupported", "HTTP/1.1 and HTTP/1.0 are spoken here.")
    if not target.startswith((b"/", b"http://", b"https://")):
        return _malformed("The target of a request starts with a slash")
    names = [name for name, _ in fields]
    for name in _SINGLE:
        if names.count(name) > 1:
            return _malformed(f"Several fields are named {name.decode()}")
    return _check_fields(version, dict(fields))


def _check_fields(version: str, fields: dict[bytes, bytes]) -> Refusal | None:
    if not _HOST.fullmatch(fields.get(b"host", b"" if version == "1.1" else b"none")):
        return _malformed("HTTP/1.1 asks for a Host, with a port perhaps")
    if fields.get(b"expect", b"100-continue").lower() != b"100-continue":
        return Refusal(417, "expectation_failed", "Expected 100-continue.")
    if b"transfer-encoding" in fields:
        refusal = _check_coding(version, fields)
        if refusal is not None:
            return refusal
    elif fields.get(b"content-length", b"0") == b"0":
        return None
    if b"upgrade" in fields:
        return Refusal(501, "upgrade_unsupported", "A request with a body cannot ask to upgrade.")
    return None


def _check_coding(version: str, fields: dict[bytes, bytes]) -> Refusal | None:
    if version == "1.0":
        return _malformed("HTTP/1.0 has no Transfer-Encoding")
    if b"content-length" in fields:
        return _malformed("Transfer-Encoding and Content-Length contradict each other")
    if fields[b"transfer-encoding"].strip().lower() != b"chunked":
        return Refusal(501, "coding_unsupported", "Bodies may be chunked, not compressed.")
    return None


def _malformed(why: str) -> Refusal:
    return Refusal(MALFORMED.status, MALFORMED.code, f"{why} (RFC 9112).")
