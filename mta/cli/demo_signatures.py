"""Checks DKIM signatures with the keys that should have made them: for the demo, which has no DNS.

Both algorithms give one signature for one text (PKCS #1 v1.5, and Ed25519 by design), so signing
what arrived once more must give what the signature says. Follows RFC 6376 3.7 and 6.1.3.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping

from mta.core.canonical import body_hash, relaxed_header
from mta.core.domain_check import tags
from mta.core.header import Field, HeaderBlock, split_header
from mta.dkim_keys import PrivateKey

_SIGNATURE_TAG = re.compile(rb"([;\s]b=)[^;]*")


def signatures(message: bytes, keys: Mapping[str, PrivateKey]) -> Iterator[tuple[str, bool]]:
    """Yield selector and validity of each signature on a message, from the top.

    Args:
        message: as it arrived.
        keys: selector -> key; a signature of any other selector is not valid.
    """
    header, body_at = split_header(message)
    block = HeaderBlock.parse(header)
    body_digest = b64encode(body_hash(message[body_at:])).decode()
    for field in block.all(b"dkim-signature"):
        values = tags(field.value.decode())
        key = keys.get(values["s"])
        is_valid = (
            key is not None
            and values["bh"] == body_digest
            and key.sign(_signed_text(block, field, values["h"])) == b64decode(values["b"])
        )
        yield values["s"], is_valid


def _signed_text(block: HeaderBlock, signature: Field, names: str) -> bytes:
    """Return the canonical fields that h= names, lowest first, then the signature less its b=."""
    waiting = {name: list(block.all(name.encode())) for name in names.lower().split(":")}
    chosen = [waiting[name].pop() for name in names.lower().split(":") if waiting[name]]
    unsigned = _SIGNATURE_TAG.sub(rb"\1", signature.raw)
    fields = b"".join(relaxed_header(field.raw) for field in chosen)
    return fields + relaxed_header(unsigned).removesuffix(b"\r\n")
