"""Routing pins: "send this domain's mail to that server", written as a URL in mta.toml.

    smtp://host[:25]                 STARTTLS where offered
    smtp://user:password@host:587    STARTTLS required and verified, unless the host is loopback
    smtps://user:password@host[:465] TLS from the first byte, verified

Not here: connecting (mta/smtp_client.py). User and password are percent-encoded (RFC 3986 2.1).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote

from mta.core.frozen import frozen
from mta.core.network import parse_endpoint
from mta.core.route import Credentials, TlsMode

_DEFAULT_PORTS = {"smtp": 25, "smtps": 465}
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class PinError(ValueError):
    """The text is not a pin; the message says what is allowed and never shows a password."""


@frozen
class Pin:
    """One server that mail is sent to instead of the MX hosts.

    Attributes:
        host: name in lower case, or an IP address without brackets.
        port: TCP port, 1 to 65535.
        tls: how the session is secured.
        credentials: for AUTH; None to send without.
    """

    host: str
    port: int
    tls: TlsMode
    credentials: Credentials | None = None


def parse_pin(text: str) -> Pin:
    """Return the pin that a URL describes.

    Raises:
        PinError: another scheme, a path, a bad host or port, or a user without a password.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _DEFAULT_PORTS:
        raise PinError('expected "smtp://host:port" or "smtps://host:port"')
    user_info, at, host_port = rest.rpartition("@")
    try:
        host, port = parse_endpoint(host_port, default_port=_DEFAULT_PORTS[scheme])
    except ValueError as error:
        raise PinError(f"bad server in the URL: {error}") from None
    if port == 0:
        raise PinError("the port must be 1 to 65535")
    credentials = _credentials(user_info) if at else None
    return Pin(host, port, _tls_mode(scheme, host, has_password=bool(at)), credentials)


def _credentials(user_info: str) -> Credentials:
    user, _, password = user_info.partition(":")
    if not user or not password:
        raise PinError("a user name needs a password: smtp://user:password@host")
    if _BAD_PERCENT.search(user_info):
        raise PinError("a % in user name or password must be written %25")
    try:
        user, password = unquote(user, errors="strict"), unquote(password, errors="strict")
    except UnicodeDecodeError:
        raise PinError("user name and password must be percent-encoded UTF-8") from None
    if _CONTROL.search(user + password):
        raise PinError("user name and password may not contain control characters")
    return Credentials(user, password)


def _tls_mode(scheme: str, host: str, *, has_password: bool) -> TlsMode:
    if scheme == "smtps":
        return TlsMode.IMPLICIT
    if has_password and not _is_loopback(host):
        return TlsMode.VERIFIED
    return TlsMode.OPPORTUNISTIC


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
