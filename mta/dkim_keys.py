"""DKIM key pairs: making, reading, keeping and removing them.

A key lives in data_dir/keys/<domain>/<selector>.pem, readable by its owner only. The types and
exceptions of cryptography stay behind PrivateKey and KeyFileError.

Not here: signing mail (signing.py), which domain has which keys (storage/domains.py), and the DNS
record that publishes one (core/domain_records.py).
Follows RFC 6376 3.6.1, RFC 8301 for sizes, RFC 8463 for Ed25519.
"""

from __future__ import annotations

import asyncio
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mta.core.frozen import frozen
from storage.domains import DkimKeyRecord
from storage.errors import StorageUnavailable

RSA = "rsa-sha256"
ED25519 = "ed25519-sha256"

MIN_RSA_BITS = 2048
"""Mailbox providers want 2048; 1024 is the floor of RFC 8301 3.2 and can be broken."""
MAX_RSA_BITS = 4096
"""Verifiers need not go beyond this (RFC 8301 3.2)."""

_PADDING, _HASH = PKCS1v15(), SHA256()
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SEED = re.compile(rb"[A-Za-z0-9+/]{43}=")


class KeyFileError(Exception):
    """A key, or where it should go, is unusable; the message is one line for the operator."""


@frozen
class PrivateKey:
    """A private key that signs; its repr shows no secret.

    Attributes:
        algorithm: RSA or ED25519.
        public_key: base64 for the p= tag: the SubjectPublicKeyInfo of RSA (RFC 6376 3.6.1), the
            32 bytes of Ed25519 (RFC 8463 4.2).
    """

    algorithm: str
    public_key: str
    _key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def generate(cls, algorithm: str) -> PrivateKey:
        """Make a new key: 2048 bits for RSA."""
        if algorithm == RSA:
            return cls._of(generate_private_key(public_exponent=65537, key_size=MIN_RSA_BITS))
        if algorithm == ED25519:
            return cls._of(Ed25519PrivateKey.generate())
        raise ValueError(f"no such DKIM algorithm: {algorithm}")

    @classmethod
    def parse(cls, data: bytes) -> PrivateKey:
        """Read a key: PEM as PKCS#8 or PKCS#1, or the base64 seed of an Ed25519 key.

        Raises:
            KeyFileError: no such thing, encrypted, another kind of key, or an RSA size that
                verifiers do not accept.
        """
        if _SEED.fullmatch(data.strip()):
            return cls._of(Ed25519PrivateKey.from_private_bytes(b64decode(data)))
        try:
            key = load_pem_private_key(data, password=None)
        except TypeError:
            raise KeyFileError("the private key is encrypted; decrypt it first") from None
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFileError("this is not a private key in PEM form") from None
        if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
            raise KeyFileError("the private key is neither RSA nor Ed25519")
        return cls._of(key)

    @classmethod
    def _of(cls, key: RSAPrivateKey | Ed25519PrivateKey) -> PrivateKey:
        if isinstance(key, Ed25519PrivateKey):
            return cls(ED25519, _base64(key.public_key().public_bytes_raw()), key)
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise KeyFileError(
                f"the RSA key has {key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are usable"
            )
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(RSA, _base64(public), key)

    def sign(self, data: bytes) -> bytes:
        """Return the signature over the SHA-256 of data (RFC 6376 3.3.2, RFC 8463 3)."""
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(sha256(data).digest())
        return self._key.sign(data, _PADDING, _HASH)

    def to_pem(self) -> bytes:
        """Return the key as unencrypted PKCS#8 PEM."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def create_keys(
    data_dir: Path, domain: str, selector: str, algorithms: Sequence[str], given_pem: bytes | None
) -> tuple[DkimKeyRecord, ...]:
    """Make and store the keys of a domain: one for each algorithm, and the one that is given.

    A key that is already in its file is taken, not replaced: its public half may be in the DNS.

    Args:
        data_dir: the engine's data directory.
        domain: A-label in lower case.
        selector: of the given key, else of the RSA key; selectors_for names the others.
        algorithms: of RSA and ED25519, in any order.
        given_pem: a key that the operator brings along, None for none.

    Raises:
        KeyFileError: a bad name or key, a file that holds another key, or the disk's refusal.
    """
    given = None if given_pem is None else PrivateKey.parse(given_pem)
    first = RSA if given is None else given.algorithm
    ordered = sorted({*algorithms, *([first] if given else [])}, key=lambda name: name != first)
    selectors = selectors_for(selector, ordered)
    files = {algorithm: key_file(domain, name) for algorithm, name in selectors.items()}
    records: list[DkimKeyRecord] = []
    for algorithm, file in files.items():
        wanted = given if given is not None and given.algorithm == algorithm else None
        key = _stored_key(data_dir / file, algorithm, wanted)
        records.append(DkimKeyRecord(selectors[algorithm], algorithm, file, key.public_key))
    return tuple(records)


class KeyFiles:
    """Makes and removes the keys of domains without holding up the event loop."""

    def __init__(self, data_dir: Path, algorithms: Sequence[str]) -> None:
        """Take where the keys are, and which a domain gets; none makes RSA."""
        self._data_dir = data_dir
        self._algorithms = algorithms

    async def make(self, domain: str, selector: str) -> tuple[DkimKeyRecord, ...]:
        """Do what create_keys does.

        Raises:
            StorageUnavailable: the disk refuses them, or their files hold other keys.
        """
        arguments = (self._data_dir, domain, selector, self._algorithms, None)
        try:
            return await asyncio.to_thread(create_keys, *arguments)
        except KeyFileError as error:
            raise StorageUnavailable(str(error)) from error

    async def remove(self, keys: Sequence[DkimKeyRecord]) -> None:
        """Delete the private halves of keys; those that are not there are no error."""
        await asyncio.to_thread(remove_keys, self._data_dir, keys)


def remove_keys(data_dir: Path, keys: Sequence[DkimKeyRecord]) -> None:
    """Delete the private halves of keys; those that are not there are no error."""
    for key in keys:
        (data_dir / key.key_file).unlink(missing_ok=True)


def selectors_for(selector: str, algorithms: Sequence[str]) -> dict[str, str]:
    """Return algorithm -> selector: the first has `selector`, others "-rsa" or "-ed25519" too."""
    suffixes = ["", *(f"-{algorithm.removesuffix('-sha256')}" for algorithm in algorithms[1:])]
    return {name: selector + suffix for name, suffix in zip(algorithms, suffixes, strict=True)}


def key_file(domain: str, selector: str) -> str:
    """Return the path of a key relative to the data directory.

    Raises:
        KeyFileError: a domain or selector that is no DNS name; it is never used in a path.
    """
    for what, name in (("domain", domain), ("selector", selector)):
        if not _NAME.fullmatch(name):
            raise KeyFileError(f"the {what} {name[:80]!a} is not a DNS name in lower case")
    if len(f"{selector}._domainkey.{domain}") > 253:
        raise KeyFileError("domain and selector together are too long for a DNS name")
    return f"keys/{domain}/{selector}.pem"


def _stored_key(path: Path, algorithm: str, given: PrivateKey | None) -> PrivateKey:
    """Return the key in the file, which is written first where there is none."""
    try:
        if not path.exists():
            _write(path, (given or PrivateKey.generate(algorithm)).to_pem())
        key = PrivateKey.parse(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"cannot store the key in {path}: {error.strerror}") from error
    if key.algorithm != algorithm or given not in {None, key}:
        raise KeyFileError(f"{path} already holds another key; choose another selector")
    return key


def _write(path: Path, pem: bytes) -> None:
    """Put a new file in place whole, for its owner's eyes only, and make it survive a power cut."""
    for directory in (path.parents[1], path.parents[0]):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    for directory in path.parents[:3]:
        _sync(directory)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
