from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.reply_reader import MAX_LINE, MAX_REPLY, ReplyError, ReplyReader

Replies = list[tuple[int, str]]


def read_all(data: bytes, step: int = 0) -> Replies:
    reader = ReplyReader()
    replies: Replies = []
    for start in range(0, len(data), step or len(data) or 1):
        reader.feed(data[start : start + (step or len(data))])
        while (reply := reader.next_reply()) is not None:
            replies.append(reply)
    return replies


@pytest.mark.parametrize(
    ("data", "replies"),
    [
        (b"250 ok\r\n", [(250, "ok")]),
        (b"250\r\n", [(250, "")]),
        (b"250 \r\n", [(250, "")]),
        (b"250 ok\n", [(250, "ok")]),
        (b"250-a\r\n250-b\r\n250 c\r\n", [(250, "a\nb\nc")]),
        (b"250-a\r\n250\r\n", [(250, "a\n")]),
        (b"250 a\r\n550 b\r\n354 c\r\n", [(250, "a"), (550, "b"), (354, "c")]),
        (b"250 caf\xc3\xa9 \xff\r\n", [(250, "café \ufffd")]),
        (b"250 a\rb\r\n", [(250, "a\rb")]),
        (b"250 a", []),
        (b"250-a\r\n", []),
        (b"", []),
    ],
)
@pytest.mark.parametrize("step", [0, 1, 3])
def test_replies(data: bytes, replies: Replies, step: int) -> None:
    assert read_all(data, step) == replies


# E12: what is not a reply to the letter is none at all.
@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"25 ok\r\n",
        b"2_5 ok\r\n",
        b"+25 ok\r\n",
        b"2_5 0 ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b"2500 ok\r\n",
        b"250ok\r\n",
        b"250\tok\r\n",
        b" 250 ok\r\n",
        b"\xff\xfe\x00garbage\r\n",
        "٢٥٠ ok\r\n".encode(),
        b"HTTP/1.1 400 Bad Request\r\n",
        b"250-no\r\n550 yes\r\n",
        b"550-no\r\n250 yes\r\n",
        b"250-a\r\nb\r\n",
        b"250 " + b"a" * MAX_LINE + b"\r\n",
        b"250 " + b"a" * MAX_LINE,
        b"250-a\r\n" * (MAX_REPLY // 7 + 1),
    ],
)
@pytest.mark.parametrize("step", [0, 7])
def test_what_is_no_reply(data: bytes, step: int) -> None:
    with pytest.raises(ReplyError) as caught:
        read_all(data, step)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_replies_before_garbage_count() -> None:
    reader = ReplyReader()
    reader.feed(b"250 ok\r\ngarbage\r\n")
    assert reader.next_reply() == (250, "ok")
    with pytest.raises(ReplyError):
        reader.next_reply()


def test_unread() -> None:
    reader = ReplyReader()
    assert reader.unread == b""
    reader.feed(b"250 a\r\n421 b")
    assert reader.unread == b"250 a\r\n421 b"
    assert len(reader) == len(reader.unread)
    reader.next_reply()
    assert reader.unread == b"421 b"
    assert reader.next_reply() is None
    reader.feed(b"\r\n250-c\r\n")
    assert reader.next_reply() == (421, "b")
    assert reader.next_reply() is None
    assert reader.unread == b"250"


def test_a_reply_in_single_bytes_takes_linear_time() -> None:
    data = b"250-" + b"a" * 8000 + b"\r\n" + b"250-" + b"b" * 8000 + b"\r\n250 c\r\n"
    start = time.perf_counter()
    assert len(read_all(data, 1)) == 1
    assert time.perf_counter() - start < 2


@given(st.binary())
def test_any_bytes_give_replies_or_our_error(data: bytes) -> None:
    try:
        replies = read_all(data)
    except ReplyError:
        return
    assert all(200 <= code <= 599 for code, _ in replies)


@given(
    st.lists(
        st.tuples(
            st.integers(200, 599),
            st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=1),
        )
    ),
    st.integers(1, 50),
)
def test_round_trip(replies: list[tuple[int, list[str]]], step: int) -> None:
    data = b"".join(
        b"".join(f"{code}-{line}\r\n".encode() for line in lines[:-1])
        + f"{code} {lines[-1]}\r\n".encode()
        for code, lines in replies
    )
    assert read_all(data, step) == [(code, "\n".join(lines)) for code, lines in replies]
