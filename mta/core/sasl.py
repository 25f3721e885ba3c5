"""SASL mechanisms as generators: each yields challenges, takes responses, returns a Login.

PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login, what old mail programs speak). Both send the
password in clear, so the session that carries them should be encrypted. Not here: the AUTH command
(mta/smtp_commands.py) and who the login is (a Handler).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Generator
from dataclasses import field

from mta.core.esmtp import Refusal
from mta.core.frozen import frozen

MAX_RESPONSE = 12_288
"""Octets of a response in base64, CRLF included (RFC 4954 4)."""


@frozen
class Login:
    """What a client says it is; repr shows no password."""

    user: str
    password: bytes = field(repr=False)


Exchange = Generator[bytes, bytes, Login]
"""Yields challenges, is sent the decoded responses, returns the login or raises Refusal."""


def plain(initial: bytes | None) -> Exchange:
    """Read "authorization NUL user NUL password"; the authorization identity is ignored."""
    response = (yield b"") if initial is None else initial
    parts = response.split(b"\0")
    if len(parts) != 3:
        raise Refusal(501, "5.5.2", "PLAIN takes an identity, a user and a password")
    return Login(_text(parts[1]), parts[2])


def login(initial: bytes | None) -> Exchange:
    """Ask for the user name, unless it came with the command, and for the password."""
    user = (yield b"Username:") if initial is None else initial
    password = yield b"Password:"
    return Login(_text(user), password)


MECHANISMS: dict[str, Callable[[bytes | None], Exchange]] = {"PLAIN": plain, "LOGIN": login}
"""Name in upper case -> the exchange; it starts with the initial response, None when not given."""


def decode_response(text: bytes) -> bytes:
    """Return the octets of a response line without its CRLF.

    Raises:
        Refusal: "*", by which the client cancels, or no base64 (RFC 4954 4).
    """
    if text == b"*":
        raise Refusal(501, "5.7.0", "Authentication cancelled")
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        raise Refusal(501, "5.5.2", "That is not base64") from None


def decode_initial(text: str) -> bytes:
    """Return the octets of an initial response, where "=" stands for an empty one (RFC 4954 4)."""
    return b"" if text == "=" else decode_response(text.encode())


def _text(user: bytes) -> str:
    try:
        return user.decode()
    except UnicodeDecodeError:
        raise Refusal(501, "5.5.2", "A user name must be UTF-8") from None
