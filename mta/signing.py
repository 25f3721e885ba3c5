"""DKIM signatures, made at delivery so that the stored message never changes.

dkimpy says which fields are signed. The arithmetic is OpenSSL's (dkim_keys.py) and the canonical
forms are our own (core/canonical.py): dkimpy needs 25 times as long for a signature, and quadratic
time for some bodies.

Not here: keys (dkim_keys.py), and verifying, which only the tests do.
Follows RFC 6376 5 with relaxed/relaxed, and RFC 8463. There is never an l= tag, which would let
anybody append to the body, and no x= tag, because queues and readers may be slow.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection, Container, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from stat import S_IRWXG, S_IRWXO

from dkim import DKIM

from mta.core.canonical import relaxed_header
from mta.core.frozen import frozen
from mta.core.header_writer import fold, plain
from mta.dkim_keys import KeyFileError, PrivateKey
from storage.domains import DkimKeyRecord

SIGNED: tuple[bytes, ...] = (
    *DKIM.SHOULD,
    b"list-unsubscribe-post",  # RFC 8058 4
    b"feedback-id",  # Gmail counts complaints by it only where it is signed
    b"cfbl-address",  # RFC 9477 3
    b"cfbl-feedback-id",
)
"""Fields that are signed as often as they occur, in lower case (RFC 6376 5.4.1)."""
OVERSIGNED = frozenset({b"from", b"reply-to", b"subject", b"date", b"message-id", b"to", b"cc"})
"""Fields signed once more than they occur, as Gmail does: adding one breaks the signature."""

LOOK_AGAIN = timedelta(seconds=1)
"""How long a key file is believed to be as it was."""

MAX_STARTS = 4096
"""Beginnings of signatures that are remembered, at some 1 KB each: one for each key and each set of
fields that its domain's mail has."""

_PLACES = {name: place for place, name in enumerate(SIGNED)}
_FIELD_END = re.compile(rb"\r\n(?![ \t])")


class SigningError(Exception):
    """No signature can be made, so the mail must wait; the message is one line for operators."""


@frozen
class _Loaded:
    """A private key, its file's time and inode, and when these were last compared."""

    version: tuple[int, int]
    key: PrivateKey
    looked_at: datetime


class Signer:
    """Signs for any domain; reads a key file when it is first needed and again when it changes."""

    def __init__(self, data_dir: Path, algorithms: Collection[str]) -> None:
        """Take the directory that key files are relative to, and the algorithms to sign with."""
        self._data_dir = data_dir
        self._algorithms = frozenset(algorithms)
        self._loaded: dict[DkimKeyRecord, _Loaded] = {}

    def sign(
        self,
        header: bytes,
        body_hash: bytes,
        *,
        domain: str,
        keys: Sequence[DkimKeyRecord],
        at: datetime,
    ) -> bytes:
        """Return the DKIM-Signature fields to put above the header, folded, each with its CRLF.

        Args:
            header: the header block as it will be sent, with or without its blank line.
            body_hash: Message.body_hash, which is the same for both algorithms.
            domain: the signing domain (d=), see key_domain.
            keys: of that domain; each whose algorithm is enabled gives one signature.
            at: time of signing (aware).

        Raises:
            SigningError: no such key, a key file that is missing, unreadable, open to others or not
                the one that was recorded, or a header without From.
        """
        usable = [key for key in keys if key.algorithm in self._algorithms]
        if not usable:
            raise SigningError(f"{domain} has no key for {' or '.join(sorted(self._algorithms))}")
        names, fields = _signed_fields(header)
        own = f" t={int(at.timestamp())};\r\n bh={b64encode(body_hash).decode()};\r\n b=".encode()
        canonical_own = own.replace(b"\r\n", b"")
        signatures: list[bytes] = []
        for key in usable:
            start = _start(domain, key.selector, key.algorithm, names)
            unsigned = fields + start.canonical + canonical_own
            signature = self._private_key(key, at).sign(unsigned)
            signatures += (start.folded, own, _folded(signature))
        return b"".join(signatures)

    def _private_key(self, record: DkimKeyRecord, at: datetime) -> PrivateKey:
        loaded = self._loaded.get(record)
        if loaded is not None and timedelta() <= at - loaded.looked_at < LOOK_AGAIN:
            return loaded.key
        path = self._data_dir / record.key_file
        try:
            fresh = self._load(path, loaded, at)
        except OSError as error:
            raise SigningError(f"{path}: {error.strerror}") from error
        except KeyFileError as error:
            raise SigningError(f"{path}: {error}") from error
        if (fresh.key.algorithm, fresh.key.public_key) != (record.algorithm, record.public_key):
            raise SigningError(
                f"{path}: not the {record.algorithm} key whose public half is in DNS"
            )
        self._loaded[record] = fresh
        return fresh.key

    def _load(self, path: Path, loaded: _Loaded | None, at: datetime) -> _Loaded:
        """Return the key of a file, parsed again only when its time or inode has changed."""
        status = path.stat()
        if status.st_mode & (S_IRWXG | S_IRWXO):
            raise KeyFileError("open to group or others; run chmod 600 on it")
        version = (status.st_mtime_ns, status.st_ino)
        if loaded is not None and loaded.version == version:
            return replace(loaded, looked_at=at)
        return _Loaded(version, PrivateKey.parse(path.read_bytes()), at)


def key_domain(sender_domain: str, domains: Container[str]) -> str | None:
    """Return the domain that signs for a sender's domain: itself, or its closest parent with keys.

    A parent's signature is aligned with the sender in DMARC's relaxed mode (RFC 7489 3.1.1).

    Args:
        sender_domain: domain of the From address, A-label in lower case.
        domains: those that have keys.

    Returns:
        None when no name of two labels or more is among them.
    """
    while "." in sender_domain:
        if sender_domain in domains:
            return sender_domain
        sender_domain = sender_domain.partition(".")[2]
    return None


def _signed_fields(header: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """Return the names for h= and the canonical fields that they stand for (RFC 6376 5.4.2).

    Of several fields of one name, the lowest comes first.
    """
    found: dict[bytes, list[bytes]] = {}
    for raw in _FIELD_END.split(header):
        name = raw.partition(b":")[0].rstrip(b" \t").lower()
        if name in _PLACES:
            found.setdefault(name, []).append(relaxed_header(raw))
    if b"from" not in found:
        raise SigningError("cannot sign: the header has no From field")
    names: list[bytes] = []
    fields: list[bytes] = []
    for name in sorted(found.keys() | OVERSIGNED, key=_PLACES.__getitem__):
        same = found.get(name, ())
        names += [name] * (len(same) + (name in OVERSIGNED))
        fields += reversed(same)
    return tuple(names), b"".join(fields)


@frozen
class _Start:
    """The tags that many messages share: folded, and in canonical form, both without a line end."""

    folded: bytes
    canonical: bytes


@lru_cache(MAX_STARTS)
def _start(domain: str, selector: str, algorithm: str, names: tuple[bytes, ...]) -> _Start:
    """Return the field up to h=, which folds between names, never inside (RFC 6376 3.5)."""
    listed = b": ".join(names).decode()
    tags = f"v=1; a={algorithm}; c=relaxed/relaxed; d={domain}; s={selector}; h={listed};"
    field = fold("DKIM-Signature", plain(tags)).encode()
    return _Start(field, relaxed_header(field).removesuffix(b"\r\n"))


def _folded(signature: bytes) -> bytes:
    """Return the value of b= in lines, with the CRLF that ends the field."""
    text = b64encode(signature)
    lines = [text[start : start + 72] for start in range(0, len(text), 72)]
    return b"\r\n ".join(lines) + b"\r\n"
