"""What a configuration allows but an operator would regret: warnings for `mta check` and start-up.

Looks at the files that the settings name (are they there, who may read them), changes nothing.
What cannot work at all is an error and belongs to settings.py.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from config.settings import Settings, is_there
from config.units import FALLBACK_HOSTNAME, Endpoint


def warnings(settings: Settings, source: Path) -> tuple[str, ...]:
    """Return one line per risk, each beginning with the key that it is about.

    Args:
        settings: as loaded.
        source: the file that they were loaded from.
    """
    found = [*_identity(settings), *_doors(settings), *_outgoing(settings), *_tls_files(settings)]
    if any(pin.credentials for pin in settings.routing.values()) and _is_open(source):
        found.append(f"routing: {source} holds a password and everyone may read it; chmod 0640")
    return tuple(found)


def _identity(settings: Settings) -> Iterator[str]:
    name = settings.server.hostname
    if name == FALLBACK_HOSTNAME or "." not in name:
        yield f"server.hostname: {name} is not a full name; set the one that PTR leads to"


def _doors(settings: Settings) -> Iterator[str]:
    submission, api = settings.submission, settings.api.listen
    if api is not None and not _is_loopback(api):
        yield f"api.listen: {api} speaks plain HTTP beyond this machine; put a TLS proxy in front"
    is_remote = any(not _is_loopback(endpoint) for endpoint in submission.listen)
    if is_remote and not submission.require_tls_for_auth:
        yield "smtp.submission.require_tls_for_auth: API keys may cross the network in clear"
    elif is_remote and settings.tls.certificate is None:
        yield "smtp.submission.listen: without [tls] nobody beyond trusted_networks can log in"
    for network in submission.trusted_networks:
        if not network.is_private:
            yield (
                f"smtp.submission.trusted_networks: {network} holds public addresses; "
                "whoever is there sends without a password"
            )
    if settings.reports.domain and not settings.reports.listen:
        yield "smtp.reports.listen: empty; reports to smtp.reports.domain must be imported"


def _outgoing(settings: Settings) -> Iterator[str]:
    if settings.delivery.allow_private_destinations:
        yield "delivery.allow_private_destinations: senders can reach hosts of your own network"
    if settings.delivery.final_timeout < timedelta(minutes=10):
        yield "delivery.final_timeout: under 10m slow servers get mail twice (RFC 5321 4.5.3.2.6)"
    if not settings.dkim.algorithms:
        yield "dkim.algorithms: empty, no mail is signed"


def _tls_files(settings: Settings) -> Iterator[str]:
    for key, path in (("certificate", settings.tls.certificate), ("key", settings.tls.key)):
        if path is not None and not os.access(path, os.R_OK):
            state = "is not there" if is_there(path) is False else "cannot be read by this user"
            yield f"tls.{key}: {path} {state}"
    if settings.tls.key is not None and _is_open(settings.tls.key):
        yield f"tls.key: everyone may read {settings.tls.key}; chmod 0640 or 0600"


def _is_open(path: Path) -> bool:
    """Tell whether everyone may read or write a file; False where it is not there."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return bool(mode & (stat.S_IROTH | stat.S_IWOTH))


def _is_loopback(endpoint: Endpoint) -> bool:
    try:
        return ipaddress.ip_address(endpoint.host).is_loopback
    except ValueError:
        return endpoint.host == "localhost"
