"""Delivery reports to whoever submitted mail by SMTP, made and queued in the background.

What is due was noted when an entry was settled (storage/delivery_reports.py); a report is queued
like any mail, with the null return path and NOTIFY=NEVER, and what is due is marked as told in the
same transaction. Nobody is told of mail with a null return path, nor of mail of the API, and only
authenticated and trusted clients submit at all: a report never goes to a stranger.

Not here: when one is due (settling.py), the bytes (core/delivery_report.py). Follows RFC 3461 5
and 6, RFC 3464.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from mta.core.address import Address, AddressError, parse_address
from mta.core.canonical import body_hash
from mta.core.delivery_report import RecipientReport, Report, compose_report
from mta.core.dsn import Action
from mta.core.envelope import Envelope, Recipient
from mta.core.frozen import frozen
from mta.core.header import HeaderBlock, HeaderError, facts, split_header
from mta.core.header_writer import ComposeError
from mta.core.ids import milliseconds, new_id
from mta.core.message import Message
from mta.core.reply import Reply
from mta.core.submission import Door, Submission
from mta.logs import log_event, log_warning
from storage import delivery_reports, submissions
from storage.database import Connection, Database
from storage.delivery_reports import DueRecipient, DueReport
from storage.errors import STORAGE_TROUBLE, StorageError, StorageFull, StorageUnavailable
from storage.submissions import AcceptPolicy

GATHER = timedelta(seconds=30)
"""How long what is due about some recipients of a mail waits for the others."""
TROUBLE_PAUSE = 5.0
"""Seconds until storage that is full or locked is asked again."""

logger = logging.getLogger(__name__)


@frozen
class ReportRules:
    """How reports are made.

    Attributes:
        hostname: our own name; reports come from postmaster@ there.
        is_enabled: whether tenants get them that did not say.
        max_returned: bytes of the longest mail that is returned whole.
        lifetime: how long mail is tried.
    """

    hostname: str
    is_enabled: bool
    max_returned: int
    lifetime: timedelta


class DeliveryReports:
    """One background task."""

    def __init__(
        self,
        database: Database,
        rules: ReportRules,
        *,
        on_accepted: Callable[[], object],
        now: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        gather: timedelta = GATHER,
    ) -> None:
        """Take the queue, and what to call when a report was put into it."""
        self._database = database
        self._rules = rules
        self._on_accepted = on_accepted
        self._now = now
        self._entropy = entropy
        self._gather = gather
        self._news = asyncio.Event()

    def kick(self) -> None:
        """Say that something is due."""
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._news.clear()
            wait = await self._patiently()
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _patiently(self) -> float | None:
        """Send what is due; return how many seconds there is nothing to do, None for ever."""
        try:
            while await self.send_one():
                pass
            next_at = await self._database.read(delivery_reports.next_at)
        except (StorageFull, StorageUnavailable) as error:
            log_warning("delivery_report_put_off", error=error)
            return TROUBLE_PAUSE
        if next_at is None:
            return None
        return max((next_at + self._gather - self._now()).total_seconds(), 0.1)

    async def send_one(self) -> bool:
        """Queue one report that is due; False when there is none."""
        since = self._now() - self._gather
        due = await self._database.read(partial(delivery_reports.ripe, waited_since=since))
        if due is None:
            return False
        if not due.recipients:
            await self._database.write(delivery_reports.drop_orphans)
            return True
        submission = await self._submission(due)
        is_sent = await self._database.write(
            partial(_accept, due=due, submission=submission, now=self._now())
        )
        if is_sent and submission is not None:
            log_event("delivery_report", email=submission.public_id, about=due.email_id)
            self._on_accepted()
        return True

    async def _submission(self, due: DueReport) -> Submission | None:
        """Return the report as a submission; None where it is not wanted or goes nowhere."""
        is_wanted = self._rules.is_enabled if due.is_wanted is None else due.is_wanted
        if not is_wanted:
            return None
        try:
            to = parse_address(due.mail_from)
            header, body = await self._parts(due.message)
            public_id = new_id("em", milliseconds(self._now()), self._entropy(10))
            report = self._report(due, to, header, body, public_id)
            data = compose_report(report, max_returned=self._rules.max_returned)
            return _submission(data, due, to, public_id)
        except (AddressError, ComposeError, HeaderError) as error:  # a damaged row
            log_warning("delivery_report_failed", about=due.email_id, error=error)
            return None
        except STORAGE_TROUBLE:
            raise
        except Exception:
            logger.exception("delivery report about %s: given up", due.email_id)
            return None

    def _report(
        self, due: DueReport, to: Address, header: bytes, body: bytes | None, public_id: str
    ) -> Report:
        return Report(
            hostname=self._rules.hostname,
            to=to,
            date=self._now(),
            message_id=f"<{public_id.removeprefix('em_')}@{self._rules.hostname}>",
            recipients=tuple(self._recipient(one) for one in due.recipients),
            arrived_at=due.queued_at,
            header=header,
            body=body,
            ret=due.ret,
            envid=due.envid,
        )

    def _recipient(self, one: DueRecipient) -> RecipientReport:
        due, action = one.due, Action(one.due.action)
        is_reply = due.code is not None
        return RecipientReport(
            recipient=Recipient(parse_address(one.recipient), one.notify, one.orcpt),
            action=action,
            status=_status(action, due.code, due.enhanced),
            reply=Reply(due.code or 0, due.enhanced, due.reply) if is_reply else None,
            error="" if is_reply else due.reply,
            host=due.host,
            attempted_at=due.at,
            retry_until=one.eligible_at + self._rules.lifetime,
        )

    async def _parts(self, message: Message | None) -> tuple[bytes, bytes | None]:
        """Return the header block of a mail, and its body where that may be returned."""
        if message is None:
            return b"", None
        data = message.data
        if data is None:
            data = await asyncio.to_thread(self._read, message)
        header = data[: message.header_size].removesuffix(b"\r\n")
        return header, data[message.header_size :] if len(data) == message.size else None

    def _read(self, message: Message) -> bytes:
        """Return a spooled mail, of a large one its header; nothing where the file is gone."""
        size = message.size if message.size <= self._rules.max_returned else message.header_size
        try:
            with self._database.spool.open(message.file or "") as file:
                return file.read(size)
        except (OSError, StorageError):
            return b""


def _accept(
    connection: Connection, due: DueReport, submission: Submission | None, now: datetime
) -> bool:
    """Mark what is due as told and queue the report; False when it was told before (a write)."""
    if not delivery_reports.mark_sent(connection, due, now):
        return False
    if submission is not None:
        policy = AcceptPolicy(require_verified_domain=False)
        submissions.accept(connection, submission, policy=policy, now=now)
    return True


def _submission(data: bytes, due: DueReport, to: Address, public_id: str) -> Submission:
    header, offset = split_header(data)
    return Submission(
        public_id=public_id,
        tenant_id=due.tenant_id,
        door=Door.REPORT,
        envelope=Envelope(None, (Recipient(to, notify="NEVER"),)),
        message=Message(
            data=data,
            file=None,
            size=len(data),
            header_size=offset,
            body_hash=body_hash(data[offset:]),
            is_8bit=not data.isascii(),
        ),
        header=facts(HeaderBlock.parse(header)),
        metadata={"report_about": due.email_id},
        is_test=due.is_test,
    )


def _status(action: Action, code: int | None, enhanced: str) -> str:
    """Return the status of a recipient, made up where the server gave none (RFC 3463)."""
    match action:
        case Action.RELAYED:
            return enhanced if enhanced.startswith("2.") else "2.0.0"
        case Action.DELAYED:
            return enhanced if enhanced.startswith("4.") else "4.4.1"
        case _ if enhanced[:2] in {"4.", "5."}:
            return enhanced
        case _:
            return "5.0.0" if code is not None and code >= 500 else "4.4.7"
