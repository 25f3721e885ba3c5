"""What leaves the machine through a webhook URL, and what endpoints can do to us."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import pytest
import trustme

from control_api.http_client import (
    MAX_REPLY,
    Answered,
    HttpClient,
    Posted,
    Resolve,
    Unanswered,
    UrlError,
)
from mta.core.network import IpNetwork
from tests.support.http_receiver import HttpReceiver, drip, flood, hang, raw, status

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
PUBLIC = "93.184.215.14"


def names(*answers: Sequence[str]) -> Resolve:
    """Resolve with these answers in turn, the last one for good."""
    left = list(answers)

    async def resolve(host: str) -> Sequence[str]:
        found = left.pop(0) if len(left) > 1 else left[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} not known")
        return found

    return resolve


@asynccontextmanager
async def open_client(
    *,
    allowed: Sequence[IpNetwork] = LOOPBACK,
    resolve: Resolve | None = None,
    seconds: float = 5.0,
) -> AsyncIterator[HttpClient]:
    client = HttpClient(timeout=timedelta(seconds=seconds), allowed=allowed, resolve=resolve)
    try:
        yield client
    finally:
        await client.close()


def error_of(posted: Posted) -> str:
    assert isinstance(posted, Unanswered)
    return posted.error


async def test_post_arrives_whole_and_connection_is_kept() -> None:
    async with HttpReceiver() as receiver, open_client() as client:
        for _ in range(3):
            assert await client.post(receiver.url, b'{"a":1}', {"Webhook-Id": "ev_1"}) == Answered(
                200, "ok"
            )
    assert receiver.connections == 1
    request = receiver.received[0]
    assert (request.method, request.path, request.body) == ("POST", "/hook", b'{"a":1}')
    assert request.headers["webhook-id"] == "ev_1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_k03_redirects_are_failures_and_not_followed(code: int) -> None:
    async with HttpReceiver() as receiver, open_client() as client:
        receiver.answer = status(code, headers=f"Location: {receiver.url}/next\r\n")
        posted = await client.post(receiver.url, b"{}", {})
    assert isinstance(posted, Answered)
    assert not posted.is_success
    assert len(receiver.received) == 1


async def test_k04_endpoint_that_hangs_meets_the_deadline() -> None:
    async with HttpReceiver() as receiver, open_client(seconds=0.1) as client:
        receiver.answer = hang
        assert error_of(await client.post(receiver.url, b"{}", {})) == "no answer within 0.1 s"


async def test_k04_body_that_drips_ends_at_the_deadline_with_its_status() -> None:
    async with HttpReceiver() as receiver, open_client(seconds=0.2) as client:
        receiver.answer = drip()
        posted = await client.post(receiver.url, b"{}", {})
    assert isinstance(posted, Answered)
    assert posted.is_success


async def test_k04_header_that_drips_meets_the_deadline() -> None:
    async with HttpReceiver() as receiver, open_client(seconds=0.2) as client:
        receiver.answer = drip(head="HTTP/1.1 200 X\r\nX: ")
        assert "no answer" in error_of(await client.post(receiver.url, b"{}", {}))


async def test_k04_endless_reply_is_cut() -> None:
    async with HttpReceiver() as receiver, open_client() as client:
        receiver.answer = flood
        posted = await client.post(receiver.url, b"{}", {})
        assert isinstance(posted, Answered)
        assert len(posted.text) == MAX_REPLY
        await client.post(receiver.url, b"{}", {})
    assert receiver.connections == 2  # an unread reply is not reused


async def test_k04_compressed_reply_is_not_unpacked() -> None:
    async with HttpReceiver() as receiver, open_client() as client:
        receiver.answer = status(200, body=b"\x1f\x8b!", headers="Content-Encoding: gzip\r\n")
        assert await client.post(receiver.url, b"{}", {}) == Answered(200, r"\x1f\x8b!")
    assert receiver.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "reply", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200\x00\r\n\r\n", b"\xff" * 20_000]
)
async def test_what_is_not_http_is_an_error_without_the_url(reply: bytes) -> None:
    async with HttpReceiver() as receiver, open_client() as client:
        receiver.answer = raw(reply)
        error = error_of(await client.post(f"{receiver.url}?token=geheim", b"{}", {}))
    assert error
    assert "geheim" not in error
    assert error.isprintable()


async def test_k04_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    async with HttpReceiver() as receiver, open_client() as client:
        receiver.answer = status(200, body=bomb, headers="Content-Encoding: gzip\r\n")
        posted = await client.post(receiver.url, b"{}", {})
    assert isinstance(posted, Answered)
    assert posted.text.startswith(r"\x1f\x8b")
    assert len(posted.text) <= 4 * MAX_REPLY


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("", None),
        ("Retry-After: 120\r\n", timedelta(minutes=2)),
        ("Retry-After: 0\r\n", timedelta()),
        ("Retry-After: -1\r\n", None),
        ("Retry-After: soon\r\n", None),
        ("Retry-After: 99999999\r\n", None),
        ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", None),
    ],
)
async def test_wish_to_be_left_alone_is_heard(header: str, wait: timedelta | None) -> None:
    async with HttpReceiver() as receiver, open_client() as client:
        receiver.answer = status(429, headers=header)
        assert await client.post(receiver.url, b"{}", {}) == Answered(429, "ok", wait)


async def test_reply_is_escaped() -> None:
    async with HttpReceiver() as receiver, open_client() as client:
        receiver.answer = status(500, body="a\r\n\x1b[31mb\u2028c".encode())
        assert await client.post(receiver.url, b"{}", {}) == Answered(500, r"a\r\n\x1b[31mb\u2028c")


REFUSED = [
    ("http://127.0.0.1/", "loopback"),
    ("http://127.0.0.1./", "the same with a final dot"),
    ("http://127.1/", "short form"),
    ("http://2130706433/", "decimal"),
    ("http://0x7f000001/", "hexadecimal"),
    ("http://0x7f.0.0.1/", "mixed"),
    ("http://0177.0.0.1/", "octal"),
    ("http://①②⑦.⓪.⓪.①/", "circled digits, which IDNA maps"),
    ("http://[::1]/", "loopback"),
    ("http://[::]/", "unspecified"),
    ("http://[::ffff:127.0.0.1]/", "IPv4 in IPv6"),
    ("http://[::ffff:7f00:1]/", "the same in hex"),
    ("http://[64:ff9b::7f00:1]/", "NAT64"),
    ("http://[64:ff9b:1::7f00:1]/", "NAT64 of a network of one's own (RFC 8215)"),
    ("http://[::ffff:0:127.0.0.1]/", "IPv4-translated (RFC 2765)"),
    ("http://[2002:7f00:1::]/", "6to4"),
    ("http://[fe80::1%25lo]/", "link-local with a zone"),
    ("http://0x7f.1/", "short form in hexadecimal"),
    ("http://017700000001/", "octal in one number"),
    ("http://[fe80::1]/", "link-local"),
    ("http://[fc00::1]/", "unique local"),
    ("http://0.0.0.0/", "unspecified"),
    ("http://10.1.2.3/", "private"),
    ("http://172.16.0.1/", "private"),
    ("http://192.168.0.1/", "private"),
    ("http://100.64.0.1/", "carrier-grade NAT"),
    ("http://169.254.169.254/latest/meta-data/", "cloud metadata"),
    ("http://224.0.0.1/", "multicast"),
    ("http://localhost/", "name of loopback"),
    ("http://localhost./", "the same, absolute"),
    ("http://LOCALHOST/", "the same, upper case"),
]


@pytest.mark.parametrize("url", [url for url, _ in REFUSED])
async def test_k01_addresses_inside_the_network_are_refused_twice(url: str) -> None:
    async with open_client(allowed=()) as client:
        with pytest.raises(UrlError):
            await client.check(url)
        assert error_of(await client.post(url, b"{}", {}))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "file:///etc/passwd",
        "unix:///run/x.sock",
        "ftp://example.com/",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "https://user@example.com/",
        "https://user:pw@example.com/",
        "https://:pw@example.com/",
        "https://example.com/#part",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com\\@evil.example/",
        "https://example.com/\x00",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://[::1/",
        "https://example.com:25/",
        "https://example.com:22/",
        "https://example.com:6379/",
        "https://example.com:0/",
        "https://example.com/\ud800",
        f"https://example.com/{'a' * 2048}",
    ],
)
async def test_k01_urls_of_other_forms_are_refused_twice(url: str) -> None:
    async with open_client(resolve=names([PUBLIC])) as client:
        with pytest.raises(UrlError):
            await client.check(url)
        assert error_of(await client.post(url, b"{}", {}))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?x=%20&y=1",
        "http://example.com:8080/",
        "https://bücher.example/",
        f"https://{PUBLIC}/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443/",
    ],
)
async def test_public_urls_pass(url: str) -> None:
    async with open_client(resolve=names([PUBLIC])) as client:
        await client.check(url)


async def test_k01_ports_of_other_services_need_to_be_allowed() -> None:
    resolve = names([PUBLIC])
    client = HttpClient(timeout=timedelta(seconds=1), allowed_ports=[6379], resolve=resolve)
    await client.check("https://example.com:6379/")
    with pytest.raises(UrlError):
        await client.check("https://example.com:25/")
    await client.close()


async def test_name_that_does_not_resolve_may_be_registered_and_fails_when_posted() -> None:
    async with open_client(resolve=names([])) as client:
        await client.check("https://later.example/")
        assert "cannot connect" in error_of(await client.post("https://later.example/", b"{}", {}))


@pytest.mark.parametrize("addresses", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::1", PUBLIC]])
async def test_k01_one_private_address_among_several_refuses_the_name(
    addresses: list[str],
) -> None:
    async with open_client(allowed=(), resolve=names(addresses)) as client:
        with pytest.raises(UrlError, match="not public"):
            await client.check("https://split.example/")
        assert "not public" in error_of(await client.post("https://split.example/", b"{}", {}))


async def test_k02_rebinding_between_check_and_post_reaches_nothing() -> None:
    async with HttpReceiver() as receiver:
        resolve = names([PUBLIC], ["127.0.0.1"])
        async with open_client(allowed=(), resolve=resolve) as client:
            url = f"http://rebind.example:{receiver.port}/"
            await client.check(url)
            assert "not public" in error_of(await client.post(url, b"{}", {}))
    assert receiver.connections == 0


async def test_k02_name_goes_into_host_and_one_lookup_is_made_for_a_post() -> None:
    asked: list[str] = []

    async def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with HttpReceiver() as receiver, open_client(resolve=resolve) as client:
        posted = await client.post(f"http://hooks.example:{receiver.port}/", b"{}", {})
    assert isinstance(posted, Answered)
    assert asked == ["hooks.example"]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_certificate_of_nobody_known_is_refused() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with HttpReceiver(tls) as receiver, open_client() as client:
        error = error_of(await client.post(receiver.url, b"{}", {}))
    assert "certificate" in error.lower()
    assert receiver.received == []


async def test_system_is_asked_for_names() -> None:
    async with HttpReceiver() as receiver, open_client() as client:
        url = f"http://localhost:{receiver.port}/"
        found = await asyncio.gather(*(client.post(url, b"{}", {}) for _ in range(5)))
    assert found == [Answered(200, "ok")] * 5
