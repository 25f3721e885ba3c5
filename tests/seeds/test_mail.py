"""What the services send arrives: the documents' own calls, and the messages at a mail server."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.control_api.conftest import parsed
from tests.seeds import curl_lines
from tests.seeds.shapes import assert_shape, row
from tests.seeds.world import DOORS, World, world
from tests.support.tools import find_tool

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERIFIER = """
const crypto = require('crypto');
function verifyWebhook(body, signature, secret) {
const expected = crypto
.createHmac('sha256', secret)
.update(body)
.digest('hex');
return crypto.timingSafeEqual(
Buffer.from(signature),
Buffer.from(expected)
);
}
const handle = (req, res) => {
const sig = req.headers['x-webhook-signature'];
if (!verifyWebhook(JSON.stringify(req.body), sig, SECRET)) {
return res.status(401).send('Invalid signature');
}
const { type, data } = req.body;
// Process event...
res.status(200).send('OK');
};
"""
"""The receiver of sk_live's document."""
RUNNER = """
const [posts, SECRET] = JSON.parse(require('fs').readFileSync(0, 'utf8'));
%s
const answers = posts.map(({ headers, body }) => {
  const seen = [];
  const res = { status: (code) => { seen.push(code); return res; }, send: () => res };
  handle({ headers, body: JSON.parse(body) }, res);
  return seen[0];
});
console.log(JSON.stringify(answers));
"""
"""What express does around it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("seeds")) as found:
        yield found


@row("M-01", "M-27")
@pytest.mark.parametrize("base", ["", "/compat/mailsflux"], ids=["root", "prefix"])
async def test_mailsflux_sends(there: World, base: str) -> None:
    to = f"flux{len(base)}@example.net"
    made = await there.ok(
        "POST",
        f"{base}/v1/emails/send",
        {"from": "Ants <ant@sender.test>", "to": to, "subject": "Hi", "text": "Hello"},
    )
    assert_shape(made, {"id": str, "status": "queued", "queued_at": str})
    message = await there.arrived(to)
    assert (message["From"], message["Subject"]) == ("Ants <ant@sender.test>", "Hi")
    assert message.get_content().strip() == "Hello"


@row("M-04")
async def test_mailsflux_sends_a_batch(there: World) -> None:
    emails = [
        {"from": "ant@sender.test", "to": f"{name}@flux.test", "subject": name, "text": name}
        for name in ("one", "two")
    ]
    await there.ok("POST", "/v1/emails/batch", {"emails": emails})
    for name in ("one", "two"):
        assert (await there.arrived(f"{name}@flux.test"))["Subject"] == name


@row("D-01", "D-02", "D-03", "D-04", "D-05", "D-06")
@pytest.mark.parametrize("door", DOORS)
async def test_sendflares_curl_lines(there: World, door: str) -> None:
    lines, there = curl_lines.SENDFLARE, await there.at(door, "sendflare")
    for name in ("D-01", "D-03"):
        assert_shape(await there.curl(lines[name]), {"code": 0, "success": True, "data": None})
    message = await there.arrived("to@example.com")
    assert (message["Subject"], message.get_content().strip()) == ("test send", "test content")
    listed = (await there.curl(lines["D-02"]))["data"]
    assert_shape(listed, {"total": 1, "page": 1, "pageSize": 50})
    assert_shape(listed["list"], [{"emailAddress": "john.doe@example.com", "vipLevel": 1}])
    refused = await there.curl(lines["D-04"])  # no headers either: nobody is let in
    assert_shape(refused, {"code": 40101, "success": False})
    assert (await there.curl(lines["D-02"]))["data"]["total"] == 1
    quoted = lines["D-04"].replace("{base}/v1", '"{base}/v1').replace(".com", '.com"', 1)
    assert_shape(await there.curl(quoted), {"code": 0, "success": True})
    assert (await there.curl(lines["D-02"]))["data"]["total"] == 0


@row(*curl_lines.SK_LIVE)
@pytest.mark.parametrize("door", DOORS)
async def test_sk_lives_curl_lines(there: World, door: str) -> None:
    lines, there = curl_lines.SK_LIVE, await there.at(door, "sk_live")
    sender = {"name": "N", "from_name": "News", "from_email": "news@sender.test"}
    audience = await there.ok("POST", "/v1/audiences", sender)
    domain = await there.ok("POST", "/v1/domains", {"name": f"{door}.sender.test"})
    ids = {"list": audience["id"], "domain": domain["id"], "receiver": there.app.url}
    sent = await there.curl(lines["S-01"])
    assert_shape(sent, {"id": str, "status": "sent", "messageId": str})
    ids["email"] = sent["id"]
    shapes: dict[str, Any] = {
        "S-02": {"results": [{"to": str, "id": str, "status": "sent"}], "total": 2, "failed": 0},
        "S-03": {"emails": [{"id": str, "opens": int}], "total": int, "page": 1, "pages": int},
        "S-04": {"email": {"id": sent["id"]}, "events": [{"type": str, "createdAt": str}]},
        "S-05": {"id": str, "email": "new@example.com", "status": "subscribed"},
        "S-06": {"contacts": [{"email": "new@example.com"}], "total": 1, "page": 1},
        "S-07": {"domains": list},
        "S-08": {"status": str, "domain": f"{door}.sender.test"},
        "S-09": {"id": str, "url": there.app.url, "secret": str, "events": [str]},
        "S-10": {"webhooks": [{"id": str, "events": [str], "isActive": True}]},
        "S-11": {"id": str, "name": "March Newsletter", "status": "draft"},
        "S-12": {"success": True, "status": "sending"},
        "S-13": {"contacts": int, "campaigns": {"total": 1}, "emailsThisMonth": int},
    }
    if door != "root":
        del shapes["S-08"]  # which waits for nameservers that are not there
    for name, shape in shapes.items():
        answer = await there.curl(lines[name], **ids)
        assert_shape(answer, shape, name)
        if name == "S-11":
            ids["campaign"] = answer["id"]
    welcome = await there.arrived("user@example.com")
    assert (welcome["From"], welcome["Subject"]) == ("you@yourdomain.com", "Welcome!")
    for name in "ab":
        message = await there.arrived(f"{name}@example.com")
        assert f"Hello {name.upper()}" in message.get_content()
    news = await there.arrived("new@example.com")
    assert (news["From"], news["Subject"]) == ("News <news@sender.test>", "News!")


@row("S-16", "S-17")
async def test_the_documents_own_receiver_takes_our_posts(there: World) -> None:
    node = find_tool("node")
    wish = {"url": there.app.url + "/node", "events": ["email.sent", "email.delivered"]}
    hook = await there.ok("POST", "/api/v1/webhooks", wish)
    await there.ok(
        "POST",
        "/api/v1/emails",
        {
            "from": "ant@sender.test",
            "to": "delivered@sandbox.test",
            "subject": 'Grüße "quoted" \\ </script> 🐜',
            "html": "<p>Hi</p>",
            "tags": {"10": "ten", "2": "two", "01": "x", "b": "é", "a": "1.0", "__proto__": "p"},
        },
    )
    posts = await _posted(there, "/hook/node", 2)
    assert [json.loads(body)["type"] for _, body in posts] == ["email.sent", "email.delivered"]
    for headers, _ in posts:
        assert len(headers["x-webhook-signature"]) == 64
    given = [{"headers": headers, "body": body} for headers, body in posts]
    right = await _node(node, given, hook["secret"])
    wrong = await _node(node, given, hook["secret"][:-1])
    assert (right, wrong) == ([200, 200], [401, 401])


async def _posted(there: World, path: str, count: int) -> list[tuple[dict[str, str], str]]:
    """Return headers and body of the posts to a path, once there are so many."""
    while True:
        found = [one for one in there.app.received if one.path == path]
        if len(found) >= count:
            return [(one.headers, one.body.decode()) for one in found]
        await there.app.wait_for(len(there.app.received) + 1)


async def _node(node: str, posts: list[dict[str, Any]], secret: str) -> Any:
    """Return what the document's receiver answers."""
    process = await asyncio.create_subprocess_exec(
        *(node, "-e", RUNNER % VERIFIER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate(json.dumps([posts, secret]).encode())
    return json.loads(output)


SUBJECT = "Grüße 🐜 " + "an alle, die es angeht, " * 8
HTML = '<p>Hé <a href="https://shop.example/?a=1&amp;b=ü">🐜</a><img src="cid:logo"></p>'
PICTURE = base64.b64encode(b"\x89PNG").decode()
FROM, REPLY = "Änt <ant@sender.test>", "Reply <reply@sender.test>"
EVERYTHING: dict[str, Any] = {
    "from": FROM,
    "subject": SUBJECT,
    "html": HTML,
    "text": "Hé 🐜",
    "headers": {"X-Order": "42"},
    "attachments": [
        {"filename": "ü.txt", "content": base64.b64encode("Grüße".encode()).decode()},
        {
            "filename": "l.png",
            "content": PICTURE,
            "content_type": "image/png",
            "content_id": "logo",
        },
    ],
}


@row("S-01", "M-01")
@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/compat/mailsflux/v1/emails/send", {"reply_to": REPLY, "tags": {"a": "b"}}),
        ("/api/v1/emails", {"replyTo": REPLY, "tags": {"a": "b"}}),
    ],
    ids=["mailsflux", "sk_live"],
)
async def test_all_that_a_mail_may_have_arrives(there: World, path: str, more: Any) -> None:
    one, two, three, four = (f"{number}@all{len(path)}.test" for number in range(4))
    to = {"to": [one, f"Zwei <{two}>"], "cc": three, "bcc": four}
    await there.ok("POST", path, EVERYTHING | to | more)
    taken = await there.taken(one)
    assert set(taken.recipients) == {one, two, three, four}
    message = parsed(taken.data)
    told = {name: message[name] for name in ("From", "Cc", "Bcc", "Reply-To", "Subject", "X-Order")}
    assert told == {
        "From": FROM,
        "Cc": three,
        "Bcc": None,
        "Reply-To": REPLY,
        "Subject": SUBJECT.strip(),
        "X-Order": "42",
    }
    assert message["To"] == f"{one}, Zwei <{two}>"
    assert max(map(len, taken.data.split(b"\r\n"))) <= 998
    html, text = (message.get_body((kind,)) for kind in ("html", "plain"))
    assert html is not None
    assert text is not None
    assert (html.get_content().strip(), text.get_content().strip()) == (HTML, "Hé 🐜")
    parts = {part.get_filename(): part for part in message.walk()}
    assert parts["ü.txt"].get_payload(decode=True) == "Grüße".encode()
    assert parts["l.png"]["Content-ID"] == "<logo>"


@row("D-01")
async def test_a_letter_of_sendflares_arrives_in_any_language(there: World) -> None:
    wish = {"from": FROM, "to": "Zwei <zwei@flare.test>", "subject": SUBJECT, "body": HTML}
    await there.ok("POST", "/v1/send", wish)
    message = await there.arrived("zwei@flare.test")
    assert (message["From"], message["To"]) == (FROM, "Zwei <zwei@flare.test>")
    assert message["Subject"] == SUBJECT.strip()
    html, text = (message.get_body((kind,)) for kind in ("html", "plain"))
    assert html is not None
    assert text is not None
    assert (html.get_content().strip(), text.get_content().strip()) == (HTML, "Hé 🐜")
