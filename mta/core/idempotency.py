"""Keys that say that two submissions are one: what is a key, and what is the same message.

Over HTTP the key is a request header and the body is compared (control_api/idempotency.py); over
SMTP it is a header field, and the same message is what this module says. Not here: where keys are
remembered (storage/idempotency.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from mta.core.envelope import Envelope
from mta.core.header import IDEMPOTENCY_FIELDS, Field, HeaderBlock, HeaderError

_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_MAY_DIFFER = {b"date", b"message-id", b"received", *(name.lower() for name in IDEMPOTENCY_FIELDS)}
"""Fields that a client may write anew when it tries again."""


def is_key(text: str) -> bool:
    """Tell whether text is a key: 1 to 255 printable ASCII characters, no space at either end."""
    return _KEY.fullmatch(text) is not None


def key_of(block: HeaderBlock) -> str:
    """Return the key in a message's header, "" when there is none.

    Raises:
        HeaderError: it is no key, or there are several that differ.
    """
    fields = [field for name in IDEMPOTENCY_FIELDS for field in block.all(name)]
    keys = {field.value.decode("latin-1") for field in fields}
    if len(keys) > 1:
        raise HeaderError("the header has several idempotency keys that differ")
    key = keys.pop() if keys else ""
    if fields and not is_key(key):
        raise HeaderError("an idempotency key has 1 to 255 printable ASCII characters")
    return key


def fingerprint(envelope: Envelope, header: bytes, body_hash: bytes) -> bytes:
    """Return what is equal for two messages that are one submission: 32 bytes.

    Args:
        envelope: return path, and recipients in any order.
        header: from header_digest.
        body_hash: as core.message.Message.body_hash.
    """
    recipients = sorted(str(one.address) for one in envelope.recipients)
    parts = [str(envelope.mail_from or ""), *recipients]
    return hashlib.sha256("\n".join(parts).encode() + b"\0" + header + body_hash).digest()


def header_digest(block: HeaderBlock) -> bytes:
    """Return a hash of the fields that say what a message is: all but Date, Message-ID, trace."""
    return hashlib.sha256(b"".join(_raw(block.fields))).digest()


def _raw(fields: Iterable[Field]) -> Iterable[bytes]:
    return (field.raw for field in fields if field.lower not in _MAY_DIFFER)
