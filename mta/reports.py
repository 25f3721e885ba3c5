"""The SMTP door for reports: takes mail to our return paths and unsubscribe addresses, and to
fbl@, abuse@ and postmaster@.

Everything else is refused at RCPT, so that nothing is ever accepted and dropped, and nothing that
comes in here is answered by mail: neither a loop nor backscatter can begin. What is taken is
committed before 250 and read later (report_intake.py). Not here: the dialogue (smtp_server.py).
Follows RFC 5321 4.5.1 and 6.1, and RFC 2142.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv6Network, ip_address
from typing import assert_never

from mta.core.address import Address
from mta.core.envelope import Envelope
from mta.core.frozen import frozen
from mta.core.header import HeaderBlock, HeaderError
from mta.core.loops import is_looping
from mta.core.message import Message
from mta.core.reply import Reply
from mta.core.report_address import AddressRules, Role, Sealed, digest_of, read_local
from mta.core.return_path import Flaw, Purpose, ReturnPath
from mta.logs import log_event
from mta.report_doorway import read_known
from mta.smtp_session import Arrival, Identity, Session
from storage import correlation, faults, reports, unsubscribes
from storage.database import Connection, Database
from storage.reports import NewReport

MAX_REPORTS = 20
"""Different reports that one return path takes: a few servers on the way may each have something to
say, and a replayed one must not fill the disk."""
MAX_CLIENTS = 10_000
"""Clients whose rate is remembered."""
MINUTE = timedelta(minutes=1)

_UNKNOWN = Reply(550, "5.1.1", "No such address; this server takes reports only")
_FORGED = Reply(550, "5.7.1", "This return path was not issued here")
_EXPIRED = Reply(550, "5.7.1", "This return path has expired")
_TOO_MANY = Reply(550, "5.7.1", "Enough reports have come to this return path")
_TOO_FAST = Reply(451, "4.7.1", "Too many reports from your address, try again later")
_NO_ROOM = Reply(452, "4.3.1", "Too many reports wait to be read, try again later")


class ReportsHandler:
    """Takes reports; see smtp_session.Handler."""

    def __init__(
        self,
        database: Database,
        rules: AddressRules,
        *,
        hostname: str,
        max_per_minute: int,
        on_report: Callable[[], object],
        now: Callable[[], datetime],
    ) -> None:
        """Take storage, which addresses there are, and what to call after each COMMIT."""
        self._database = database
        self._rules = rules
        self._hostname = hostname
        self._rates = _Rates(max_per_minute)
        self._on_report = on_report
        self._now = now

    async def authenticate(self, session: Session, user: str, password: bytes) -> Identity | None:
        """Know nobody: AUTH is not offered here."""
        return None

    async def may_send(self, session: Session) -> Reply | None:
        """Let anybody try, as often as is in order, while there is room."""
        self._database.require_room(0)
        if not self._rates.may_pass(session.address, self._now()):
            return _TOO_FAST
        return None if await self._database.read(reports.has_room) else _NO_ROOM

    async def recipient(self, session: Session, address: Address) -> Reply | None:
        """Take the addresses that exist, and refuse forged, expired and worn-out ones."""
        return await self._database.read(
            partial(_judge, address=address, rules=self._rules, now=self._now())
        )

    def begin(self, session: Session, envelope: Envelope, header: bytes) -> Arrival | Reply:
        """Take any report but one that goes round; a header that is no header is one too."""
        try:
            if is_looping(HeaderBlock.parse(header), self._hostname):
                return Reply(554, "5.4.6", "Mail loop: this mail has been here before")
        except HeaderError:
            pass  # reports are made by careless programs; the reader is lenient
        return _Arrival(self, session.address, envelope, header + b"\r\n")

    async def keep(self, client: str, envelope: Envelope, message: Message) -> Reply:
        """Commit a report; the very same one again is told the same and dropped.

        Raises:
            StorageError
        """
        data = message.data or b""
        self._database.require_room(len(data))
        addresses = [recipient.address for recipient in envelope.recipients]
        report = NewReport(
            data=data,
            recipients=tuple(f"{each.local.lower()}@{each.domain}" for each in addresses),
            digest=digest_of(map(str, addresses), message.body_hash),
            source="smtp",
            client=client,
            entry_ids=tuple(self._entry_numbers(addresses)),
        )
        name = await self._database.write(partial(reports.add, report=report, now=self._now()))
        faults.reach("after_report")
        log_event("report_received", report=name or "known", size=len(data), client=client)
        if name:
            self._on_report()
        return Reply(250, "2.0.0", "Ok: thank you")

    def _entry_numbers(self, addresses: Iterable[Address]) -> Iterable[int]:
        for address in addresses:
            found = read_local(address.local, self._rules, self._now())
            if isinstance(found, Sealed) and found.purpose is Purpose.BOUNCE:
                yield found.path.entry_number


@frozen
class _Arrival:
    """A report on its way in; see smtp_session.Arrival."""

    handler: ReportsHandler
    client: str
    envelope: Envelope
    header: bytes

    async def complete(self, message: Message) -> Reply:
        """Keep the report."""
        return await self.handler.keep(self.client, self.envelope, message)


def _judge(
    connection: Connection, address: Address, rules: AddressRules, now: datetime
) -> Reply | None:
    match read_known(connection, address, rules, now):
        case Role():
            return None
        case Sealed(Purpose.BOUNCE, path):
            return _judge_return_path(connection, path)
        case Sealed(_, path):
            return _judge_unsubscribe(connection, path)
        case Flaw.EXPIRED:
            return _EXPIRED
        case Flaw.FORGED:
            return _FORGED
        case Flaw.MALFORMED:
            return _UNKNOWN
        case other:
            assert_never(other)


def _judge_return_path(connection: Connection, path: ReturnPath) -> Reply | None:
    if correlation.entry_of(connection, path.entry_number, path.tenant_id) is None:
        return _EXPIRED  # it was ours: the mail has been forgotten since
    worn = reports.count_of(connection, path.entry_number) >= MAX_REPORTS
    return _TOO_MANY if worn else None


def _judge_unsubscribe(connection: Connection, path: ReturnPath) -> Reply | None:
    target = unsubscribes.find(connection, path.entry_number, path.tenant_id, None)
    return None if target else _EXPIRED


class _Rates:
    """How many reports each client has begun in its minute."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def may_pass(self, address: str, now: datetime) -> bool:
        """Count one more; False when that is too many."""
        client = _network(address)
        began_at, count = self._seen.pop(client, (now, 0))
        if not timedelta(0) <= now - began_at < MINUTE:
            began_at, count = now, 0
        self._seen[client] = (began_at, count + 1)
        if len(self._seen) > MAX_CLIENTS:
            self._seen.popitem(last=False)
        return count < self._most


def _network(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 that one IPv6 site has."""
    if ":" not in address:
        return address
    return str(IPv6Network((int(ip_address(address)) >> 64 << 64, 64)))
