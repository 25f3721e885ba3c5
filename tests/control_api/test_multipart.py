"""Forms with a file, taken apart as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_api.body_guard import Streamed, _pattern
from control_api.multipart import MAX_FIELDS, MultipartError, read_form

TYPE = 'multipart/form-data; boundary="b"'


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


END = b"--b--\r\n"
FILE = part("file", b"a\r\nb", '; filename="x.csv"')


def read(body: bytes, size: int = 7, media: str = TYPE) -> tuple[Mapping[str, str], bytes]:
    """Read a form that comes in pieces of that size."""

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    taken: list[bytes] = []
    fields = asyncio.run(read_form(stream(), media, "file", taken.append))
    return fields, b"".join(taken)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_fields_and_file(size: int) -> None:
    body = part("a", "ä".encode()) + FILE + part("c", b"") + END
    assert read(body, size) == ({"a": "ä", "c": ""}, b"a\r\nb")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        END,
        part("a", b"1") + END,
        FILE,
        FILE[:-3],
        FILE + FILE + END,
        FILE + part("a", b"1") + part("a", b"2") + END,
        FILE + part("a", b"\xff") + END,
        FILE + part("", b"1") + END,
        FILE + b"--b\r\nX: y\r\n\r\n1\r\n" + END,
        FILE + b"".join(part(f"f{n}", b"") for n in range(MAX_FIELDS + 1)) + END,
        FILE + part("a", b"x" * 70_000) + END,
        b"--b\r\n" + b"X: " + b"y" * 10_000 + b"\r\n\r\n" + END,
        b"rubbish" + FILE + END,
    ],
)
def test_forms_that_are_none(body: bytes) -> None:
    with pytest.raises(MultipartError):
        read(body, 1000)


@pytest.mark.parametrize("media", ["multipart/form-data", "multipart/form-data; boundary=", ""])
def test_no_boundary(media: str) -> None:
    with pytest.raises(MultipartError, match="boundary"):
        read(FILE + END, media=media)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_octets(body: bytes, size: int) -> None:
    try:
        read(FILE + body, size)
    except MultipartError:
        return
    assert body.startswith(b"--b--")


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200).filter(lambda data: b"--b" not in data))
def test_any_file(data: bytes) -> None:
    assert read(part("file", data) + END) == ({}, data)


@pytest.mark.parametrize(
    ("path", "asked", "is_meant"),
    [
        ("/a/{id}/b", "/a/x/b", True),
        ("/a/{id}/b", "/a/x/y/b", False),
        ("/a/{id}/b", "/a//b", False),
        ("/a/{id}/b", "/a/x/b/", False),
        ("/a.b", "/axb", False),
        ("/a", "/a", True),
    ],
)
def test_paths_whose_bodies_are_streamed(path: str, asked: str, is_meant: bool) -> None:
    assert (_pattern(path).fullmatch(asked) is not None) is is_meant
    assert Streamed(1).media == ""


async def test_bad_forms_leave_no_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"no boundary\r\n"

    with pytest.raises(MultipartError):
        await read_form(stream(), "multipart/form-data; boundary=b", "file", lambda _: None)
    assert not caplog.records
