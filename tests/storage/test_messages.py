from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from storage import messages
from storage.database import Connection
from storage.messages import EmailFilter, EmailView
from tests.storage import builders
from tests.storage.builders import NOW, accept, claim, settle_all

HOUR = timedelta(hours=1)


def subjects(emails: list[EmailView]) -> list[str]:
    return [email.subject for email in emails]


def titled(title: str, **changes: str) -> dict[str, object]:
    header = replace(builders.submission().header, subject=title, **changes)
    return {"header": header}


@pytest.fixture
def filled(connection: Connection) -> Connection:
    """Messages 1 to 4, one an hour."""
    accept(connection, "ann@example.net", **titled("1"), tags=(("kind", "a"), ("kind", "b")))
    settle_all(connection, claim(connection), "bounced")
    accept(
        connection,
        "bob@example.net",
        "eve@example.org",
        **titled("2"),
        at=NOW + HOUR,
        batch_id="bt_1",
    )
    accept(
        connection,
        "ann@example.net",
        **titled("3", from_address="boss@sender.example"),
        at=NOW + 2 * HOUR,
        tags=(("kind", "a"),),
    )
    accept(connection, "ann@example.com", **titled("4"), at=NOW + 3 * HOUR, batch_id="bt_1")
    return connection


def test_newest_first(filled: Connection) -> None:
    assert subjects(messages.list_(filled, 1, limit=10)) == ["4", "3", "2", "1"]
    assert subjects(messages.list_(filled, 1, limit=2)) == ["4", "3"]
    assert messages.list_(filled, 2, limit=10) == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (EmailFilter(), "4321"),
        (EmailFilter(status="bounced"), "1"),
        (EmailFilter(status="queued"), "432"),
        (EmailFilter(to="ann@example.net"), "31"),
        (EmailFilter(to="ann@example"), ""),
        (EmailFilter(domain="example.org"), "2"),
        (EmailFilter(domain="example.net"), "321"),
        (EmailFilter(from_="boss@sender.example"), "3"),
        (EmailFilter(tag="kind"), "31"),
        (EmailFilter(tag="kind", tag_value="a"), "31"),
        (EmailFilter(tag="kind", tag_value="b"), "1"),
        (EmailFilter(tag="kind", tag_value=""), ""),
        (EmailFilter(batch_id="bt_1"), "42"),
        (EmailFilter(since=NOW + HOUR), "432"),
        (EmailFilter(until=NOW + HOUR), "1"),
        (EmailFilter(since=NOW + HOUR, until=NOW + 3 * HOUR), "32"),
        (EmailFilter(tag="kind", tag_value="a", since=NOW + HOUR), "3"),
        (EmailFilter(batch_id="bt_1", domain="example.com", status="queued"), "4"),
    ],
)
def test_filters(filled: Connection, filters: EmailFilter, expected: str) -> None:
    assert subjects(messages.list_(filled, 1, filters, limit=10)) == list(expected)


@pytest.mark.parametrize(
    "filters", [EmailFilter(), EmailFilter(tag="kind", tag_value="a"), EmailFilter(batch_id="bt_1")]
)
def test_pages_go_both_ways(filled: Connection, filters: EmailFilter) -> None:
    everything = messages.list_(filled, 1, filters, limit=10)
    forward = [messages.list_(filled, 1, filters, limit=1)[0]]
    while page := messages.list_(filled, 1, filters, limit=1, after=forward[-1].public_id):
        forward += page
    assert forward == everything
    backward = [everything[-1]]
    while page := messages.list_(filled, 1, filters, limit=1, before=backward[0].public_id):
        backward = page + backward
    assert backward == everything


def test_a_page_before_holds_the_nearest_newest_first(filled: Connection) -> None:
    oldest = messages.list_(filled, 1, limit=10)[-1].public_id
    assert subjects(messages.list_(filled, 1, limit=2, before=oldest)) == ["3", "2"]


def test_messages_of_one_moment_are_neither_lost_nor_repeated(connection: Connection) -> None:
    accepted = [accept(connection).public_id for _ in range(5)]
    found: list[str] = []
    while page := messages.list_(connection, 1, limit=2, after=found[-1] if found else ""):
        found += [email.public_id for email in page]
    assert found == accepted[::-1]


def test_an_unknown_place_has_no_page(filled: Connection) -> None:
    known = messages.list_(filled, 1, limit=1)[0].public_id
    assert messages.list_(filled, 1, limit=10, after="em_unknown") == []
    assert messages.list_(filled, 2, limit=10, after=known) == []


def test_one_message(filled: Connection) -> None:
    newest = messages.list_(filled, 1, limit=1)[0]
    assert messages.get(filled, 1, newest.public_id) == newest
    assert messages.get(filled, None, newest.public_id) == newest
    assert messages.get(filled, 2, newest.public_id) is None
    assert messages.get(filled, None, "em_unknown") is None


def test_recipients_of_a_page_are_its_own(filled: Connection) -> None:
    emails = messages.list_(filled, 1, limit=10)
    assert [[r.address for r in email.recipients] for email in emails] == [
        ["ann@example.com"],
        ["ann@example.net"],
        ["bob@example.net", "eve@example.org"],
        ["ann@example.net"],
    ]
