"""What FlushIt sends arrives, costs credits, is tracked and told: one engine, one story."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.request import Request, urlopen

import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from tests.seeds.curl_lines_emailflow import FLUSHIT, FLUSHIT_JAVASCRIPT
from tests.seeds.shapes import assert_shape, row
from tests.seeds.world import DOORS, PUBLIC_URL, World, world
from tests.support.tools import find_tool

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOB = {
    "type": "email",
    "from": "sender@sender.test",
    "subject": "Hello from FlushIt",
    "htmlContent": '<h1>Welcome!</h1><p><a href="https://shop.example/">Your message here.</a></p>',
    "recipients": ["user1@example.net", "user2@example.net"],
    "trackOpens": True,
    "trackClicks": True,
}
READER = {"User-Agent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}
"""Counts as a person at once; what browsers do within two seconds of delivery does not."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("flushit")
    async with world(directory, "[credits]\nenabled = true\n") as found:
        code, output, errors = await found.engine.mta(
            *("key", "create", "--name", "operator", "--scope", "admin", "--json")
        )
        assert code == 0, errors
        operator = {"Authorization": f"Bearer {json.loads(output)['key']}"}
        wish = {"amount": 1000, "description": "Credit purchase", "type": "purchase"}
        given = await found.engine.call("POST", "/v1/credits/adjust", wish, operator)
        assert given.status == 200, given.body
        yield found


async def call(there: World, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    """Call as FlushIt's client does; return the JSON of the answer."""
    headers = {"X-API-Key": there.engine.key, "Authorization": ""}
    answer = await there.engine.call(method, path, body, headers)
    assert answer.status == status, answer.body
    return answer.body


async def ended(there: World, job: str) -> Any:
    """Return a job once it is completed."""
    async with asyncio.timeout(30):
        while True:
            found = (await call(there, "GET", f"/api/send/{job}"))["job"]
            if found["status"] == "completed":
                return found
            await asyncio.sleep(0.1)


@row("F-22")
async def test_nothing_goes_out_without_credits(there: World) -> None:
    before = await call(there, "GET", "/api/credits/balance")
    wish = JOB | {"recipients": [f"bee{number}@poor.test" for number in range(1001)]}
    refused = await call(there, "POST", "/api/send", wish, 403)
    assert refused["error"]["code"] == "insufficient_credits"
    assert (await call(there, "GET", "/api/credits/balance"))["balance"] == before["balance"]
    assert not [one for one in there.mail.messages if "poor.test" in one.recipients[0]]


@row("F-01", "F-04", "F-05", "F-18", "F-22", "F-23", "F-24")
async def test_a_job_arrives_and_is_read(there: World) -> None:
    before = await call(there, "GET", "/api/credits/balance")
    events = ["delivery.sent", "delivery.bounced", "campaign.completed", "delivery.clicked"]
    hook = await call(there, "POST", "/api/webhooks", {"url": there.app.url, "events": events})
    made = await call(there, "POST", "/api/send", JOB)
    assert_shape(made, {"jobId": str, "totalRecipients": 2, "creditsReserved": 2})
    for name in JOB["recipients"]:
        message = await there.arrived(name)
        assert (message["From"], message["Subject"]) == ("sender@sender.test", JOB["subject"])
    job = await ended(there, made["jobId"])
    charged = {"sentCount": 2, "failedCount": 0, "creditsCharged": 2, "creditsRefunded": 0}
    assert_shape(job, charged)
    after = await call(there, "GET", "/api/credits/balance")
    left = before["balance"] - 2
    assert after == {"balance": left, "reserved": 0, "available": left}
    body = message.get_body(("html",))
    assert body is not None
    await visit(there, *re.findall(rf'"{PUBLIC_URL}(/t/[^"]+)"', body.get_content()))
    tracked = await seen(there, made["jobId"])
    assert tracked["clicks"] == {"total": 1, "unique": 1, "rate": 0.5}
    assert tracked["opens"]["unique"] == 1
    reader = {"email": "user2@example.net", "status": "delivered", "openedAt": str}
    [one] = [one for one in tracked["recipients"] if one["clickedAt"]]
    assert_shape(one, {**reader, "clickedAt": str})
    await told(there, made["jobId"], hook["secret"])


async def visit(there: World, *paths: str) -> None:
    """Fetch the images and links of a mail as its reader's program does."""

    def fetch() -> None:
        for path in paths:
            request = Request(there.engine.api + path, headers=READER)  # noqa: S310 - loopback
            with suppress(OSError):  # the shop that the link leads to is nowhere
                urlopen(request, timeout=20).close()  # noqa: S310

    assert len(paths) == 2
    await asyncio.to_thread(fetch)


async def seen(there: World, job: str) -> Any:
    """Return the tracking of a job once opening and click are in it."""
    async with asyncio.timeout(30):
        while True:
            found = (await call(there, "GET", f"/api/tracking/{job}"))["tracking"]
            if found["clicks"]["total"] and found["opens"]["total"]:
                return found
            await asyncio.sleep(0.1)


async def told(there: World, job: str, secret: str) -> None:
    """Check what was posted: two deliveries, a click, the end of the job, each signed."""
    names = ["campaign.completed", "delivery.clicked", "delivery.sent", "delivery.sent"]
    async with asyncio.timeout(30):
        while len(there.app.received) < len(names):
            await there.app.wait_for(len(there.app.received) + 1)
    bodies = [json.loads(one.body) for one in there.app.received]
    assert sorted(one["event"] for one in bodies) == names
    assert {one["data"]["jobId"] for one in bodies} == {job}
    for post in there.app.received:
        Webhook(secret).verify(post.body, post.headers)
        expected = hmac.new(secret.encode(), post.body, hashlib.sha256).hexdigest()
        assert post.headers["x-webhook-signature"] == expected


@row("F-05", "F-22")
async def test_what_fails_is_paid_back(there: World) -> None:
    before = await call(there, "GET", "/api/credits/balance")
    suppressed = {"email": "gone@example.net"}
    await there.ok("POST", "/v1/suppressions", suppressed)
    wish = JOB | {"recipients": ["gone@example.net", "user3@example.net"]}
    made = await call(there, "POST", "/api/send", wish)
    job = await ended(there, made["jobId"])
    assert_shape(job, {"sentCount": 1, "failedCount": 1, "creditsCharged": 1, "creditsRefunded": 1})
    after = await call(there, "GET", "/api/credits/balance")
    left = before["balance"] - 1
    assert after == {"balance": left, "reserved": 0, "available": left}


@row("F-02", "F-19")
async def test_the_documents_own_lines_run(there: World) -> None:
    shown = await call(there, "GET", "/api/credits/balance")
    assert await there.curl(FLUSHIT) == shown
    for door in DOORS:
        nothing = {"balance": 0, "reserved": 0, "available": 0}
        assert await (await there.at(door, "flushit")).curl(FLUSHIT) == nothing
    script = FLUSHIT_JAVASCRIPT.format(base=there.engine.api, key=there.engine.key)
    process = await asyncio.create_subprocess_exec(
        *(find_tool("node"), "--input-type=module", "-e"),
        f"{script}\nconsole.log(JSON.stringify(data));",
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert json.loads(output) == shown
