from datetime import UTC, datetime, timedelta

import pytest

from mta.core.address import parse_address
from mta.core.disposition import Why
from mta.core.envelope import Envelope, Recipient
from mta.core.event import Event, EventKind
from mta.core.message import HeaderFacts, Message
from mta.core.submission import AcceptFacts, Door, EntryDraft, Submission, prepare

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def submission(*recipients: str, send_at: datetime | None = None) -> Submission:
    return Submission(
        public_id="em_1",
        tenant_id=1,
        door=Door.API,
        envelope=Envelope(None, tuple(Recipient(parse_address(text)) for text in recipients)),
        message=Message(b"\r\n", None, 2, 2, bytes(32), False),
        header=HeaderFacts("", "", "", ""),
        send_at=send_at,
    )


def drafted(*recipients: str) -> list[str]:
    prepared = prepare(submission(*recipients), AcceptFacts(NOW, {}))
    assert [event.recipient for event in prepared.events] == [
        str(draft.recipient.address) for draft in prepared.entries
    ]
    return [str(draft.recipient.address) for draft in prepared.entries]


def test_one_entry_and_event_for_each_recipient_in_order() -> None:
    prepared = prepare(submission("b@x.example", "a@x.example"), AcceptFacts(NOW, {}))
    assert prepared.entries == (
        EntryDraft(Recipient(parse_address("b@x.example")), NOW, Why.NEW),
        EntryDraft(Recipient(parse_address("a@x.example")), NOW, Why.NEW),
    )
    assert prepared.events == (
        Event(EventKind.QUEUED, NOW, "b@x.example"),
        Event(EventKind.QUEUED, NOW, "a@x.example"),
    )


@pytest.mark.parametrize(
    ("recipients", "expected", "reason"),
    [
        (["a@x.example", "a@x.example"], ["a@x.example"], "the same twice"),
        (["a@x.example", "a@X.EXAMPLE"], ["a@x.example"], "the case of the domain"),
        (['"a"@x.example', "a@x.example"], ['"a"@x.example'], "quotes; the first stays as it is"),
        (["a@faß.de", "a@xn--fa-hia.de"], ["a@xn--fa-hia.de"], "U-label and A-label"),
        (["e\u0301@x.example", "é@x.example"], ["e\u0301@x.example"], "two forms of one letter"),
        (["a@x.example", "A@x.example"], ["a@x.example", "A@x.example"], "case may matter there"),
        (["a@x.example", "a+b@x.example"], ["a@x.example", "a+b@x.example"], "a tag may matter"),
    ],
)
def test_one_entry_for_each_mailbox(
    recipients: list[str], expected: list[str], reason: str
) -> None:
    assert drafted(*recipients) == expected, reason


@pytest.mark.parametrize(
    ("send_at", "due_at", "why", "data", "reason"),
    [
        (None, NOW, Why.NEW, {}, "now"),
        (LATER, LATER, Why.SCHEDULED, {"send_at": "2030-01-01T13:00:00.000+00:00"}, "later"),
        (NOW, NOW, Why.NEW, {}, "this very moment"),
        (NOW - timedelta(days=1), NOW, Why.NEW, {}, "a time that has passed is now"),
    ],
)
def test_send_at(
    send_at: datetime | None, due_at: datetime, why: Why, data: dict[str, str], reason: str
) -> None:
    prepared = prepare(submission("a@x.example", send_at=send_at), AcceptFacts(NOW, {}))
    [draft], [event] = prepared.entries, prepared.events
    assert (draft.due_at, draft.why, event.data, event.at) == (due_at, why, data, NOW), reason


def test_suppressed_recipients_are_final_from_the_start() -> None:
    facts = AcceptFacts(NOW, {"a@x.example": "bounced"})
    prepared = prepare(submission('"a"@X.example', "b@x.example", send_at=LATER), facts)
    assert [draft.is_suppressed for draft in prepared.entries] == [True, False]
    assert prepared.events[0] == Event(
        EventKind.SUPPRESSED, NOW, '"a"@x.example', {"reason": "bounced"}
    )
    assert prepared.events[1].kind is EventKind.SCHEDULED


def test_a_suppression_without_a_reason_still_suppresses() -> None:
    prepared = prepare(submission("a@x.example"), AcceptFacts(NOW, {"a@x.example": ""}))
    assert prepared.entries[0].is_suppressed
    assert prepared.events[0].data == {"reason": "unknown"}
