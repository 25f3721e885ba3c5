"""Lists of messages: every filter, pages both ways, and a bound on what one request looks at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest

from benchmarks import mail_history
from storage import message_lists
from storage.database import Connection
from storage.message_lists import COUNTED, NUMBERED, WINDOW, EmailFilter, Total
from storage.messages import EmailView
from tests.storage import builders
from tests.storage.builders import NOW, accept, claim, settle_all

HOUR = timedelta(hours=1)


def listed(connection: Connection, tenant_id: int, *arguments: Any, **page: Any) -> Any:
    return message_lists.page(connection, tenant_id, *arguments, **page).emails


def subjects(emails: Iterable[EmailView]) -> list[str]:
    return [email.subject for email in emails]


def titled(title: str, **changes: str) -> dict[str, object]:
    header = replace(builders.submission().header, subject=title, **changes)
    return {"header": header}


@pytest.fixture
def filled(connection: Connection) -> Connection:
    """Messages 1 to 4, one an hour."""
    accept(connection, "ant@example.net", **titled("1"), tags=(("kind", "a"), ("kind", "b")))
    settle_all(connection, claim(connection), "bounced")
    accept(
        connection,
        "bee@example.net",
        "elk@example.org",
        **titled("2"),
        at=NOW + HOUR,
        batch_id="bt_1",
    )
    accept(
        connection,
        "ant@example.net",
        **titled("3", from_address="boss@sender.example"),
        at=NOW + 2 * HOUR,
        tags=(("kind", "a"),),
    )
    accept(connection, "ant@example.com", **titled("4"), at=NOW + 3 * HOUR, batch_id="bt_1")
    return connection


def test_newest_first(filled: Connection) -> None:
    assert subjects(listed(filled, 1, limit=10)) == ["4", "3", "2", "1"]
    assert subjects(listed(filled, 1, limit=2)) == ["4", "3"]
    assert listed(filled, 2, limit=10) == ()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (EmailFilter(), "4321"),
        (EmailFilter(status="bounced"), "1"),
        (EmailFilter(status="queued"), "432"),
        (EmailFilter(to="ant@example.net"), "31"),
        (EmailFilter(to="ant@example"), ""),
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
        (EmailFilter(to="ant@example.net", since=NOW + HOUR), "3"),
        (EmailFilter(to="ant@example.net", until=NOW + HOUR), "1"),
        (EmailFilter(domain="example.net", tag="kind", tag_value="b"), "1"),
        (EmailFilter(status="bounced", tag="kind", from_="news@sender.example"), "1"),
        (EmailFilter(text="BOSS@sender"), "3"),
        (EmailFilter(text="ANT@example"), "4321"),
        (EmailFilter(text="%"), ""),
    ],
)
def test_filters(filled: Connection, filters: EmailFilter, expected: str) -> None:
    assert subjects(listed(filled, 1, filters, limit=10)) == list(expected)


@pytest.mark.parametrize(
    "filters",
    [
        EmailFilter(),
        EmailFilter(tag="kind", tag_value="a"),
        EmailFilter(batch_id="bt_1"),
        EmailFilter(to="ant@example.net"),
        EmailFilter(domain="example.net", status="queued"),
    ],
)
def test_pages_go_both_ways(filled: Connection, filters: EmailFilter) -> None:
    everything = listed(filled, 1, filters, limit=10)
    forward = listed(filled, 1, filters, limit=1)
    while page := listed(filled, 1, filters, limit=1, after=forward[-1].public_id):
        forward += page
    assert forward == everything
    backward = everything[-1:]
    while page := listed(filled, 1, filters, limit=1, before=backward[0].public_id):
        backward = page + backward
    assert backward == everything


def test_a_page_before_holds_the_nearest_newest_first(filled: Connection) -> None:
    oldest = listed(filled, 1, limit=10)[-1].public_id
    assert subjects(listed(filled, 1, limit=2, before=oldest)) == ["3", "2"]


def test_messages_of_one_moment_are_neither_lost_nor_repeated(connection: Connection) -> None:
    accepted = [accept(connection).public_id for _ in range(5)]
    found: list[str] = []
    while page := listed(connection, 1, limit=2, after=found[-1] if found else ""):
        found += [email.public_id for email in page]
    assert found == accepted[::-1]


def test_an_unknown_place_has_no_page(filled: Connection) -> None:
    known = listed(filled, 1, limit=1)[0].public_id
    assert listed(filled, 1, limit=10, after="em_unknown") == ()
    assert listed(filled, 2, limit=10, after=known) == ()


def test_recipients_of_a_page_are_its_own(filled: Connection) -> None:
    emails = listed(filled, 1, limit=10)
    assert [[r.address for r in email.recipients] for email in emails] == [
        ["ant@example.com"],
        ["ant@example.net"],
        ["bee@example.net", "elk@example.org"],
        ["ant@example.net"],
    ]


def test_a_message_counts_once_for_a_domain(connection: Connection) -> None:
    accept(connection, "a@example.net", "b@example.net", **titled("1"))
    accept(connection, "a@example.net", "b@example.net", **titled("2"))
    in_domain = EmailFilter(domain="example.net")
    assert subjects(listed(connection, 1, in_domain, limit=10)) == ["2", "1"]
    assert message_lists.total(connection, 1, in_domain) == Total(2, is_exact=True)


def test_the_next_page_is_named_only_where_there_is_one(filled: Connection) -> None:
    whole = message_lists.page(filled, 1, limit=4)
    assert (len(whole.emails), whole.next) == (4, "")
    first = message_lists.page(filled, 1, limit=3)
    assert first.next == first.emails[-1].public_id
    back = message_lists.page(filled, 1, limit=2, before=whole.emails[-1].public_id)
    assert back.next == back.emails[0].public_id


def every_combination() -> list[EmailFilter]:
    asked: dict[str, object] = {
        "status": "bounced",
        "to": "u31@gmail.test",
        "from_": "app1@sender.test",
        "domain": "gmail.test",
        "tag": "campaign",
        "batch_id": "bt_" + "1".zfill(26),
        "text": "order",
        "since": NOW - timedelta(days=20),
    }
    names = [some for count in range(4) for some in combinations(asked, count)]
    filters = [EmailFilter(**{name: asked[name] for name in some}) for some in names]  # type: ignore[arg-type]
    return filters + [replace(one, tag_value="c5") for one in filters if one.tag]


@pytest.fixture
def history(connection: Connection) -> Connection:
    mail_history.write(connection, 3 * WINDOW, NOW)
    return connection


def test_every_combination_looks_at_a_bounded_number_of_messages(history: Connection) -> None:
    for filters in every_combination():
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        history.set_progress_handler(count, 1000)  # instructions of SQLite's machine
        try:
            message_lists.page(history, 1, filters, limit=100)
        finally:
            history.set_progress_handler(None, 0)
        assert steps < 60 * WINDOW / 1000, filters


def test_a_walk_in_windows_finds_what_an_unbounded_one_would(history: Connection) -> None:
    wanted = EmailFilter(status="delivered", text="order 100 ")
    pages, after = [message_lists.page(history, 1, wanted, limit=100)], ""
    assert pages[0].emails == ()
    while after := pages[-1].next:
        pages.append(message_lists.page(history, 1, wanted, limit=100, after=after))
    assert [[one.subject for one in page.emails] for page in pages if page.emails] == [
        ["Your order 100 is on its way"]
    ]
    assert 3 <= len(pages) <= 4
    oldest = message_lists.page(history, 1, EmailFilter(until=NOW - timedelta(days=27.99)), limit=1)
    place, found = oldest.emails[0].public_id, list[str]()
    while place:
        page = message_lists.page(history, 1, wanted, limit=100, before=place)
        found += subjects(page.emails)
        place = page.next
    assert found == ["Your order 100 is on its way"]


def test_times_bound_the_lists_of_a_recipient(history: Connection) -> None:
    days = timedelta(days=1)
    for filters in (
        EmailFilter(domain="gmail.test", since=NOW - days, text="nothing"),
        EmailFilter(domain="gmail.test", until=NOW - 27 * days, text="nothing"),
    ):
        assert message_lists.page(history, 1, filters, limit=10).next == ""


def test_totals_are_exact_or_say_so(history: Connection) -> None:
    assert message_lists.total(history, 1) == Total(COUNTED, is_exact=False)
    assert message_lists.total(history, 2) == Total(0, is_exact=True)
    bounced = EmailFilter(status="bounced")
    assert message_lists.total(history, 1, bounced) == Total(180, is_exact=True)
    one = EmailFilter(batch_id="bt_" + "1".zfill(26))
    assert message_lists.total(history, 1, one) == Total(100, is_exact=True)


def test_pages_with_numbers_reach_further(history: Connection) -> None:
    everything = message_lists.total(history, 1, reach=NUMBERED)
    assert everything.is_exact
    assert everything.number > COUNTED
    checked = EmailFilter(status="delivered", text="@")
    assert not message_lists.total(history, 1, checked).is_exact
    delivered = message_lists.total(history, 1, checked, NUMBERED)
    assert delivered.is_exact
    last = message_lists.page(
        history, 1, checked, limit=10, skip=delivered.number - 3, reach=NUMBERED
    )
    assert (len(last.emails), last.next) == (3, "")
