"""The published example of RFC 8463 appendix A: its keys, its two signatures, our arithmetic."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from dkim.util import parse_tag_value

from mta.core.canonical import body_hash, relaxed_header
from mta.core.header import Field, HeaderBlock, split_header
from mta.dkim_keys import PrivateKey

MESSAGE = (Path(__file__).parents[1] / "data/dkim/rfc8463.eml").read_bytes().replace(b"\n", b"\r\n")
RSA_PUBLIC_KEY = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J1"
    "6JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2"
    "EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)
ED25519_PUBLIC_KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
ED25519_SEED = b"nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="

HEADER, BODY_AT = split_header(MESSAGE)
BLOCK = HeaderBlock.parse(HEADER)
SIGNATURES = {parse_tag_value(field.value)[b"a"]: field for field in BLOCK.all(b"DKIM-Signature")}


def signed_data(signature: Field) -> bytes:
    """Return what the signature covers, with our canonical form (RFC 6376 3.7)."""
    left = list(BLOCK.fields)
    canonical = b""
    for name in re.split(rb"\s*:\s*", parse_tag_value(signature.value)[b"h"]):
        found = [field for field in left if field.lower == name.lower()]
        if found:
            left.remove(found[-1])
            canonical += relaxed_header(found[-1].raw)
    unsigned = re.sub(rb"(;\s*b=)[^;]*$", rb"\1", signature.raw)
    return canonical + relaxed_header(unsigned + b"\r\n")[:-2]


def signature_bytes(signature: Field) -> bytes:
    return base64.b64decode(parse_tag_value(signature.value)[b"b"])


@pytest.mark.parametrize("algorithm", SIGNATURES)
def test_body_hash(algorithm: bytes) -> None:
    published = parse_tag_value(SIGNATURES[algorithm].value)[b"bh"]
    assert base64.b64encode(body_hash(MESSAGE[BODY_AT:])) == published


def test_rsa_signature() -> None:
    key = load_der_public_key(base64.b64decode(RSA_PUBLIC_KEY))
    assert isinstance(key, RSAPublicKey)
    signature = SIGNATURES[b"rsa-sha256"]
    key.verify(signature_bytes(signature), signed_data(signature), PKCS1v15(), SHA256())


def test_ed25519_signature() -> None:
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(ED25519_PUBLIC_KEY))
    signature = SIGNATURES[b"ed25519-sha256"]
    key.verify(signature_bytes(signature), hashlib.sha256(signed_data(signature)).digest())


def test_our_ed25519_signature_is_the_published_one() -> None:
    key = PrivateKey.parse(ED25519_SEED)
    signature = SIGNATURES[b"ed25519-sha256"]
    assert key.public_key == ED25519_PUBLIC_KEY
    assert key.sign(signed_data(signature)) == signature_bytes(signature)
