"""`mta check`: what the configuration resolves to on this machine, and what is wrong with either.

A problem is what `mta serve` would stop at; a warning is what an operator would regret
(config/advice.py). Changes nothing: a port is tried and let go, no directory is made.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from config import bounce_rules
from config.advice import warnings
from config.settings import Bounces, Settings, SettingsError, Tls
from config.units import Endpoint
from mta.cli.clock import clock_problem
from mta.cli.environment import Environment
from mta.cli.failure import NOT_SO
from mta.cli.options import json_option
from mta.cli.output import Styled, print_fields, print_json, print_line, span
from mta.core.frozen import frozen
from mta.core.pin import Pin
from mta.kick import kick_engine
from storage.database import Database


@frozen
class Report:
    """What check found.

    Attributes:
        facts: name and value, in the order to show them.
        problems: what serving would stop at, a line each.
        warnings: what is allowed but unwise, a line each.
    """

    facts: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


@click.command()
@json_option
@click.pass_obj
def command(environment: Environment, is_json: bool) -> None:
    """Check the configuration and the machine; say what is wrong.

    Exit codes: 0 ready to serve, warnings or not; 1 it would not work; 2 the configuration is
    wrong.
    """
    report = examine(environment.settings, environment.source, environment.now())
    if is_json:
        print_json(
            {
                "settings": {_key(name): value for name, value in report.facts},
                "problems": report.problems,
                "warnings": report.warnings,
            }
        )
    else:
        _show(report)
    if report.problems:
        click.get_current_context().exit(NOT_SO)


def examine(settings: Settings, source: Path, now: datetime) -> Report:
    """Look at the settings and at the machine."""
    data_dir = settings.server.data_dir
    problems = [
        *_storage_problems(data_dir),
        *_tls_problems(settings.tls),
        *_rules_problems(settings.bounces),
    ]
    if problem := clock_problem(now):
        problems.append(problem)
    is_running = os.access(data_dir, os.X_OK) and kick_engine(data_dir)
    if not is_running:
        problems += filter(None, map(_port_problem, _endpoints(settings)))
    facts = _facts(settings, source, is_running=is_running)
    return Report(tuple(facts), tuple(problems), warnings(settings, source))


def _show(report: Report) -> None:
    print_fields(report.facts)
    for problem in report.problems:
        print_line(Styled("problem", "bad"), problem)
    for warning in report.warnings:
        print_line(Styled("warning", "waiting"), warning)
    print_line(Styled("not ready", "bad") if report.problems else Styled("ready", "good"))


def _facts(settings: Settings, source: Path, *, is_running: bool) -> Iterator[tuple[str, str]]:
    submission, retry = settings.submission, settings.delivery.retry
    yield "configuration", str(source.absolute())
    yield "hostname", settings.server.hostname
    yield "data directory", str(settings.server.data_dir)
    yield "engine", "running" if is_running else "not running"
    yield "SMTP", _listed(submission.listen, "off")
    yield "SMTP over TLS", _listed(submission.tls_listen, "off")
    yield "trusted networks", _listed(submission.trusted_networks, "none")
    yield "API", str(settings.api.listen or "off")
    yield "TLS certificate", str(settings.tls.certificate or "none: no STARTTLS")
    needs_domain = settings.policy.require_verified_domain
    yield "senders", "verified domains only" if needs_domain else "any domain"
    yield "DKIM signatures", _listed(settings.dkim.algorithms, "none")
    yield "DNS servers", _listed(settings.dns.nameservers, "those of /etc/resolv.conf")
    for domain, pin in settings.routing.items():
        yield f"mail for {domain}", describe_pin(pin)
    if "*" not in settings.routing:
        yield "other mail" if settings.routing else "mail", "to the MX hosts in the DNS"
    first, ceiling, lifetime = map(span, (retry.first, retry.ceiling, retry.lifetime))
    yield "retries", f"{first} after a deferral, then up to {ceiling} apart, for {lifetime}"
    yield "SQLite", _sqlite_version()


def _key(name: str) -> str:
    return name.lower().replace(" ", "_")


def describe_pin(pin: Pin) -> str:
    """Return where a pin leads, without its password."""
    user = f", as {pin.credentials.user}" if pin.credentials else ""
    return f"to {Endpoint(pin.host, pin.port)} ({pin.tls.value} TLS{user})"


def _listed(items: Iterable[object], when_empty: str) -> str:
    return ", ".join(map(str, items)) or when_empty


def _sqlite_version() -> str:
    """Return the version of the SQLite library, tried on a database that is thrown away.

    Raises:
        SqliteTooOld: it loses mail.
    """
    with TemporaryDirectory() as directory, closing(Database.open(Path(directory))) as database:
        [version] = database.read_now(lambda c: c.execute("SELECT sqlite_version()").fetchone())
    return str(version)


def _storage_problems(data_dir: Path) -> Iterator[str]:
    existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    if not existing.is_dir():
        yield f"server.data_dir: {existing} is not a directory"
    elif not os.access(existing, os.W_OK | os.X_OK, effective_ids=True):
        verb = "write to" if existing == data_dir else f"make {data_dir} in"
        yield f"server.data_dir: this user may not {verb} {existing}"


def _tls_problems(tls: Tls) -> Iterator[str]:
    if tls.certificate is None or tls.key is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            tls.certificate, tls.key
        )
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        yield f"tls: {tls.certificate} and {tls.key} are no pair that can be used: {reason}"
    except OSError as error:
        yield f"tls: {tls.certificate} and {tls.key}: {error.strerror}"


def _rules_problems(bounces: Bounces) -> Iterator[str]:
    try:
        bounce_rules.load(bounces.rules)
    except (SettingsError, OSError) as error:
        yield f"bounces.rules: {error}"


def _endpoints(settings: Settings) -> list[tuple[str, Endpoint]]:
    submission, api = settings.submission, settings.api.listen
    return [
        *(("smtp.submission.listen", endpoint) for endpoint in submission.listen),
        *(("smtp.submission.tls_listen", endpoint) for endpoint in submission.tls_listen),
        *([("api.listen", api)] if api else []),
    ]


def _port_problem(door: tuple[str, Endpoint]) -> str:
    """Return why nobody can listen there, "" when one can."""
    key, endpoint = door
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "another program listens there",
            errno.EACCES: "ports below 1024 need root, or the service unit",
            errno.EADDRNOTAVAIL: "this machine does not have that address",
        }
        return f"{key}: {endpoint}: {reasons.get(error.errno or 0, error.strerror)}"
    return ""
