"""Reports are read once, matched by what only a holder of the mail knows, and have effects."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.bounce_rules import shipped
from mta.core.event import EventKind
from mta.core.report import read_report
from mta.core.report_address import AddressRules
from mta.core.report_facts import ReportFacts, facts_of
from mta.core.return_path import Purpose, ReturnPath, encode
from mta.core.submission import Door
from mta.core.suppression import SuppressionPolicy
from mta.core.unsubscribe import Unsubscribe, UnsubscribeOffer, token
from mta.report_import import mails_in, report_of
from mta.report_intake import IntakeRules, ReportIntake
from mta.report_parser import NoParser, ParserDied
from storage import correlation, delivery_reports, events, reports, suppressions
from storage.database import Connection
from storage.errors import StorageFull
from storage.events import JournalEntry
from storage.feedback import EntryRef
from storage.reports import NewReport
from tests.storage import builders
from tests.support.databases import new_database
from tests.support.report_mails import VACATION, arf, dsn

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECRET = b"s" * 32
RULES = AddressRules("b.test", frozenset({"b.test"}), (SECRET,), timedelta(days=45))


DEADLY = b"deadly"


class FakeParser:
    """Reads in this process; there may be none, and it dies of mail that is deadly."""

    def __init__(self) -> None:
        self.is_there = True
        self.parsed = 0

    async def parse(self, data: bytes) -> ReportFacts:
        if not self.is_there:
            raise NoParser("own.toml: nonsense")
        if data == DEADLY:
            raise ParserDied("of old age")
        self.parsed += 1
        return facts_of(data, read_report(data, shipped()))

    async def close(self) -> None:
        pass


class Desk:
    """A database with sent mail, and somebody who reads reports about it."""

    def __init__(self, path: Path) -> None:
        self.database = new_database(path)
        self.parser = FakeParser()
        self.kicks = 0
        self.rules = IntakeRules(RULES, (SECRET,), SuppressionPolicy())
        self.intake = self.new_intake()

    def new_intake(self) -> ReportIntake:
        return ReportIntake(
            self.database,
            self.parser,  # type: ignore[arg-type]
            self.rules,
            on_events=self._kicked,
            now=lambda: NOW,
        )

    def _kicked(self) -> None:
        self.kicks += 1

    def sent(self, *recipients: str, **changes: Any) -> tuple[str, list[int]]:
        """Accept and deliver a message; return its id and the entries' row numbers."""

        def work(db: Any) -> tuple[str, list[int]]:
            accepted = builders.accept(db, *recipients, **changes)
            rows = db.execute(
                "SELECT id, domain FROM entries WHERE message_id = ? ORDER BY id",
                (accepted.message_id,),
            ).fetchall()
            for domain in {domain for _, domain in rows}:
                builders.settle_all(db, builders.claim(db, domain))
            return accepted.public_id, [row for row, _ in rows]

        return self.database.write_now(work)

    def report(self, data: bytes, *to: str, tenant_id: int | None = None, digest: int = 0) -> None:
        report = NewReport(data, to, os.urandom(32), "smtp", tenant_id=tenant_id)
        self.database.write_now(partial(reports.add, report=report, now=NOW))

    async def read(self) -> list[JournalEntry]:
        """Read all reports; return the events of mail that followed."""
        seq = self.database.read_now(events.last_seq)
        while await self.intake.read_some():
            pass
        found = self.database.read_now(partial(events.read, after=seq, limit=100))
        return [event for event in found if event.email_id]

    def suppressed(self, key: str, tenant_id: int = 1) -> str | None:
        found = self.database.read_now(lambda db: suppressions.lookup(db, tenant_id, [key], NOW))
        return found.get(key)

    def row(self, sql: str) -> tuple[Any, ...]:
        return self.database.read_now(lambda db: db.execute(sql).fetchone())


def local(entry: int, tenant_id: int = 1, purpose: Purpose = Purpose.BOUNCE) -> str:
    return encode(ReturnPath(entry, tenant_id, builders.NOW.date()), SECRET, purpose=purpose)


def path(entry: int, tenant_id: int = 1, purpose: Purpose = Purpose.BOUNCE) -> str:
    return f"{local(entry, tenant_id, purpose)}@b.test"


MAIL = b"From: news@sender.example\r\nTo: ant@example.net\r\n\r\nbody\r\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


async def test_a_hard_bounce_is_told_and_suppresses(desk: Desk) -> None:
    email, [entry] = desk.sent("ant@example.net")
    desk.report(dsn(MAIL, "ant@example.net"), path(entry))
    [event] = await desk.read()
    assert (event.kind, event.email_id) == (EventKind.REPORTED, email)
    assert desk.suppressed("ant@example.net") == "bounce"
    record = desk.database.read_now(lambda db: suppressions.get(db, 1, "ant@example.net", now=NOW))
    assert record is not None
    assert (record.cause.event_id, record.cause.email_id) == (event.id, email)
    assert record.cause.rule == event.data["rule"] != ""
    assert desk.kicks == 1
    assert desk.row("SELECT state, data, outcome FROM reports") == (
        1,
        None,
        '{"kind":"bounce","failures":1}',
    )
    assert desk.row("SELECT reported FROM entries") == (1,)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("5.7.1", "550 5.7.1 Service unavailable; client host [192.0.2.1] blocked using Spamhaus"),
        ("5.7.1", "550 5.7.1 Message rejected due to content restrictions, spam"),
        ("5.7.26", "550 5.7.26 Unauthenticated email is not accepted due to DMARC policy"),
        ("5.2.2", "552 5.2.2 mailbox full"),
    ],
)
async def test_what_is_not_about_the_mailbox_never_suppresses(
    desk: Desk, status: str, said: str
) -> None:
    _, [entry] = desk.sent("ant@example.net")
    desk.report(dsn(MAIL, "ant@example.net", status=status, said=said), path(entry))
    [event] = await desk.read()
    assert event.kind is EventKind.REPORTED
    assert desk.suppressed("ant@example.net") is None


async def test_repeated_failures_suppress_for_a_while(desk: Desk) -> None:
    report = dsn(MAIL, "ant@example.net", status="5.2.2", said="552 5.2.2 mailbox full")
    for days in (4, 2, 0):
        _, [entry] = desk.sent("ant@example.net")
        desk.report(report, path(entry))
        at = NOW - timedelta(days=days)
        desk.intake._now = lambda at=at: at  # type: ignore[misc]
        assert desk.suppressed("ant@example.net") is None
        await desk.read()
    assert desk.suppressed("ant@example.net") == "bounce"
    [(expires_at,)] = desk.database.read_now(
        lambda db: db.execute("SELECT expires_at FROM suppressions").fetchall()
    )
    assert expires_at is not None


@pytest.mark.parametrize(
    "report",
    [
        VACATION,
        b"From: bee@example.net\r\nSubject: Re: News\r\n\r\nThanks!\r\n",
        dsn(MAIL, "ant@example.net", status="4.4.1", said="451 later", action="delayed"),
        dsn(MAIL, "ant@example.net", status="2.0.0", said="250 ok", action="delivered"),
        b"",
    ],
)
async def test_other_mail_to_a_return_path_changes_nothing(desk: Desk, report: bytes) -> None:
    _, [entry] = desk.sent("ant@example.net")
    desk.report(report, path(entry))
    assert await desk.read() == []
    assert desk.row("SELECT state, data FROM reports") == (1, report)  # for people to read
    assert desk.row("SELECT COUNT(*) FROM suppressions") == (0,)


async def test_the_second_report_of_a_failure_is_known(desk: Desk) -> None:
    _, [entry] = desk.sent("ant@example.net")
    desk.report(dsn(MAIL, "ant@example.net"), path(entry))
    desk.report(dsn(MAIL, "ant@example.net", said="550 5.1.1 unknown, truly"), path(entry))
    assert len(await desk.read()) == 1
    # A complaint about the same mail is news all the same, once.
    for _ in range(2):
        desk.report(arf(MAIL), path(entry))
    [event] = await desk.read()
    assert event.kind is EventKind.COMPLAINED


async def test_the_return_path_decides_whatever_the_report_says(desk: Desk) -> None:
    _, [entry] = desk.sent("ant@example.net")
    desk.sent("bee@example.net")
    desk.report(dsn(MAIL, "bee@example.net"), path(entry))
    [event] = await desk.read()
    assert event.recipient == "ant@example.net"
    assert desk.suppressed("bee@example.net") is None


async def test_m05_forged_and_foreign_reports_change_nothing(desk: Desk) -> None:
    email, [entry] = desk.sent("ant@example.net")
    forged = encode(ReturnPath(entry, 1, NOW.date()), b"x" * 32)
    returned = b"X: " + forged.encode() + b"\r\n" + MAIL
    desk.report(dsn(returned, "ant@example.net"), "fbl@b.test")
    desk.report(dsn(MAIL, "ant@example.net"), path(entry, tenant_id=2))  # right seal, wrong tenant
    desk.report(dsn(MAIL, "ant@example.net"), "fbl@b.test")  # never sent by us, for all it says
    # Another tenant hands in a report about mail that is not its own.
    known = b"Received: by mta.test id " + email.encode() + b"\r\n" + MAIL
    desk.report(dsn(known, "ant@example.net"), tenant_id=2)
    desk.report(dsn(f"X: {local(entry)}\r\n".encode() + MAIL, "ant@example.net"), tenant_id=2)
    assert await desk.read() == []
    assert desk.suppressed("ant@example.net") is None


def _by_seal(entry: int, email: str) -> bytes:
    return f"Return-Path: <{path(entry)}>\r\n".encode()


def _by_feedback_id(entry: int, email: str) -> bytes:
    return f"CFBL-Feedback-ID: {local(entry)}\r\n".encode()


def _by_token(entry: int, email: str) -> bytes:
    text = token(Unsubscribe(1, entry), SECRET)
    return f"List-Unsubscribe: <https://m.test/u/{text}>\r\n".encode()


def _by_id(entry: int, email: str) -> bytes:
    return f"Received: by mta.test (Mailwright) with HTTP id {email}\r\n".encode()


def _by_message_id(entry: int, email: str) -> bytes:
    return f"Message-ID: <{email}@sender.example>\r\n".encode()


@pytest.mark.parametrize("clue", [_by_seal, _by_feedback_id, _by_token, _by_id, _by_message_id])
async def test_complaints_without_a_recipient_find_their_mail(
    desk: Desk, clue: Callable[[int, str], bytes]
) -> None:
    email, [entry] = desk.sent("ant@example.net")
    redacted = clue(entry, email) + MAIL.replace(b"ant@example.net", b"[redacted]")
    desk.report(arf(redacted), "fbl@b.test")
    [event] = await desk.read()
    assert (event.kind, event.email_id) == (EventKind.COMPLAINED, email)
    assert desk.suppressed("ant@example.net") == "complaint"


async def test_of_several_recipients_the_report_must_name_one(desk: Desk) -> None:
    email, _ = desk.sent("ant@example.net", "bee@example.net")
    known = f"Received: by mta.test id {email}\r\nSubject: x\r\n\r\nx\r\n".encode()
    desk.report(arf(known), "fbl@b.test")
    assert await desk.read() == []
    desk.report(arf(known, extra="Original-Rcpt-To: <BEE@example.net>\r\n"), "fbl@b.test")
    [event] = await desk.read()
    assert event.recipient == "bee@example.net"


@pytest.mark.parametrize("kind", ["auth-failure", "not-spam"])
async def test_feedback_that_is_no_complaint(desk: Desk, kind: str) -> None:
    _, [entry] = desk.sent("ant@example.net")
    desk.report(arf(MAIL, feedback_type=kind), path(entry))
    assert await desk.read() == []


async def test_mail_to_the_unsubscribe_address(desk: Desk) -> None:
    email, [entry] = desk.sent("ant@example.net", unsubscribe=UnsubscribeOffer("aud_1"))
    to = path(entry, purpose=Purpose.UNSUBSCRIBE)
    for wrong in (VACATION, dsn(MAIL, "ant@example.net"), arf(MAIL)):
        desk.report(wrong, to)
    assert await desk.read() == []
    desk.report(b"From: ant@example.net\r\nSubject: unsubscribe\r\n\r\n", to)
    [event] = await desk.read()
    assert (event.kind, event.email_id) == (EventKind.UNSUBSCRIBED, email)
    assert event.data == {"via": "mailto", "scope": "aud_1"}
    assert desk.suppressed("ant@example.net") is None  # other mail of the tenant goes on
    again = desk.sent("ant@example.net", unsubscribe=UnsubscribeOffer("aud_1"))
    state = f"SELECT state FROM entries WHERE id = {again[1][0]}"  # noqa: S608
    assert desk.row(state) == (14,)


async def test_whoever_submitted_by_smtp_is_owed_a_report(desk: Desk) -> None:
    for door, is_owed in ((Door.SMTP, True), (Door.API, False)):
        _, [entry] = desk.sent("ant@example.net", door=door)
        desk.report(dsn(MAIL, "ant@example.net"), path(entry))
        desk.database.write_now(lambda db: db.execute("DELETE FROM suppressions"))
        await desk.read()
        desk.database.write_now(lambda db: db.execute("DELETE FROM suppressions"))
        due = desk.database.read_now(delivery_reports.next_at)
        assert (due is not None) is is_owed
        desk.database.write_now(lambda db: db.execute("DELETE FROM delivery_reports"))


async def test_m10_a_report_that_kills_its_reader_is_given_up(desk: Desk) -> None:
    _, [entry] = desk.sent("ant@example.net")
    desk.report(DEADLY, path(entry))
    desk.report(dsn(MAIL, "ant@example.net"), path(entry))
    for tries in (1, 2, 3):
        assert await desk.intake.read_some()
        assert desk.row("SELECT state, tries FROM reports ORDER BY id LIMIT 1") == (0, tries)
        assert desk.row("SELECT state, tries FROM reports ORDER BY id DESC LIMIT 1") == (1, 1)
    assert not await desk.intake.read_some()
    assert desk.row("SELECT state, data FROM reports ORDER BY id LIMIT 1") == (2, DEADLY)


async def test_a_report_that_we_fail_at_is_given_up_and_the_others_are_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(connection: Connection, number: int, tenant_id: int) -> EntryRef | None:
        if number == first:
            raise LookupError("a row of nonsense")
        return entry_of(connection, number, tenant_id)

    entry_of = correlation.entry_of
    monkeypatch.setattr(correlation, "entry_of", fail)
    _, [first] = desk.sent("ant@example.net")
    _, [second] = desk.sent("bee@example.net")
    desk.report(dsn(MAIL, "ant@example.net"), path(first))
    desk.report(dsn(MAIL, "bee@example.net"), path(second))
    assert [event.recipient for event in await desk.read()] == ["bee@example.net"]
    assert desk.row("SELECT state, tries FROM reports ORDER BY id LIMIT 1") == (2, 3)
    assert "a row of nonsense" in caplog.text


@pytest.mark.parametrize("trouble", ["no parser", "full"])
async def test_trouble_that_is_not_the_reports_costs_it_no_try(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageFull("database or disk is full")

    _, [entry] = desk.sent("ant@example.net")
    desk.report(dsn(MAIL, "ant@example.net"), path(entry))
    desk.parser.is_there = trouble != "no parser"
    with monkeypatch.context() as patch:
        if trouble == "full":
            patch.setattr(reports, "finish", full)
        for _ in range(5):
            with pytest.raises((StorageFull, NoParser)):
                await desk.intake.read_some()
    desk.parser.is_there = True
    assert len(await desk.read()) == 1
    assert desk.row("SELECT state, tries FROM reports") == (1, 1)


async def test_the_task_reads_what_was_there_and_what_comes(desk: Desk) -> None:
    _, [entry] = desk.sent("ant@example.net")
    desk.report(arf(MAIL), path(entry))
    done = asyncio.Event()
    desk.intake._on_events = done.set
    task = asyncio.create_task(desk.intake.run())
    async with asyncio.timeout(5):
        await done.wait()
        done.clear()
        _, [second] = desk.sent("bee@example.net")
        desk.report(arf(MAIL), path(second))
        desk.intake.kick()
        await done.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("form", ["mail", "folder", "maildir", "mbox"])
async def test_reports_from_files(desk: Desk, tmp_path: Path, form: str) -> None:
    _, [entry] = desk.sent("ant@example.net")
    to = f"Delivered-To: {path(entry)}\r\n".encode()
    data = (to + dsn(MAIL, "ant@example.net")).replace(b"\r\n", b"\n")
    place = tmp_path / "in"
    if form in {"mail", "mbox"}:
        place.write_bytes((b"From x Mon Jan  1 00:00:00 2026\n" if form == "mbox" else b"") + data)
    else:
        inner = place / ("new" if form == "maildir" else "sub")
        inner.mkdir(parents=True)
        (inner / "1.eml").write_bytes(data)
        (inner / ".hidden").write_bytes(data)
        if form == "maildir":
            (place / "cur").mkdir()
            (place / "tmp").mkdir()
            (place / "tmp" / "x").write_bytes(b"unfinished")
    [mail] = mails_in(place)
    report = report_of(mail)
    assert path(entry) in report.recipients
    for is_new in (True, False):
        name = desk.database.write_now(partial(reports.add, report=report, now=NOW))
        assert bool(name) is is_new
    [event] = await desk.read()
    assert event.kind is EventKind.REPORTED


def test_old_reports_are_pruned(desk: Desk) -> None:
    desk.report(b"old", "fbl@b.test")
    prune = partial(reports.prune, before=NOW + timedelta(days=1), limit=10)
    assert desk.database.write_now(prune) == 0  # it still waits
    desk.database.write_now(lambda db: reports.finish(db, 1, {}, keep=True))
    assert desk.database.write_now(prune) == 1
    assert desk.row("SELECT COUNT(*) FROM reports") == (0,)


def test_without_a_domain_tokens_still_count(desk: Desk) -> None:
    desk.rules = replace(desk.rules, addresses=None)
    desk.intake = desk.new_intake()
    _, [entry] = desk.sent("ant@example.net")
    desk.report(arf(_by_token(entry, "") + MAIL), "whoever@b.test")
    assert len(asyncio.run(desk.read())) == 1
