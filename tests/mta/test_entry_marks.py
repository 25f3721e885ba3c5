"""Return paths and unsubscribe fields: one for each recipient, the same at every attempt."""

from __future__ import annotations

import email
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mta.core.address import parse_address
from mta.core.envelope import Priority
from mta.core.message import Message
from mta.core.report_address import AddressRules, Sealed, read_address
from mta.core.return_path import Purpose
from mta.core.unsubscribe import Unsubscribe, UnsubscribeOffer, read_token
from mta.entry_marks import EntryMarks
from mta.signing import SIGNED
from storage.queue import QueuedEntry, QueuedMessage

NOW = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
SECRET = b"s" * 32
HEADER = b"From: a@sender.test\r\nSubject: x\r\n\r\n"
MESSAGE = QueuedMessage(
    1,
    "em_1",
    7,
    "app@sender.test",
    "",
    "",
    Message(HEADER, None, 30, 30, bytes(32), False),
    False,
    "sender.test",
    NOW,
    "smtp",
)
ENTRY = QueuedEntry(42, "you@dest.test", "dest.test", "", "", Priority.BULK, 0, NOW)
MARKS = EntryMarks("b.test", SECRET, public_url="https://mail.test")
RULES = AddressRules("b.test", frozenset({"b.test"}), (SECRET,), timedelta(days=10))


def sealed(address: str) -> Sealed:
    found = read_address(parse_address(address), RULES, NOW)
    assert isinstance(found, Sealed)
    return found


def test_the_return_path_names_entry_tenant_and_day_of_acceptance() -> None:
    path = MARKS.return_path(MESSAGE, ENTRY)
    assert path == MARKS.return_path(MESSAGE, replace(ENTRY, attempts=9))
    found = sealed(path)
    assert (found.purpose, found.path.entry_number) == (Purpose.BOUNCE, 42)
    assert (found.path.tenant_id, found.path.issued_on) == (7, NOW.date())


def test_the_return_path_may_be_in_a_host_of_the_tenant() -> None:
    local, _, host = MARKS.return_path(MESSAGE, ENTRY, "bounce.sender.test").partition("@")
    assert host == "bounce.sender.test"
    assert f"{local}@b.test" == MARKS.return_path(MESSAGE, ENTRY)
    assert EntryMarks().return_path(MESSAGE, ENTRY, "bounce.sender.test") == "app@sender.test"


@pytest.mark.parametrize(
    ("marks", "message", "expected"),
    [
        (EntryMarks(), MESSAGE, "app@sender.test"),  # no domain is set
        (MARKS, replace(MESSAGE, mail_from=""), ""),  # a null return path stays null
        (replace(MARKS, rewrites_smtp=False), MESSAGE, "app@sender.test"),
    ],
)
def test_return_paths_that_stay(marks: EntryMarks, message: QueuedMessage, expected: str) -> None:
    assert marks.return_path(message, ENTRY) == expected
    assert not marks.is_individual(message)
    assert marks.marked(HEADER, message, ENTRY) == HEADER


def test_mail_of_the_api_is_rewritten_in_any_case() -> None:
    marks = replace(MARKS, rewrites_smtp=False)
    assert marks.return_path(replace(MESSAGE, door="api"), ENTRY).startswith("b-")


def test_unsubscribe_fields_for_one_recipient() -> None:
    message = replace(MESSAGE, unsubscribe=UnsubscribeOffer("aud_1"))
    assert MARKS.is_individual(message)
    header = email.message_from_bytes(MARKS.marked(HEADER, message, ENTRY))
    link, mailto = header["List-Unsubscribe"].replace("\r\n", "").split(", ")
    assert header["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    token = link.strip(" <>").removeprefix("https://mail.test/u/")
    assert read_token(token, [SECRET]) == Unsubscribe(7, 42, "aud_1")
    found = sealed(mailto.strip(" <>").removeprefix("mailto:").partition("?")[0])
    assert (found.purpose, found.path.entry_number) == (Purpose.UNSUBSCRIBE, 42)
    assert header["Subject"] == "x"
    assert header["CFBL-Feedback-ID"] == MARKS.return_path(message, ENTRY).partition("@")[0]


def test_a_page_of_the_senders_own() -> None:
    offer = UnsubscribeOffer(url="https://shop.test/out?u=1", is_one_click=False)
    message = replace(MESSAGE, unsubscribe=offer)
    marks = EntryMarks(secret=SECRET)
    assert not marks.is_individual(message)  # all get the same link
    header = email.message_from_bytes(marks.marked(HEADER, message, ENTRY))
    assert header["List-Unsubscribe"] == "<https://shop.test/out?u=1>"
    assert "List-Unsubscribe-Post" not in header


def test_without_a_page_there_is_the_address() -> None:
    message = replace(MESSAGE, unsubscribe=UnsubscribeOffer())
    marks = replace(MARKS, public_url="")
    header = email.message_from_bytes(marks.marked(HEADER, message, ENTRY))
    assert header["List-Unsubscribe"].strip().startswith("<mailto:u-")
    assert "List-Unsubscribe-Post" not in header


def test_the_senders_own_field_stays_alone() -> None:
    own = b"List-Unsubscribe: <mailto:x@y.test>\r\n" + HEADER
    message = replace(MESSAGE, unsubscribe=UnsubscribeOffer(), mail_from="")
    assert MARKS.marked(own, message, ENTRY) == own


def test_the_signature_covers_what_one_click_needs() -> None:
    """RFC 8058 4: both fields are inside of the signature; ours besides."""
    wanted = {b"list-unsubscribe", b"list-unsubscribe-post", b"cfbl-feedback-id"}
    assert wanted <= set(SIGNED)
