import hashlib
from itertools import pairwise

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st

from mta.core.canonical import HELD, LONG, BodyHasher, body_hash, relaxed_header

BODY = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"\t", b"x", b"yz", b"\0", b"\x0b", b"\xff"]),
    max_size=14,
).map(b"".join)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    ("body", "canonical", "reason"),
    [
        (b"", b"", "empty"),
        (b"\r\n", b"", "one empty line"),
        (b"\r\n\r\n \r\n\t\r\n", b"", "only empty lines"),
        (b" \t ", b"", "white space without a line end"),
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n", "the example of RFC 6376 3.4.5"),
        (b"a", b"a\r\n", "missing line end"),
        (b"a \t", b"a\r\n", "missing line end after white space"),
        (b"a\r\n\r\nb\r\n", b"a\r\n\r\nb\r\n", "empty line inside"),
        (b"\r\na\r\n", b"\r\na\r\n", "empty line before"),
        (b"a\r\n  \r\n b", b"a\r\n\r\n b\r\n", "line of spaces inside"),
        (b"a\r", b"a\r\r\n", "a CR is no white space"),
        (b"a\r\n\r", b"a\r\n\r\r\n", "nor at the end of empty lines"),
        (b"a \rb\r\n", b"a \rb\r\n", "bare CR after a space"),
        (b"a\x0bb\x0c\r\n", b"a\x0bb\x0c\r\n", "only space and tab are white space"),
    ],
)
def test_table(body: bytes, canonical: bytes, reason: str) -> None:
    assert body_hash(body) == sha256(canonical), reason


@given(BODY, st.lists(st.integers(0, 30), max_size=8))
def test_chunks_hash_like_the_whole(body: bytes, cuts: list[int]) -> None:
    borders = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    hasher = BodyHasher()
    for start, end in pairwise(borders):
        hasher.update(body[start:end])
        assert hasher.digest() == body_hash(body[:end])


@pytest.mark.parametrize("size", [HELD - 1, HELD, HELD + 1, 3 * HELD, LONG, LONG + 1])
def test_bodies_that_are_hashed_in_pieces(size: int) -> None:
    body = b"x" * (size - 2) + b"\r\n"
    assert body_hash(body) == sha256(body)


@given(BODY)
def test_same_as_dkimpy(body: bytes) -> None:
    ended = body + b"\r\n"  # without it dkimpy keeps white space at the very end
    assert body_hash(ended) == sha256(Relaxed.canonicalize_body(ended))


@given(
    st.text(alphabet="XyZ-1", min_size=1, max_size=6),
    st.sampled_from(["", " ", "\t "]),
    st.lists(st.sampled_from([" ", "\t", "\r\n ", "\r\n\t", "a", "B:", "é"]), max_size=10),
)
def test_header_same_as_dkimpy(name: str, space: str, value: list[str]) -> None:
    raw_name, raw_value = (name + space).encode(), "".join(value).encode() + b"\r\n"
    [(canonical_name, canonical_value)] = Relaxed.canonicalize_headers([(raw_name, raw_value)])
    expected = canonical_name + b":" + canonical_value
    assert relaxed_header(raw_name + b":" + raw_value) == expected


def test_header_examples_of_the_rfc() -> None:
    assert relaxed_header(b"A: X\r\n") == b"a:X\r\n"
    assert relaxed_header(b"B : Y\t\r\n\tZ  \r\n") == b"b:Y Z\r\n"


@pytest.mark.parametrize(
    "piece", [b" ", b"\t ", b"\r\n", b" \r\n", b"\r", b" x", b" " * 996 + b"\r\n"]
)
def test_repetition_is_linear(piece: bytes) -> None:
    body = piece * (10_000_000 // len(piece))
    body_hash(body)
    relaxed_header(b"X: " + body[:100_000])
    hasher = BodyHasher()
    for start in range(0, 300_000, 3):
        hasher.update(body[start : start + 3])
    assert hasher.digest() == body_hash(body[:300_000])


def test_a_flood_of_empty_lines_is_hashed_without_looking_at_each() -> None:
    hasher = BodyHasher()
    for _ in range(100):
        hasher.update(b"\r\n" * 10_000)
    assert hasher.digest() == body_hash(b"")
    hasher.update(b"\rx\r\n\r\n")
    assert hasher.digest() == body_hash(b"\r\n" * 1_000_000 + b"\rx\r\n")
