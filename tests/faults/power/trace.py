"""Reads strace's record of a server: its writes and syncs of files, and its answers to clients.

The record is made with `COMMAND` in front of the server. Every byte that the server wrote is in it,
so nothing about storage is assumed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "openat,write,writev,pwrite64,pwritev,ftruncate,fsync,fdatasync,"
    "rename,renameat,renameat2,unlink,unlinkat,sendto,sendmsg"
)


def command(record: Path) -> list[str]:
    """Return what to put in front of a command to record it."""
    return ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(record)]


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at an offset; offset None: at the end."""

    path: str
    offset: int | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file is made this long."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """What was written to a file, or the names in a directory, is on the disk."""

    path: str


@dataclass(frozen=True, slots=True)
class Create:
    """A name comes into being, of an empty file."""

    path: str


@dataclass(frozen=True, slots=True)
class Rename:
    """A name takes the place of another."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Unlink:
    """A name goes."""

    path: str


@dataclass(frozen=True, slots=True)
class Promise:
    """A client gets a 2xx for the email of this id."""

    email_id: str


Operation = Write | Truncate | Sync | Create | Rename | Unlink | Promise

_CALL = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
_UNFINISHED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"\d+<((?:\\x[0-9a-f]{2})*)>")
_EMAIL_ID = re.compile(rb"em_[0-9A-Z]{26}")
_POSITIVE = re.compile(rb"250 |HTTP/1\.1 2|\{")


def read(record: Path, data_dir: Path) -> list[Operation]:
    """Return what happened to the files below data_dir, and what was promised, in order.

    A promise counts from the moment its call began, everything else from when its call returned.
    """
    inside = str(data_dir)
    found: list[Operation] = []
    with record.open() as lines:
        for pid_call in _joined(lines):
            call = _CALL.match(pid_call)
            if call is None or int(call[4]) < 0:
                continue
            found += _operations(call[2], call[3], int(call[4]), inside)
    return found


def _joined(lines: Iterable[str]) -> Iterator[str]:
    waiting: dict[str, str] = {}
    for line in lines:
        if begun := _UNFINISHED.match(line):
            waiting[begun[1]] = begun[2]
        elif resumed := _RESUMED.match(line):
            yield f"{resumed[1]} {waiting.pop(resumed[1], '')}{resumed[2]}"
        else:
            yield line


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _operations(name: str, arguments: str, result: int, inside: str) -> Iterator[Operation]:
    texts = [_decoded(text) for text in _TEXT.findall(arguments)]
    if name == "openat":
        yield from _opened(arguments, texts[0].decode(errors="replace"), inside)
        return
    if name.startswith(("rename", "unlink")):
        paths = [text.decode(errors="replace") for text in texts]
        if paths[0].startswith(inside):
            yield Rename(*paths) if name.startswith("rename") else Unlink(paths[0])
        return
    file = _FILE.match(arguments)
    path = _decoded(file[1]).decode(errors="replace") if file else ""
    data = b"".join(texts)[:result]
    if path.startswith("socket:"):
        if _POSITIVE.match(data):
            for email_id in dict.fromkeys(_EMAIL_ID.findall(data)):
                yield Promise(email_id.decode())
    elif path.startswith(inside):
        yield from _on_file(name, path, arguments, data)


def _opened(arguments: str, path: str, inside: str) -> Iterator[Operation]:
    if path.startswith(inside) and "O_CREAT" in arguments:
        yield Create(path)
    if path.startswith(inside) and "O_TRUNC" in arguments:
        yield Truncate(path, 0)


def _on_file(name: str, path: str, arguments: str, data: bytes) -> Iterator[Operation]:
    if name in {"fsync", "fdatasync"}:
        yield Sync(path)
    elif name == "ftruncate":
        yield Truncate(path, int(arguments.rpartition(",")[2]))
    elif name.startswith("pwrite"):
        yield Write(path, int(arguments.rpartition(",")[2]), data)
    else:
        yield Write(path, None, data)
