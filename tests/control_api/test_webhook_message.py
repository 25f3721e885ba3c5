"""The bytes of a webhook post, judged by the standard's own library."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from control_api.webhook_message import SECRET_SIZE, body_of, format_secret, headers_of
from mta.core.event import EventKind
from storage.events import JournalEntry

SECRET = format_secret(bytes(range(SECRET_SIZE)))
EVENT = JournalEntry(
    seq=7,
    id="ev_7",
    kind=EventKind.DEFERRED,
    at=datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC),
    tenant_id=1,
    email_id="em_1",
    message_row=1,
    entry_id="dl_1",
    recipient="böb@example.net",
    data={"attempt": 1, "code": 451, "text": "try later\nplease"},
    tags=(("kind", "invoice"),),
    metadata={"order": 7},
    from_="ann@sender.example",
    subject="Grüße",
    message_id="<em_1@sender.example>",
)


def test_body() -> None:
    assert json.loads(body_of(EVENT)) == {
        "type": "email.delayed",
        "timestamp": "2026-03-01T12:00:00.123Z",
        "data": {
            "email_id": "em_1",
            "message_id": "<em_1@sender.example>",
            "from": "ann@sender.example",
            "to": ["böb@example.net"],
            "recipient": "böb@example.net",
            "recipient_id": "dl_1",
            "subject": "Grüße",
            "tags": {"kind": "invoice"},
            "metadata": {"order": 7},
            "details": {"attempt": 1, "code": 451, "text": "try later\nplease"},
        },
    }


def test_k05_signature_is_the_standards() -> None:
    body = body_of(EVENT)
    headers = headers_of(EVENT.id, datetime.now(UTC), body, SECRET)
    assert Webhook(SECRET).verify(body, headers)["type"] == "email.delayed"


def test_k05_known_answer() -> None:
    """The vector of the standard's reference libraries."""
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = headers_of(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        at,
        b'{"test": 2432232314}',
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret", "age"])
def test_k05_tampering_is_noticed(change: str) -> None:
    body = body_of(EVENT)
    at = datetime.now(UTC) - (timedelta(minutes=6) if change == "age" else timedelta())
    headers = headers_of(EVENT.id, at, body, SECRET)
    match change:
        case "body":
            body += b" "
        case "id":
            headers["webhook-id"] = "ev_8"
        case "timestamp":
            headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
    secret = format_secret(bytes(SECRET_SIZE)) if change == "secret" else SECRET
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)
