"""What `mta doctor` sees on this machine: configuration, lock, data, disk, clock, ports, TLS."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from config.settings import Settings, Tls
from mta.cli.check import examine
from mta.cli.doctor_finding import Finding, bad, good, warning
from mta.cli.store import has_database
from mta.kick import kick_engine
from mta.tls_certificate import TlsCertificateError, valid_until
from storage import examination
from storage.database import Database
from storage.errors import StorageError

MEBIBYTE = 2**20
LARGE_WAL = 256 * MEBIBYTE
"""A write-ahead log beyond this is not emptied any more: something reads and never ends."""
CERTIFICATE_SOON = timedelta(days=14)
AHEAD = timedelta(minutes=5)
"""The newest event may be this far in the future before the clock is doubted."""


def examine_machine(settings: Settings, source: Path, now: datetime) -> list[Finding]:
    """Return all findings, in the order to show them."""
    data_dir = settings.server.data_dir
    findings = [*_configuration(settings, source, now), *_modes(settings, source)]
    if has_database(data_dir):
        findings += [*_engine(data_dir), *_data(data_dir, now)]
    else:
        findings.append(warning("data", f"{data_dir}: nothing there yet; `mta serve` makes it"))
    return [*findings, *_disk(data_dir, settings.server.disk_reserve), *_tls(settings.tls, now)]


def _configuration(settings: Settings, source: Path, now: datetime) -> Iterator[Finding]:
    report = examine(settings, source, now)
    for problem in report.problems:
        yield bad("configuration", problem)
    for risk in report.warnings:
        yield warning("configuration", risk)
    if not report.problems:
        yield good("configuration", f"{source.absolute()} can be served")
    sqlite = dict(report.facts)["SQLite"]
    yield good("SQLite", f"{sqlite}, free of the faults that lose mail")


def _modes(settings: Settings, source: Path) -> Iterator[Finding]:
    """Look for secrets that other users of the machine can read."""
    data_dir = settings.server.data_dir
    secrets = [data_dir / "mailwright.db", *sorted((data_dir / "keys").rglob("*.pem"))]
    if settings.tls.key is not None:
        secrets.append(settings.tls.key)
    exposed = [path for path in secrets if _is_exposed(path)]
    for path in exposed:
        yield bad("file modes", f"{path}: other users can read it; chmod 0600")
    if not exposed:
        yield good("file modes", "no secret can be read by other users")


def _is_exposed(path: Path) -> bool:
    """Tell whether others may read a file and reach it through its directory."""
    try:
        is_open = path.stat().st_mode & stat.S_IROTH
        return bool(is_open and path.parent.stat().st_mode & stat.S_IXOTH)
    except OSError:  # it is not there, or not for us to see
        return False


def _engine(data_dir: Path) -> Iterator[Finding]:
    if kick_engine(data_dir):
        yield good("engine", "runs, and holds the data directory")
    else:
        yield warning("engine", "does not run: accepted mail waits; start `mta serve`")


def _data(data_dir: Path, now: datetime) -> Iterator[Finding]:
    try:
        with closing(Database.open(data_dir)) as database:
            database.check_integrity()
            vitals = database.read_now(
                lambda connection: examination.vitals(connection, database.spool)
            )
    except StorageError as error:
        yield bad("database", f"{error}; restore a backup")
        return
    yield good("database", "whole")
    if vitals.damaged:
        yield bad(
            "bodies", f"{vitals.damaged} waiting messages have lost their text, or some of it"
        )
    else:
        yield good("bodies", "all messages that wait have their text")
    yield from examine_clock(now, vitals.newest)
    wal = data_dir / "mailwright.db-wal"
    size = wal.stat().st_size if wal.exists() else 0
    if size > LARGE_WAL:
        yield warning("write-ahead log", f"{size // MEBIBYTE} MiB; is another program reading it?")


def examine_clock(now: datetime, newest: datetime | None) -> Iterator[Finding]:
    """Compare the clock with the newest event; a clock that went back delays what is due."""
    if newest is not None and newest > now + AHEAD:
        yield bad("clock", f"it shows {now:%F %T}, yet something happened at {newest:%F %T}")
    else:
        yield good("clock", f"{now:%F %T} UTC")


def _disk(data_dir: Path, reserve: int) -> Iterator[Finding]:
    existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    yield examine_room(shutil.disk_usage(existing).free, reserve)
    files = os.statvfs(existing)
    if files.f_files and files.f_favail < 1000:
        yield bad("disk", f"{files.f_favail} files can still be made: no large mail is accepted")


def examine_room(free: int, reserve: int) -> Finding:
    """Compare what is free on the disk with the reserve that acceptance leaves alone, in bytes."""
    text = f"{free // MEBIBYTE} MiB free"
    if free < reserve:
        return bad("disk", f"{text}, less than the reserve: no mail is accepted")
    if free < 10 * reserve:
        return warning("disk", f"{text}; below {reserve // MEBIBYTE} MiB no mail is accepted")
    return good("disk", text)


def _tls(tls: Tls, now: datetime) -> Iterator[Finding]:
    if tls.certificate is None:
        yield warning("TLS", "no certificate: clients cannot encrypt what they submit")
    else:
        yield from examine_certificate(tls.certificate, now)


def examine_certificate(certificate: Path, now: datetime) -> Iterator[Finding]:
    """Say how long a certificate is still valid."""
    try:
        left = valid_until(certificate) - now
    except TlsCertificateError as error:
        yield bad("TLS", str(error))
        return
    text = f"{certificate}: valid for {left.days} more days"
    if left < timedelta():
        yield bad("TLS", f"{certificate} has expired")
    else:
        yield warning("TLS", f"{text}; renew it") if left < CERTIFICATE_SOON else good("TLS", text)
