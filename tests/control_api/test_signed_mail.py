"""Mail that others have signed or encrypted: nothing looks into it, nothing in it is tracked."""

from __future__ import annotations

import pytest

from storage import queue
from tests.control_api.conftest import Api

HEAD = (
    b"From: shop@sender.example\r\nTo: b@x.example\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n"
    b"Message-ID: <1@sender.example>\r\nDate: Sun, 01 Mar 2026 12:00:00 +0000\r\n"
)
HTML = b'Content-Type: text/html\r\n\r\n<a href="https://sender.example/">here</a> \r\n'
PROTECTED = {
    "S/MIME signed": b'Content-Type: multipart/signed; micalg=sha-256; boundary="s";\r\n'
    b' protocol="application/pkcs7-signature"\r\n\r\n--s\r\n' + HTML + b"\r\n--s\r\n"
    b"Content-Type: application/pkcs7-signature\r\n\r\nMIIB\r\n--s--\r\n",
    "S/MIME encrypted": b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nMIIB\r\n",
    "PGP encrypted": b'Content-Type: multipart/encrypted; boundary="p";\r\n'
    b' protocol="application/pgp-encrypted"\r\n\r\n--p\r\nContent-Type: application/pgp-encrypted'
    b"\r\n\r\nVersion: 1\r\n--p\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n--p--\r\n",
    "DKIM": b"DKIM-Signature: v=1; a=rsa-sha256; d=sender.example; s=a; h=from; bh=eA==; b=eA==\r\n"
    + HTML,
}


@pytest.mark.parametrize("protected", PROTECTED.values(), ids=PROTECTED)
async def test_l06_protected_mail_passes_through_untracked(api: Api, protected: bytes) -> None:
    reply = await api.client.request(
        "POST",
        "/v1/emails/raw",
        body=HEAD + protected,
        headers={"content-type": "message/rfc822"},
    )
    assert reply.status == 200, reply.json
    assert api.stored(reply.json["id"]).endswith(protected)
    [claimed] = api.database.write_now(
        lambda db: (
            queue.claim(
                db, [queue.ClaimRequest("x.example", 9)], now=api.clock.now, owner="test"
            ).messages
        )
    )
    assert claimed.message.tracking is None


async def test_l06_tracking_cannot_be_asked_of_what_others_composed(api: Api) -> None:
    raw = (HEAD + PROTECTED["DKIM"]).decode()
    reply = await api.client.post("/v1/emails/raw", {"raw": raw, "tracking": True})
    assert reply.status == 422
