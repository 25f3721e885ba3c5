"""Bodies that JavaScript reads and writes again octet for octet."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from control_api.dialects.sk_live_webhooks import NAMES, as_javascript, body_of, headers_of
from control_api.event_types import KINDS_OF, TYPES, example
from mta.core.event import EventKind
from tests.control_api.conftest import NOW
from tests.support.tools import find_tool

REWRITE = """
const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(texts.map((text) => JSON.stringify(JSON.parse(text)))));
"""
LETTERS = 'aé🐜 "\\/<>\x00\x01\x08\t\n\x0b\x0c\r\x1f\x7f\u2028\u2029\ufeff'
QUEUED = next(one for one in TYPES if one.kind is EventKind.QUEUED)


def value(random: Random, depth: int = 0) -> Any:  # noqa: PLR0911 - one for each kind
    """Return any JSON value."""
    kinds = ["text", "integer", "float", "flag", "nothing"] + ["object", "array"] * (depth < 3)
    match random.choice(kinds):
        case "text":
            return "".join(random.choices(LETTERS, k=random.randrange(6)))
        case "integer":
            return random.choice([0, -1, 2**53, 2**53 - 1, -(2**60), random.randrange(10**6)])
        case "float":
            return random.choice([1.0, 0.1, 1e21, 1e-7, -0.0, random.random() * 1e9])
        case "flag":
            return random.random() < 0.5
        case "nothing":
            return None
        case "array":
            return [value(random, depth + 1) for _ in range(random.randrange(4))]
        case _:
            names = ["10", "2", "01", "-1", "4294967294", "4294967295", "a", "__proto__", "é", ""]
            chosen = random.sample(names, random.randrange(len(names)))
            return {name: value(random, depth + 1) for name in chosen}


async def rewritten(texts: list[str]) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *(find_tool("node"), "-e", REWRITE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate(json.dumps(texts).encode())
    return [str(text) for text in json.loads(output)]


async def test_node_writes_what_it_has_read() -> None:
    random = Random(7)
    values = [as_javascript(value(random)) for _ in range(500)]
    texts = [json.dumps(one, separators=(",", ":"), ensure_ascii=False) for one in values]
    assert await rewritten(texts) == texts


async def test_so_it_does_with_every_event() -> None:
    tags = (("10", "x"), ("2", LETTERS), ("b", ""), ("__proto__", "1"))
    events = [replace(example(one, "ev_1", NOW), tags=tags, subject=LETTERS) for one in TYPES]
    texts = [body_of(one).decode() for one in events]
    assert await rewritten(texts) == texts


def test_an_event() -> None:
    event = replace(example(QUEUED, "ev_1", NOW), tags=(("kind", "invoice"),))
    body = json.loads(body_of(event))
    assert body == {
        "type": "email.sent",
        "data": {
            "id": event.email_id,
            "messageId": event.message_id,
            "from": "shop@example.com",
            "to": "ant@example.net",
            "subject": "Your order",
            "tags": {"kind": "invoice"},
            "createdAt": "2026-03-01T12:00:00.000Z",
        },
    }


def test_a_contact_that_has_left_a_list() -> None:
    left = next(one for one in TYPES if one.kind is EventKind.CONTACT_UNSUBSCRIBED)
    body = json.loads(body_of(example(left, "ev_1", NOW)))
    contact = left.data["contact"]
    assert isinstance(contact, dict)
    assert body == {
        "type": "contact.unsubscribed",
        "data": {
            "id": contact["id"],
            "email": contact["email"],
            "listId": left.data["audience_id"],
            "createdAt": "2026-03-01T12:00:00.000Z",
        },
    }


def test_the_signature_is_bare_hex_over_the_body_with_the_whole_secret() -> None:
    # what openssl says: printf '{}' | openssl dgst -sha256 -hmac whsec_eA==
    signature = "666c67f38623f88ea0ec0ea9041573a3e639885be71de47b32a3a9dbfdaf3aaf"
    headers = headers_of("ev_1", NOW, b"{}", ["whsec_eA==", "whsec_eQ=="])
    assert headers["x-webhook-signature"] == signature
    assert headers["webhook-id"] == "ev_1"


@pytest.mark.parametrize("native", NAMES.values())
def test_every_event_of_theirs_is_one_of_ours(native: str) -> None:
    assert native in KINDS_OF
