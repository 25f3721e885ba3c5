"""Delivery reports: who gets one, what it says, and that nobody gets it twice."""

from __future__ import annotations

import asyncio
import email
import email.message
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mta.delivery_reports
from mta.core import ids
from mta.core.address import parse_address
from mta.core.delivery_report import Report
from mta.core.envelope import Envelope, Recipient
from mta.core.submission import Door
from mta.delivery_reports import DeliveryReports, ReportRules
from storage import delivery_reports, queue
from storage.delivery_reports import Due
from tests.storage import builders
from tests.support.databases import new_database

NOW = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
RULES = ReportRules("mta.test", is_enabled=True, max_returned=1000, lifetime=timedelta(days=4))


class Office:
    """A queue, and somebody who writes delivery reports."""

    def __init__(self, path: Path) -> None:
        self.database = new_database(path)
        self.now = NOW
        self.kicks = 0
        self.reports = self.hire(RULES)

    def hire(self, rules: ReportRules) -> DeliveryReports:
        return DeliveryReports(
            self.database,
            rules,
            on_accepted=self._kicked,
            now=lambda: self.now,
            entropy=os.urandom,
        )

    def _kicked(self) -> None:
        self.kicks += 1

    def settle(self, result: str, *recipients: Recipient, tell: str, **envelope: Any) -> str:
        """Accept by SMTP and settle an attempt so; return the email's id."""
        mail_from = envelope.pop("mail_from", "app@sender.example")
        changes: dict[str, Any] = {
            "door": Door.SMTP,
            "envelope": Envelope(
                parse_address(mail_from) if mail_from else None, recipients, **envelope
            ),
        }

        def work(db: Any) -> str:
            accepted = builders.accept(db, **changes)
            entries = builders.claim(db)
            settlements = [
                replace(builders.settlement(entry, result), tell=tell) for entry in entries
            ]
            queue.settle(db, settlements)
            return accepted.public_id

        return self.database.write_now(work)

    async def send(self) -> list[email.message.Message]:
        """Send what is due; return the reports, which are claimed."""
        while await self.reports.send_one():
            pass
        claimed = self.database.write_now(
            lambda db: builders.claim_messages(db, "sender.example", at=NOW + timedelta(days=1))
        )
        for one in claimed:
            assert one.message.mail_from == ""
            assert one.message.door == "report"
            assert [entry.notify for entry in one.entries] == ["NEVER"]
        return [email.message_from_bytes(one.message.message.data or b"") for one in claimed]


ANT = Recipient(parse_address("ant@example.net"), orcpt="rfc822;Ant+2Bx@example.net")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.database.close()


def fields(report: email.message.Message) -> tuple[email.message.Message, email.message.Message]:
    """Return the fields for the mail and for its (first) recipient."""
    status = report.get_payload()[1].get_payload()  # type: ignore[union-attr,index]
    return status[0], status[1]  # type: ignore[return-value,index]


async def test_a_failure_is_told_once(office: Office) -> None:
    about = office.settle("bounced", ANT, tell="failed", envid="abc+2B1")
    [report] = await office.send()
    assert report["To"] == "app@sender.example"
    assert report["From"] == "Mail Delivery System <postmaster@mta.test>"
    assert report["Auto-Submitted"] == "auto-replied"
    mail, recipient = fields(report)
    assert mail["Original-Envelope-Id"] == "abc+1"
    assert mail["Reporting-MTA"] == "dns; mta.test"
    assert recipient["Original-Recipient"] == "rfc822; Ant+x@example.net"
    assert recipient["Final-Recipient"] == "rfc822; ant@example.net"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"
    assert recipient["Remote-MTA"] == "dns; mx.example.net"
    assert office.kicks == 1
    assert await office.send() == []
    [metadata] = office.database.read_now(
        lambda db: db.execute("SELECT metadata FROM messages WHERE door = 'report'").fetchone()
    )
    assert about in metadata


@pytest.mark.parametrize(
    ("result", "tell", "action", "status"),
    [
        ("expired", "failed", "failed", "4.4.7"),
        ("deferred", "delayed", "delayed", "4.7.1"),
        ("delivered", "relayed", "relayed", "2.0.0"),
    ],
)
async def test_other_fates(
    office: Office, result: str, tell: str, action: str, status: str
) -> None:
    office.settle(result, ANT, tell=tell)
    office.now = NOW + timedelta(minutes=1)  # a delay waits for other recipients
    [report] = await office.send()
    _, recipient = fields(report)
    assert (recipient["Action"], recipient["Status"]) == (action, status)
    assert (recipient["Will-Retry-Until"] is not None) == (action == "delayed")


async def test_a_delay_is_told_once(office: Office) -> None:
    office.settle("deferred", ANT, tell="delayed")
    office.now = NOW + timedelta(minutes=1)
    assert len(await office.send()) == 1
    entry = office.database.write_now(lambda db: builders.claim(db, at=builders.LATER))
    settlement = replace(builders.settlement(entry[0], "deferred"), tell="delayed")
    office.database.write_now(lambda db: queue.settle(db, [settlement]))
    assert await office.send() == []


@pytest.mark.parametrize("begun_anew", [None, NOW - timedelta(hours=2)])
async def test_a_delay_tells_when_we_give_up(office: Office, begun_anew: datetime | None) -> None:
    office.settle("deferred", ANT, tell="delayed")
    at = None if begun_anew is None else ids.milliseconds(begun_anew)
    office.database.write_now(lambda db: db.execute("UPDATE entries SET eligible_at = ?", (at,)))
    office.now = NOW + timedelta(minutes=1)
    [report] = await office.send()
    told = parsedate_to_datetime(fields(report)[1]["Will-Retry-Until"])
    assert told == (begun_anew or builders.NOW) + RULES.lifetime


async def test_all_recipients_are_in_one_report(office: Office) -> None:
    bee = Recipient(parse_address("bee@example.net"))
    office.settle("bounced", ANT, bee, tell="failed")
    [report] = await office.send()
    status = report.get_payload()[1].get_payload()  # type: ignore[union-attr,index]
    assert [block["Final-Recipient"] for block in status[1:]] == [  # type: ignore[index]
        "rfc822; ant@example.net",
        "rfc822; bee@example.net",
    ]


async def test_a_report_waits_for_the_other_recipients_a_while(office: Office) -> None:
    bee = Recipient(parse_address("bee@elsewhere.net"))
    office.settle("bounced", ANT, bee, tell="failed")
    office.now = builders.NOW
    assert await office.send() == []
    office.now = builders.NOW + timedelta(minutes=1)
    assert len(await office.send()) == 1


@pytest.mark.parametrize(("ret", "is_whole"), [("FULL", True), ("HDRS", False), ("", False)])
async def test_ret_is_honoured(office: Office, ret: str, is_whole: bool) -> None:
    office.settle("bounced", ANT, tell="failed", ret=ret)
    [report] = await office.send()
    kind = report.get_payload()[2].get_content_type()  # type: ignore[union-attr,index]
    assert kind == ("message/rfc822" if is_whole else "text/rfc822-headers")


async def test_what_was_not_in_the_end_so_is_not_told(office: Office) -> None:
    """A sender who asked for success only hears nothing of an entry that bounced."""
    office.settle("bounced", ANT, tell="relayed")
    assert await office.send() == []


@pytest.mark.parametrize(
    ("setting", "tenant", "count"), [(True, 0, 0), (False, 1, 1), (False, None, 0)]
)
async def test_tenants_may_say_otherwise(
    office: Office, setting: bool, tenant: int | None, count: int
) -> None:
    office.reports = office.hire(replace(RULES, is_enabled=setting))
    office.database.write_now(lambda db: db.execute("UPDATE tenants SET dsn = ?", (tenant,)))
    office.settle("bounced", ANT, tell="failed")
    assert len(await office.send()) == count


async def test_mail_that_is_gone_ends_nothing(office: Office) -> None:
    office.settle("bounced", ANT, tell="failed")
    office.database.write_now(lambda db: db.execute("DELETE FROM bodies"))
    [report] = await office.send()
    assert report["To"] == "app@sender.example"
    office.settle("bounced", ANT, tell="failed")
    office.database.write_now(lambda db: db.execute("DELETE FROM entries"))
    office.now += timedelta(minutes=1)
    assert await office.send() == []
    assert office.database.read_now(delivery_reports.next_at) is None


async def test_a_damaged_return_path_is_given_up(office: Office) -> None:
    office.settle("bounced", ANT, tell="failed")
    office.database.write_now(lambda db: db.execute("UPDATE messages SET mail_from = 'x y'"))
    assert await office.send() == []
    assert office.database.read_now(delivery_reports.next_at) is None


async def test_one_that_we_fail_at_is_given_up_and_the_next_is_sent(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(report: Report, *, max_returned: int) -> bytes:
        monkeypatch.undo()
        raise LookupError("nobody expected this")

    monkeypatch.setattr(mta.delivery_reports, "compose_report", fail)
    for _ in range(2):
        office.settle("bounced", ANT, tell="failed")
    assert len(await office.send()) == 1
    assert "nobody expected this" in caplog.text
    assert office.database.read_now(delivery_reports.next_at) is None


@pytest.mark.parametrize("time", ["'x'", str(2**62), str(-(2**62))])
@pytest.mark.parametrize(
    "column", ["messages SET created_at", "entries SET eligible_at", "delivery_reports SET at"]
)
async def test_a_failure_is_told_whatever_became_of_its_times(
    office: Office, column: str, time: str
) -> None:
    office.settle("bounced", ANT, tell="failed")
    office.database.write_now(lambda db: db.execute(f"UPDATE {column} = {time}"))
    assert len(await office.send()) == 1
    assert office.database.read_now(delivery_reports.next_at) is None


async def test_a_damaged_time_is_not_waited_for(office: Office) -> None:
    bee = Recipient(parse_address("bee@example.org"))
    office.settle("bounced", ANT, bee, tell="failed")  # the second one still waits
    assert office.database.read_now(delivery_reports.next_at) is not None
    office.database.write_now(lambda db: db.execute("UPDATE delivery_reports SET at = 'x'"))
    assert office.database.read_now(delivery_reports.next_at) is None


async def test_the_task_sends_when_it_is_kicked(office: Office) -> None:
    sent = asyncio.Event()
    office.reports._on_accepted = sent.set
    task = asyncio.create_task(office.reports.run())
    office.settle("bounced", ANT, tell="failed")
    office.reports.kick()
    async with asyncio.timeout(5):
        await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_what_is_due_is_noted_once(office: Office) -> None:
    due = Due(1, 1, "failed", NOW)
    for _ in range(2):
        office.database.write_now(partial(delivery_reports.note, due=[due]))
    count = office.database.read_now(
        lambda db: db.execute("SELECT COUNT(*) FROM delivery_reports").fetchone()
    )
    assert count == (1,)
