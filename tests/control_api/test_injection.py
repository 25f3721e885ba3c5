"""What strangers' text cannot do to a message: line ends, tricks, header names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.control_api.conftest import EMAIL, Api, parsed

BREAKS = [
    "\r\nBcc: evil@example.com",
    "\nBcc: evil@example.com",
    "\rBcc: evil@example.com",
    "\0",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\r\n\r\n<script>",
    "\r\n X: folded",
]
TRICKS = [
    "=?utf-8?q?a=0D=0ABcc:_evil=40example.com?=",
    "=?utf-8?b?DQpCY2M6IGV2aWxAZXhhbXBsZS5jb20=?=",
    "=?us-ascii?q?=0ABcc:_x?= =?x?=",
    "\u010a\u010dBcc: x",  # low bytes are CR and LF
    "Bcc: evil@example.com",
    '"\\"',
    "a,b;c<d>(e)",
    "\ufeff\u200b\u202e",
    "x" * 900,
    "ü" * 900,
]
PLACES: dict[str, Any] = {
    "subject": lambda text: {"subject": f"a{text}"},
    "from.name": lambda text: {"from": {"email": "ant@sender.example", "name": f"a{text}"[:256]}},
    "to.name": lambda text: {"to": [{"email": "bee@example.net", "name": f"a{text}"[:256]}]},
    "reply_to": lambda text: {"reply_to": {"email": "x@sender.example", "name": f"a{text}"[:256]}},
    "header": lambda text: {"headers": {"X-Custom": f"a{text}"}},
    "filename": lambda text: {"attachments": [{"filename": f"a{text}"[:255], "content": ""}]},
    "tag": lambda text: {"tags": {"a": f"a{text}"[:256]}},
}
EXPECTED = {
    b"Received",
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"MIME-Version",
    b"Content-Type",
}


class TestInjection:
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("text", BREAKS)
    async def test_h04_line_ends_are_refused(self, api: Api, place: str, text: str) -> None:
        reply = await api.client.post("/v1/emails", EMAIL | PLACES[place](text))
        assert reply.status == 422
        assert reply.json["errors"][0]["code"] == "invalid_text"

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("text", TRICKS)
    async def test_h04_other_text_stays_where_it_was_put(
        self, api: Api, place: str, text: str
    ) -> None:
        reply = await api.client.post("/v1/emails", EMAIL | PLACES[place](text))
        assert reply.status == 200
        names = [field.name for field in api.header(reply.json["id"]).fields]
        extra = {"reply_to": {b"Reply-To"}, "header": {b"X-Custom"}}.get(place, set())
        assert set(names) - {b"Content-Transfer-Encoding"} == EXPECTED | extra
        assert len(set(names)) == len(names)
        message = parsed(api.stored(reply.json["id"]))
        read = {
            "subject": message["Subject"],
            "header": message["X-Custom"],
            "from.name": message["From"].addresses[0].display_name,
            "to.name": message["To"].addresses[0].display_name,
        }.get(place)
        if read is not None:
            # This reader keeps the space between the encoded words of a name (RFC 2047 6.2).
            expected = f"a{text}"[:256] if "name" in place else f"a{text}"
            assert str(read).replace(" ", "") == expected.replace(" ", "")

    @pytest.mark.parametrize("place", ["from", "to", "cc", "bcc", "reply_to"])
    @pytest.mark.parametrize("text", [*BREAKS, "\u0141", " ", "\t", "\u202e", ">", "<", "\u00a0"])
    async def test_h04_addresses(self, api: Api, place: str, text: str) -> None:
        for address in (f"a{text}@b.example", f"a@b{text}.example", f"N <a@b.example>{text}x"):
            reply = await api.client.post("/v1/emails", EMAIL | {place: address})
            assert reply.status == 422 or (text == "\u0141" and reply.status == 200)

    @pytest.mark.parametrize(
        "name",
        [
            "X: y\r\nBcc",
            "X\r\nBcc: evil@example.com\r\nY",
            "",
            " ",
            "X Y",
            "X:",
            "X\t",
            "Ü",
            "X\u2028",
            "x" * 100,
            *[
                "From",
                "from",
                "To",
                "Cc",
                "Bcc",
                "bcc",
                "Subject",
                "Date",
                "Message-ID",
                "Received",
                "Return-Path",
            ],
            *["DKIM-Signature", "ARC-Seal", "Reply-To", "Sender:x", "Resent-Bcc", "MIME-Version"],
            *["Content-Type", "content-transfer-encoding", "X-MTA-Tenant"],
        ],
    )
    async def test_h05_header_names(self, api: Api, name: str) -> None:
        reply = await api.client.post("/v1/emails", EMAIL | {"headers": {name: "x"}})
        assert reply.status == 422
        assert reply.json["errors"][0]["field"].startswith("headers")
        assert api.count("messages") == 0

    async def test_h05_same_header_in_two_cases(self, api: Api) -> None:
        reply = await api.client.post("/v1/emails", EMAIL | {"headers": {"X-A": "1", "x-a": "2"}})
        assert reply.status == 422

    @pytest.mark.parametrize(
        "attachment",
        [
            {"content_type": "text/plain\r\nX: y"},
            {"content_type": "text/plain; charset=\n"},
            {"content_type": "text"},
            {"content_type": "multipart/mixed; boundary=x"},
            {"content_id": "a>\r\nX: y"},
            {"content_id": "a b"},
            {"disposition": "attachment; x=y"},
            {"disposition": "inline\r\nX: y"},
        ],
    )
    async def test_h04_attachment_headers(self, api: Api, attachment: dict[str, str]) -> None:
        fine = {"filename": "a", "content": ""}
        reply = await api.client.post("/v1/emails", EMAIL | {"attachments": [fine | attachment]})
        assert reply.status == 422
        [name] = attachment
        assert reply.json["errors"][0]["field"] == f"attachments[0].{name}"

    async def test_header_block_that_is_too_large(self, api: Api) -> None:
        headers = {f"X-{number}": "x " * 4000 for number in range(20)}
        reply = await api.client.post("/v1/emails", EMAIL | {"headers": headers})
        assert reply.status == 422
        assert reply.json["errors"][0]["field"] == "headers"
