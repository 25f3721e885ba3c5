"""Which heads of requests are refused; the parser in front is tested through the server."""

from __future__ import annotations

import pytest

from mta.core.http_request import check_head

HOST = (b"host", b"mta.sender.test")
CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    ("version", "target", "fields", "status"),
    [
        ("1.1", b"/", [HOST], None),
        ("1.0", b"/", [], None),
        ("1.1", b"https://other.example/x", [HOST], None),
        ("1.1", b"/", [HOST, CHUNKED], None),
        ("1.1", b"/", [HOST, (b"transfer-encoding", b"Chunked ")], None),
        ("1.1", b"/", [HOST, (b"content-length", b"5")], None),
        ("1.1", b"/", [HOST, (b"expect", b"100-Continue")], None),
        ("1.1", b"/", [HOST, (b"accept", b"a"), (b"accept", b"b")], None),
        ("1.1", b"/", [HOST, (b"upgrade", b"h2c")], None),
        ("1.1", b"/", [HOST, (b"upgrade", b"h2c"), (b"content-length", b"0")], None),
        ("1.1", b"/", [HOST, (b"upgrade", b"h2c"), (b"content-length", b"1")], 501),
        ("1.1", b"/", [HOST, (b"upgrade", b"h2c"), CHUNKED], 501),
        ("2.0", b"/", [HOST], 505),
        ("0.9", b"/", [], 505),
        ("1.1", b"*", [HOST], 400),
        ("1.1", b"example.net:25", [HOST], 400),
        ("1.1", b"/", [], 400),
        ("1.1", b"/", [(b"host", b"")], 400),
        ("1.1", b"/", [(b"host", b"[::1]:8025")], None),
        ("1.1", b"/", [(b"host", b"localhost:8025")], None),
        ("1.1", b"/", [(b"host", b"a/b")], 400),
        ("1.1", b"/", [(b"host", b"a?b")], 400),
        ("1.1", b"/", [(b"host", b"user@a")], 400),
        ("1.0", b"/", [(b"host", b"a b")], 400),
        ("1.1", b"/", [HOST, HOST], 400),
        ("1.1", b"/", [HOST, (b"authorization", b"a"), (b"authorization", b"b")], 400),
        ("1.1", b"/", [HOST, CHUNKED, CHUNKED], 400),
        ("1.1", b"/", [HOST, CHUNKED, (b"content-length", b"5")], 400),
        ("1.0", b"/", [HOST, CHUNKED], 400),
        ("1.1", b"/", [HOST, (b"transfer-encoding", b"gzip, chunked")], 501),
        ("1.1", b"/", [HOST, (b"expect", b"tea")], 417),
    ],
)
def test_heads(
    version: str, target: bytes, fields: list[tuple[bytes, bytes]], status: int | None
) -> None:
    refusal = check_head(version, target, fields)
    assert (refusal.status if refusal else None) == status
