import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.dot import (
    MAX_LINE,
    DotDecoder,
    DotEncoder,
    LineCheck,
    dot_encoded,
    dot_stuff,
    has_bare_line_end,
)

ANY = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"..", b"x", b"", b"\0"]), max_size=12
).map(b"".join)
CUTS = st.lists(st.integers(0, 40), max_size=6)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(borders)]


def decode(parts: list[bytes]) -> tuple[bytes, DotDecoder]:
    decoder = DotDecoder()
    return b"".join(decoder.feed(part) for part in parts), decoder


def encode(parts: list[bytes]) -> bytes:
    encoder = DotEncoder()
    return b"".join(encoder.feed(part) for part in parts) + encoder.finish()


@pytest.mark.parametrize(
    ("wire", "message", "reason"),
    [
        (b".\r\n", b"", "empty message"),
        (b"a\r\n.\r\n", b"a\r\n", "one line"),
        (b"..\r\n.\r\n", b".\r\n", "a line of one dot"),
        (b"..a\r\n...b\r\n.\r\n", b".a\r\n..b\r\n", "leading dots"),
        (b".a\r\n.\r\n", b"a\r\n", "a client that did not stuff loses the dot (4.5.2)"),
        (b"a.\r\n.\r\n", b"a.\r\n", "a dot inside is only a dot"),
        (b"\r\n.\r\n", b"\r\n", "blank line"),
        (b".\r\r\n.\r\n", b"\r\r\n", "dot, CR: no end"),
    ],
)
def test_decode_table(wire: bytes, message: bytes, reason: str) -> None:
    for cut in range(len(wire) + 1):
        decoded, decoder = decode([wire[:cut], wire[cut:]])
        assert decoded == message, reason
        assert decoder.is_complete
        assert decoder.rest == b""


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\n.\r",
        b"\r\n\0.\r\n",
        b"\r\n.\r\r\n",
        b"\r\n.\0\r\n",
        b"\r\n. \r\n",
    ],
)
def test_no_other_sequence_ends_the_data(end: bytes) -> None:
    smuggled = b"a" + end + b"MAIL FROM:<x@y.example>\r\n"
    for cut in range(len(smuggled)):
        decoded, decoder = decode([smuggled[:cut], smuggled[cut:]])
        assert not decoder.is_complete
        assert decoded.endswith(b"MAIL FROM:<x@y.example>\r\n")


def test_what_follows_the_end_is_kept() -> None:
    wire = b"a\r\n.\r\nQUIT\r\n.\r\n"
    for cut in range(len(wire)):
        decoded, decoder = decode([wire[:cut], wire[cut:]])
        assert decoded == b"a\r\n"
        assert decoder.rest == b"QUIT\r\n.\r\n"


def test_lines_are_given_out_at_once() -> None:
    decoder = DotDecoder()
    assert decoder.feed(b"a\r\n") == b"a\r\n"
    assert decoder.feed(b".") == b""
    assert decoder.feed(b".b") == b".b"


@given(ANY, CUTS)
def test_round_trip_at_any_border(message: bytes, cuts: list[int]) -> None:
    wire = encode(chunks(message, cuts))
    assert wire == encode([message])
    decoded, decoder = decode(chunks(wire + b"NOOP\r\n", cuts))
    assert decoder.is_complete
    assert decoder.rest == b"NOOP\r\n"
    assert decoded == (message if message.endswith(b"\r\n") or not message else message + b"\r\n")


@given(ANY, CUTS)
def test_decoding_does_not_depend_on_borders(wire: bytes, cuts: list[int]) -> None:
    whole, one = decode([wire])
    parts, many = decode(chunks(wire, cuts))
    assert (whole, one.is_complete, one.rest) == (parts, many.is_complete, many.rest)


@given(ANY, st.booleans())
def test_dot_stuff_is_what_the_encoder_does(data: bytes, at_line_start: bool) -> None:
    encoder = DotEncoder()
    if not at_line_start:
        encoder.feed(b"x")
    assert dot_stuff(data, at_line_start=at_line_start) == encoder.feed(data)


@given(ANY, ANY)
def test_dot_encoded_is_what_the_encoder_does(header: bytes, body: bytes) -> None:
    encoder = DotEncoder()
    wire = encoder.feed(header) + encoder.feed(body) + encoder.finish()
    assert dot_encoded(header, body) == wire


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", False),
        (b"a", False),
        (b"a\r\nb\r\n", False),
        (b"\r\n\r\n", False),
        (b"\r", True),
        (b"\n", True),
        (b"\n\r", True),
        (b"a\rb\nc", True),
        (b"\r\r\n", True),
        (b"\r\n\n", True),
    ],
)
def test_bare_line_end(data: bytes, expected: bool) -> None:
    assert has_bare_line_end(data) is expected


def check(parts: list[bytes]) -> LineCheck:
    lines = LineCheck()
    for part in parts:
        lines.feed(part)
    lines.finish()
    return lines


@given(ANY, CUTS)
def test_line_check_finds_bare_line_ends_at_any_border(data: bytes, cuts: list[int]) -> None:
    expected = bool(re.search(rb"\r(?!\n)|(?<!\r)\n", data))
    assert has_bare_line_end(data) is expected
    assert check(chunks(data, cuts)).has_bare_line_end is expected


LENGTHS = st.sampled_from([0, 1, 77, 500, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 3000])


@given(st.lists(LENGTHS, max_size=6), st.lists(st.integers(0, 6000), max_size=6), st.booleans())
def test_line_check_measures_lines_at_any_border(
    lengths: list[int], cuts: list[int], is_ended: bool
) -> None:
    data = b"\r\n".join(b"x" * length for length in lengths) + b"\r\n" * is_ended
    lines = check(chunks(data, cuts))
    assert lines.has_long_line is any(length > MAX_LINE for length in lengths)
    assert not lines.has_bare_line_end


def test_a_long_line_is_seen_while_it_comes() -> None:
    lines = LineCheck()
    for _ in range(1002):
        lines.feed(b"x")
    assert lines.has_long_line


@pytest.mark.parametrize("piece", [b"\r\n", b"\r", b"\n", b".", b"\r\n.", b"\r\n..", b"x", b"\r."])
def test_repetition_is_linear(piece: bytes) -> None:
    data = piece * (4_000_000 // len(piece))
    DotDecoder().feed(data)
    DotEncoder().feed(data)
    LineCheck().feed(data)
    lines, decoder = LineCheck(), DotDecoder()
    for start in range(0, 400_000, 7):
        lines.feed(data[start : start + 7])
        decoder.feed(data[start : start + 7])
